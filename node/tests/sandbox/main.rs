//! The sandbox for real: as root, with a root file system of busybox alone.

mod ends;
mod fixture;
mod hidden;
mod limits;
mod parent;
mod trees;
