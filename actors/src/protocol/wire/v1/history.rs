//! Attempts that ended, and what happened first, as ctl is told of them.

use serde::{Deserialize, Serialize};

use super::ctl::Package;
use crate::protocol::{AttemptId, BuildId, Fault, UtcMillis, WorkerId};

/// Attempts of one job that a history lists: a job that is tried more often has a cause that all of
/// these show, and one answer reads so many records.
pub const ATTEMPTS_MAX: usize = 50;

/// An attempt whose report was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastAttempt {
    /// Which.
    pub attempt: AttemptId,
    /// Who made it.
    pub worker: WorkerId,
    /// Its name; empty when it is not known any more.
    pub worker_name: String,
    /// On the coordinator's clock.
    pub accepted_at: UtcMillis,
    /// On the worker's clock.
    pub started_at: UtcMillis,
    /// On the worker's clock.
    pub finished_at: UtcMillis,
    /// `None` for a fault.
    pub build: Option<BuildId>,
    /// How it ended.
    pub outcome: PastOutcome,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PastOutcome {
    /// Artifacts by verdict.
    Verdicts {
        /// Equal to the published ones.
        reproduced: u32,
        /// Built with other bytes.
        differs: u32,
        /// Not built.
        missing: u32,
    },
    /// The build's own exit status was a failure.
    BuildFailed {
        /// For people.
        reason: String,
    },
    /// A problem of the worker or its surroundings.
    Fault(Fault),
}

/// An artifact, and when what happens to it happened first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatedPackage {
    /// As [`Request::PackagesOfAny`](super::ctl::Request::PackagesOfAny) tells of it.
    pub package: Package,
    /// On the coordinator's clock.
    pub times: FirstTimes,
}

/// When what happens to an artifact happened first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstTimes {
    /// A sync named its job; `None`: before such times were noted.
    pub seen: Option<UtcMillis>,
    /// A build of its job was accepted, be its verdict or failure; `None`: none was yet.
    pub built: Option<UtcMillis>,
    /// A verdict that it differs was accepted; `None`: none ever was.
    pub differed: Option<UtcMillis>,
}
