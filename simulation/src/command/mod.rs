//! `cargo sim`: what each subcommand does.

mod bench;
mod mutants;
mod replay;
mod run;
mod shrink;
mod sweep;

pub use bench::bench;
pub use mutants::{list, mutants};
pub use replay::{SEEDS, Scenario, ScenarioError, replay};
pub use run::{faults, run};
pub use shrink::shrink;
pub use sweep::{parallel, sweep};
