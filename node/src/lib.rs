//! Coordinator and worker of `rebuilder`: the real ports, backends and roles.

pub mod bench;
pub mod blobs;
pub mod fetch;
pub mod index;
pub mod sandbox;
pub mod spool;
pub mod store;
