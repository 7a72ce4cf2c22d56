use serde::{Deserialize, Serialize};

use crate::port::UtcMillis;
use crate::protocol::{AttemptId, BuildId, Evidence, Fault, Sha256, Verdict, WorkerId};

/// An accepted report, without its signed bytes (these are under the same sequence number).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportRecord {
    /// The attempt.
    pub attempt: AttemptId,
    /// Who made it.
    pub worker: WorkerId,
    /// When it was accepted.
    pub accepted_at: UtcMillis,
    /// When work began, on the worker's clock.
    pub started_at: UtcMillis,
    /// When it ended, on the worker's clock.
    pub finished_at: UtcMillis,
    /// `None` for a fault.
    pub build: Option<BuildId>,
    /// What it says.
    pub outcome: Outcome,
    /// What it rests on.
    pub evidence: Evidence,
    /// Digest of the log as kept.
    pub log: Sha256,
    /// Bytes of the log as kept; 0: there is none.
    pub log_bytes: u64,
}

/// What an accepted report says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// By file name: the verdict, and the digest of the rebuilt file if there is one.
    Verdicts(Vec<(Box<str>, Verdict, Option<Sha256>)>),
    /// The build's own exit status was a failure.
    BuildFailed {
        /// For people.
        reason: String,
    },
    /// A problem of ours.
    Fault(Fault),
}

/// An explanation of one artifact's difference, kept as a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DifferenceRecord {
    /// Digest of the text: the blob's name.
    pub sha256: Sha256,
    /// Bytes of the text.
    pub size: u64,
}

/// A message that made an actor panic twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineRecord {
    /// Which actor.
    pub actor: String,
    /// The message and the panic, for people.
    pub text: String,
    /// When.
    pub at: UtcMillis,
}
