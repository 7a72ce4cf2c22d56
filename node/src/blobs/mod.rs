//! Parts and contents as files behind the ports `Parts` and `Contents`.

mod contents;
mod files;
mod parts;
mod reader;

#[cfg(test)]
mod blobs_test;
#[cfg(test)]
mod conformance_test;
#[cfg(test)]
mod power_test;

pub use contents::FileContents;
pub use files::{MAX_READ, open};
pub use parts::FileParts;
