//! Deterministic simulation of `rebuilder`.
#![forbid(unsafe_code)]
