//! Coordinator and worker of `rebuilder`: the real ports, backends and roles.

// Clippy looks for macros before attributes of smaller items count, so this is for the whole crate.
#![expect(clippy::disallowed_macros, reason = "every `tokio::select!` here begins with `biased;`")]

pub mod backend;
pub mod bench;
pub mod blobs;
pub mod check;
pub mod clock;
pub mod config;
pub mod data_dir;
pub mod distribution;
mod durable;
pub mod environment;
pub mod fetch;
pub mod gateway;
pub mod health;
pub mod index;
pub mod inherited;
pub mod log_lines;
mod packing;
pub mod role;
pub mod sandbox;
pub mod spool;
pub mod store;
#[cfg(test)]
mod testing;
