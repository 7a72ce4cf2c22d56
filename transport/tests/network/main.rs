//! The network port, between real endpoints.
#![expect(clippy::unwrap_used, reason = "a test fails by it, in helpers too")]

mod common;
mod connections;
mod hostile;
mod simulated;
mod streams;
mod unknown;
