//! Jobs, leases, retries, fencing and acceptance of reports: the only place that decides them.
//!
//! [`Queue::handle`] takes the time and an [`Event`] and returns [`Effects`]: writes for the store,
//! and what may leave the process once they are durable.

mod accept;
mod attention;
mod capabilities;
mod condition;
mod effect;
mod enrol;
mod entry;
mod event;
mod grant;
mod knock;
mod lane;
mod lease;
mod named;
mod operate;
mod packed;
mod place;
mod queue_state;
mod restore;
mod retry;
mod setback;
mod settings;
mod sizes;
mod status;
mod sync;
mod told;
mod whole;
mod worker;

#[cfg(test)]
pub(crate) mod tests;

pub use effect::{Effects, Fact, JobPlace, Notice, Send, Stand};
pub use entry::Job;
pub use event::{Event, Join, Now, Order, RequestId, SessionId};
pub use lane::Rank;
pub use packed::ArtifactTexts;
pub use queue_state::Queue;
pub use restore::Restored;
pub use retry::{PARKED, RETRY, RetryPolicy};
pub use settings::{EnrolmentRules, ProfilePolicy, Settings};
pub use sizes::Sizes;
pub use told::{Live, Progress, Pulse, SetAside, WorkerTold};
pub use whole::Whole;
