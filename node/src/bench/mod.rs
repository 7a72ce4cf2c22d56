//! Measures what users wait for, on their own machine.

pub mod sync;
