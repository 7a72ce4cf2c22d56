//! What readers of published indexes have in common.

mod releases;

pub use releases::Releases;
