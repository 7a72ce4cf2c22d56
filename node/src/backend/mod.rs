//! Rebuilds packages behind the port `Backend`.

mod rebuild;

pub use rebuild::{Ended, Learnt, Rebuild, bounded};
