//! Coordinator and worker of `rebuilder`.

mod bench;
mod blobs;
mod clock;
mod data_dir;
mod durable;
mod sandbox;
mod spool;
mod store;

fn main() {}
