//! What a worker does with its slots, its spool and its connection, decided without doing it.

mod log_limit;
mod machine;

pub use log_limit::LogLimit;
pub use machine::{Effect, Event, Machine};

#[cfg(test)]
mod machine_test;
