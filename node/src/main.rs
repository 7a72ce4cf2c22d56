//! Coordinator and worker of `rebuilder`.

mod blobs;
mod spool;
mod store;

fn main() {}
