//! What is known of each distribution: a folder each, with its formats, index, backend and
//! settings, behind one trait. `docs/add-a-distribution.md` says what a new one needs.

mod api;
pub mod debian;
mod registry;
#[cfg(test)]
mod toy;

pub use api::{
    BuiltIn, Distribution, Fit, Identity, ReaderParts, WorkerParts, WorkerSettings, Written,
};
pub(crate) use registry::{has_identity, identity, of_record};
pub use registry::{named, registry};
