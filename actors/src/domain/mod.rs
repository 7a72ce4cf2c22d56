//! Pure state machines: they take the time and an event and return effects.

pub mod architecture;
pub mod filter;
pub mod places;
pub mod queue;
pub mod report;
pub mod results;
pub mod sync;
pub mod worker;
