//! What the coordinator says on a worker's control stream.

use serde::{Deserialize, Serialize};

use crate::protocol::{Assignment, AttemptId, GrantNumber};

/// To a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// Do this, now. The same number again is the same assignment.
    Assign {
        /// Grows with every grant.
        number: GrantNumber,
        /// What to do.
        assignment: Box<Assignment>,
    },
    /// Stop this attempt; report nothing.
    Cancel {
        /// Which.
        attempt: AttemptId,
        /// Why, for the worker's log.
        reason: String,
    },
    /// The final answer to a report: the spool drops it.
    Answer {
        /// Which.
        attempt: AttemptId,
        /// What became of it.
        answer: Answer,
    },
    /// The report cannot be answered yet: its log is not all here. Send the log, then the report
    /// again.
    LogWanted {
        /// Which.
        attempt: AttemptId,
        /// Bytes that are here.
        length: u64,
    },
}

/// The final answer to a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// It counts, and is durable.
    Accepted,
    /// It is true but changes nothing: a fault of a lost lease, a copy, a job that left the index.
    Superseded,
    /// It is not accepted, ever.
    Refused {
        /// Why.
        reason: String,
    },
}
