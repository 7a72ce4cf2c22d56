//! The real ports, backends and roles of `rebuilder`.

// Clippy looks for macros before attributes of smaller items count, so this is for the whole crate.
#![expect(clippy::disallowed_macros, reason = "every `tokio::select!` here begins with `biased;`")]

pub mod blobs;
pub mod sandbox;
pub mod spool;
pub mod store;
