//! The sandbox for real: as root, with a root file system of busybox alone.

#![expect(clippy::unwrap_used, reason = "what fails in a test fails the test")]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so, loudly")]

mod cgroup2;
mod ends;
mod fixture;
mod hidden;
mod honest;
mod limits;
mod parent;
mod shortage;
mod small_disk;
mod trees;
mod wall;
