//! Protocol, pure state machines, ports and actors of `rebuilder`.
//!
//! With the feature `runtime` off this crate has no clock, no randomness, no async runtime and no
//! input or output: only value types, messages, state machines and the seams they are given.
#![forbid(unsafe_code)]

#[cfg(feature = "runtime")]
pub mod actor;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod domain;
pub mod planted;
pub mod port;
pub mod protocol;
