//! The real ports, backends and roles of `rebuilder`.

pub mod blobs;
pub mod sandbox;
pub mod spool;
pub mod store;
