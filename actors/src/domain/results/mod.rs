//! The read model: what readers are shown, folded from durable facts.

mod artifact;
mod faults;
mod index;
mod queue_view;
mod read_model;
mod standings;
mod tally;

pub use faults::FaultPage;
pub use queue_view::{QueuePage, QueuePosition};
pub use read_model::{JobPage, KeptLog, LogPlace, NOTHING, PackagePage, ReadModel, SyncState};

#[cfg(test)]
mod index_test;
#[cfg(test)]
mod queue_view_test;
#[cfg(test)]
mod read_model_test;
