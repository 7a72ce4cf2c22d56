//! The real world of `rebuilder`: the ports' implementations, the backends and the roles.

pub mod backend;
pub mod sandbox;
