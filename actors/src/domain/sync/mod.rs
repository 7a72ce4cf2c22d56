//! What a profile follows.

mod filter;

pub use filter::{Filter, FilterError, FilterSpec, IncludeRule, IncludeSpec, Subject};
