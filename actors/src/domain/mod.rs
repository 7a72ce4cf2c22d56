//! Pure state machines: they take the time and an event and return effects.

pub mod architecture;
mod back_off;
pub mod filter;
pub mod places;
pub mod queue;
pub mod report;
pub mod results;
pub mod sync;
pub mod worker;

pub use back_off::BackOff;
