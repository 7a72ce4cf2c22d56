//! Rebuilds packages behind the port `Backend`.

pub mod debian;
mod rebuild;

pub use rebuild::{Ended, Learnt, Rebuild, bounded};
