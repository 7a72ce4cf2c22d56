//! The core level: one real [`rebuilder_actors::domain::queue::Queue`], and one real
//! [`rebuilder_actors::domain::worker::Machine`] for each worker, under a discrete-event loop.
//!
//! The store loses what was not committed at a crash; what the queue sends leaves after its commit;
//! connections deliver in order, late, and lose what is under way when they are cut. Things that
//! happen in the same millisecond happen in an order that the seed draws.

mod calendar;
mod coordinator;
mod index;
mod lie;
mod link;
mod oracle;
mod packages;
mod runner;
mod strike;
mod worker;
mod world;

pub use world::run;
