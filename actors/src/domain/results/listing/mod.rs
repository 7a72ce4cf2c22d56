//! Wanted artifacts and source packages as they are listed to those who page by number, in an order
//! that they choose. Narrow questions are gathered whole and sorted by who asks; broad ones are
//! walked in the order of numbers or names, which is kept.

mod gathered;
mod rows;
mod walked;
mod which;

#[cfg(test)]
mod listing_test;

pub use gathered::{Gather, Key, fetch};
pub use rows::{Binary, BuildOutcome, Entry, Listed, Source};
pub(super) use rows::{binaries, sources};
pub use walked::{Order, Place, Walk};
pub use which::{NameIs, Which};
