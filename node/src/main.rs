//! Coordinator and worker of `rebuilder`.

mod bench;
mod blobs;
mod clock;
mod data_dir;
mod durable;
#[cfg(test)]
mod full_disk_tests;
mod sandbox;
mod spool;
mod store;

fn main() {}
