//! Measurements of the real parts on the machine at hand.

pub mod store;
