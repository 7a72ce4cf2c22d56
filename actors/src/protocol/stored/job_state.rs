use serde::{Deserialize, Serialize};

use super::{Record, Versioned};
use crate::protocol::{BuildId, Epoch, Fault, GrantNumber, InputId, QueueId, UtcMillis, WorkerId};

/// Where a job is. Written at every step of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobState {
    /// The last attempt granted.
    pub epoch: Epoch,
    /// Where it is.
    pub place: StoredPlace,
    /// Verdicts that called for a retry since the last push.
    pub retries: u32,
    /// Faults of a moment in a row.
    pub faults: u32,
    /// The last attempts: to whom each was granted. At most [`JobState::GRANTS_MAX`].
    pub grants: Vec<Grant>,
    /// Keys that found every artifact reproduced, while more are asked for.
    pub confirmed: Vec<WorkerId>,
    /// The worker of the last fault of a moment; others are preferred.
    pub avoid: Option<WorkerId>,
    /// Free memory, bytes, that was not enough; `None`: no attempt ran out of it.
    pub memory_over: Option<u64>,
}

impl JobState {
    /// Grants kept for late reports; an older attempt's report is refused.
    pub const GRANTS_MAX: usize = 64;
}

/// One attempt's right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The attempt.
    pub epoch: Epoch,
    /// To whom.
    pub worker: WorkerId,
    /// The grant's number.
    pub number: GrantNumber,
    /// True once its report had its final answer.
    pub answered: bool,
    /// The build that it became; `None`: none, or none yet.
    pub build: Option<BuildId>,
}

/// A stay in the queue: kept while leased, so that a lost job goes back to its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Number of the stay.
    pub queue: QueueId,
    /// Smaller is sooner.
    pub priority: i32,
    /// When it began.
    pub queued_at: UtcMillis,
}

/// Where a job is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoredPlace {
    /// In the queue.
    Queued {
        /// The stay.
        waiting: Waiting,
        /// Not before; 0: at once.
        due: UtcMillis,
    },
    /// With a worker.
    Leased {
        /// The stay to go back to.
        waiting: Waiting,
        /// Who has it.
        worker: WorkerId,
        /// Since when.
        granted_at: UtcMillis,
    },
    /// Not tried again until something changes.
    Parked {
        /// The stay that ended so.
        waiting: Waiting,
        /// Why.
        fault: Fault,
        /// Tried again then; `None`: only when something changes.
        until: Option<UtcMillis>,
        /// How often in a row.
        times: u32,
    },
    /// A verdict that needs no retry, or no retry is left.
    Decided,
    /// Taken out by an operator until the version changes.
    Dropped,
}

impl Versioned for JobState {
    const VERSION: u8 = 1;
}

impl Record for JobState {
    const TABLE: u8 = b's';
    const PLURAL: &'static str = "states of jobs";
    /// The job.
    type Key = InputId;
}

#[cfg(test)]
mod tests {
    use super::super::record_test as sample;
    use super::*;

    #[test]
    fn the_bytes_stay_as_they_are() {
        let record = JobState {
            epoch: Epoch(3),
            place: StoredPlace::Parked {
                waiting: Waiting { queue: QueueId(9), priority: -1, queued_at: UtcMillis(1000) },
                fault: sample::fault(),
                until: Some(UtcMillis(5)),
                times: 2,
            },
            retries: 1,
            faults: 2,
            grants: vec![Grant {
                epoch: Epoch(3),
                worker: WorkerId(1),
                number: GrantNumber(7),
                answered: true,
                build: Some(BuildId(4)),
            }],
            confirmed: vec![WorkerId(1)],
            avoid: Some(WorkerId(2)),
            memory_over: Some(1 << 30),
        };
        super::super::record_test::check(
            &InputId(258),
            "7300000102",
            &record,
            "0103021201d00f020164010a0201020103020701010801020104018080808004",
        );
    }
}
