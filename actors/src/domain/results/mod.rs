//! The read model: what readers are shown, folded from durable facts.

mod artifact;
mod faults;
mod firsts;
mod index;
mod query;
mod queue_view;
mod read_model;
mod standings;
mod tally;
mod view;
mod workers;

pub use query::{
    Capabilities, Faults, Jobs, Packages, Page, Profiles, Query, Rows, Troubles, Workers,
};
pub use queue_view::QueuePosition;
pub use read_model::{KeptLog, LogPlace, NOTHING, ReadModel, SyncState};

#[cfg(test)]
mod index_test;
#[cfg(test)]
mod queue_view_test;
#[cfg(test)]
mod read_model_test;
