//! The read model: what readers are shown, folded from durable facts.

mod artifact;
mod builds;
mod catalogue;
mod faults;
mod firsts;
mod index;
mod kept;
pub mod listing;
mod log_place;
mod origins;
mod query;
mod queue_rows;
mod queue_view;
mod read_model;
mod standings;
mod tally;
mod view;
mod workers;

pub use artifact::verdict_in;
pub use builds::{BuildRow, Builds, JobRow};
pub use log_place::{KeptLog, LogPlace};
pub use origins::Origin;
pub use query::{
    Capabilities, Faults, Jobs, Packages, Page, Profiles, Query, Rows, Troubles, Workers,
};
pub use queue_rows::{QueueRow, QueueRows};
pub use queue_view::QueuePosition;
pub use read_model::{NOTHING, ReadModel, SyncState};

#[cfg(test)]
mod index_test;
#[cfg(test)]
mod queue_view_test;
#[cfg(test)]
mod read_model_test;
