//! Coordinator and worker of `rebuilder`.

fn main() {}
