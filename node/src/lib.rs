//! Coordinator and worker of `rebuilder`: the real ports, backends and roles.
#![expect(clippy::disallowed_macros, reason = "tokio::select, always with `biased;`")]

pub mod backend;
pub mod bench;
pub mod blobs;
pub mod clock;
pub mod config;
pub mod data_dir;
mod durable;
pub mod fetch;
#[cfg(test)]
mod full_disk_tests;
pub mod index;
pub mod sandbox;
pub mod spool;
pub mod store;
