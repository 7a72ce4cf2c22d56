//! Readers of published indexes, one for each distribution.

pub mod debian;
