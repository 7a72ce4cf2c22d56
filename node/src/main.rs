//! Coordinator and worker of `rebuilder`.

mod blobs;
mod sandbox;
mod spool;
mod store;

fn main() {}
