//! Deterministic simulation of `rebuilder`: the real queue in a world that a seed makes.
#![forbid(unsafe_code)]

pub mod checker;
pub mod cluster;
pub mod core;
