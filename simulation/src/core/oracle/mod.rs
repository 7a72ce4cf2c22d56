//! What the queue should be: written from the design, not from the queue, slow and plain.
//!
//! It is told every event, works out by itself what must become of each job, and compares that
//! with what the queue wrote and sent. What the queue may choose, which ready job goes to which
//! free worker, it does not work out: it takes each choice from the queue and asks whether it was
//! allowed, and whether one is missing.

mod farm;
mod follow;
mod grants;
mod index;
mod job;
mod jobs;
mod orders;
mod queue_oracle;
mod reports;

pub(super) use queue_oracle::Oracle;
