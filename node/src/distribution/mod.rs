//! What is known of each distribution: a folder each, with its formats, index and backend.

pub mod debian;
