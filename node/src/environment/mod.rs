//! What environments of builds are made of, for every distribution.

mod limits;

pub use limits::EnvironmentLimits;
