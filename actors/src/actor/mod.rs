//! Thin ractor shells and both supervision trees.
//!
//! One shape: read the clock, turn the message into an event, ask the domain, hand its writes to
//! the store, release its sends when they are durable, re-arm one timer. No handler waits for
//! another actor's answer.

mod catch_panic;
pub mod coordinator;
mod supervisor;
pub mod worker;

pub use supervisor::{Restarts, TreeEnd};
