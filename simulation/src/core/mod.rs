//! The core level: one real [`rebuilder_actors::domain::queue::Queue`], and one real
//! [`rebuilder_actors::domain::worker::Machine`] for each worker, under a discrete-event loop.
//!
//! The store loses what was not committed at a crash; what the queue sends leaves after its commit;
//! connections deliver in order, late, and lose what is under way when they are cut. Things that
//! happen in the same millisecond happen in an order that the seed draws.

mod calendar;
mod coordinator;
mod index;
mod inject;
mod lie;
mod link;
mod oracle;
mod packages;
mod runner;
mod trouble;
mod worker;
mod world;

use crate::level::Simulator;
use crate::plan::Level;
use trouble::{Faults, Trouble};

/// How the command runs this level.
pub const SIMULATOR: Simulator = Simulator {
    level: Level::Core,
    workers_max: 200,
    length_max: 3650,
    length_usual: world::DAYS,
    faults: || Trouble::ALL.iter().map(|fault| (fault.name(), fault.about())).collect(),
    drawn: |plan| Faults::draw(plan.seed, plan.faults.as_deref()).names(),
    run: world::run,
};
