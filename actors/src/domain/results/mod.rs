//! The read model: what readers are shown, folded from durable facts.

mod artifact;
mod read_model;

pub use read_model::{KeptLog, LogPlace, PackagePage, ReadModel, SyncState};

#[cfg(test)]
mod read_model_test;
