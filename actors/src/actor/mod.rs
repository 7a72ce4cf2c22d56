//! Thin ractor shells and both supervision trees.
//!
//! One shape: read the clock, turn the message into an event, ask the domain, hand its writes to
//! the store, release its sends when they are durable, re-arm one timer. No handler waits for
//! another actor's answer.
//!
//! No file here imports one that imports it back (`.ci/circles` checks that): an actor is addressed
//! by the part of its messages that the sender knows (`derived`).

mod alarm;
mod catch_panic;
pub mod coordinator;
mod derived;
mod open;
mod owned;
mod supervisor;
#[cfg(test)]
mod testing;
pub mod worker;

pub use open::Open;
pub use owned::Returned;
pub use supervisor::{Restarts, TreeEnd};
