//! Deterministic simulation of `rebuilder`: the real system in a world that a seed makes.
//!
//! A [`plan::Plan`] is run by a level, here [`core`]; what happens is told to a
//! [`witness::Witness`], which asks every [`checker`] and keeps the trace.
#![forbid(unsafe_code)]

pub mod checker;
pub mod cluster;
#[expect(clippy::print_stdout, reason = "its output is what the command is for")]
pub mod command;
pub mod core;
pub mod level;
/// What checkers see.
pub mod observation;
/// What is simulated, and how it ended.
pub mod plan;
/// Chance from seeds.
pub mod random;
/// Keeps checkers and trace.
pub mod witness;
