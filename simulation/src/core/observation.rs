use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rebuilder_actors::domain::queue::{Job, Settings, Whereabouts};
use rebuilder_actors::port::UtcMillis;
use rebuilder_actors::protocol::stored::v1::ReportRecord;
use rebuilder_actors::protocol::wire::v1::coordinator::Answer;
use rebuilder_actors::protocol::{AttemptId, GrantNumber, InputId, JobKey};

/// What checkers see, in order. Of the coordinator only what left it, after its commit.
#[derive(Clone, Debug)]
pub enum Observation {
    /// An assignment was sent, perhaps again.
    Assigned {
        /// Its number.
        number: GrantNumber,
        /// The attempt.
        attempt: AttemptId,
        /// Index of the worker.
        worker: usize,
        /// The coordinator's wall clock, and the latest that it ever showed.
        utc: (UtcMillis, UtcMillis),
    },
    /// A report was accepted.
    Accepted(Arc<ReportRecord>, u64),
    /// A job moved.
    Placed(InputId, Whereabouts),
    /// A job is new, or wanted otherwise.
    Wanted(Arc<Job>),
    /// A worker signed a report.
    Signed {
        /// The attempt.
        attempt: AttemptId,
        /// Index of the worker.
        worker: usize,
        /// True for a fault.
        fault: bool,
    },
    /// A worker received a final answer.
    Answered {
        /// The attempt.
        attempt: AttemptId,
        /// Index of the worker.
        worker: usize,
        /// What it says.
        answer: Answer,
    },
    /// The coordinator received a status.
    Heard(usize),
    /// An attempt ended at its worker without a report, and without an order to stop.
    Forgotten(AttemptId),
    /// A worker's process ended.
    WorkerCrashed(usize),
    /// A coordinator began, from what was durable.
    CoordinatorStarted,
    /// An operator pushed or dropped jobs.
    Ordered,
}

/// How everything stands after it healed.
#[derive(Clone, Debug)]
pub struct End {
    /// What is durable.
    pub durable: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Every job that an index names.
    pub wanted: BTreeSet<JobKey>,
    /// The queue's settings.
    pub settings: Settings,
    /// Reports that workers still hold.
    pub spooled: usize,
}
