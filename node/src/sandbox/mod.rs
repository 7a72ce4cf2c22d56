//! Runs a command where it can see and reach nothing that it does not need.

mod spec;

pub use spec::{Bind, Exit, Limits, Network, Output, Root, SandboxError, Spec, User};
