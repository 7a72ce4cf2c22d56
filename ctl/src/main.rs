//! Operates a `rebuilder` coordinator.

fn main() {}
