//! The core level: one real [`rebuilder_actors::domain::queue::Queue`] under a discrete-event loop.
//!
//! The store loses what was not committed at a crash; what the queue sends leaves after its commit;
//! connections deliver in order, late, and lose what is under way when they are cut.

mod coordinator;
mod observation;
mod options;
mod packages;
mod random;
mod worker;
mod world;

pub use observation::{End, Observation};
pub use options::{Options, Report};
pub use world::run;

#[cfg(test)]
mod tests;
