//! Pure state machines: they take the time and an event and return effects.

pub mod sync;
