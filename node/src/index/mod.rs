//! Readers of published indexes, one for each distribution.

pub mod debian;
mod releases;

pub use releases::Releases;
