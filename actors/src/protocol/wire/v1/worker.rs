//! What a worker says: statuses on the control stream, reports on a one-way stream that it opens
//! once it is let in, so that no status waits behind them.

use serde::{Deserialize, Serialize};

use crate::protocol::{AttemptId, GrantNumber, SignedReport, Stage};

/// From a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// What it is doing; at every change and every 10 s.
    Status(Status),
    /// A finished attempt; sent again on every connection until a final answer came.
    Report(Report),
    /// How the machine is. Before the first status of a connection unless all is well, and at every
    /// change.
    Condition(Condition),
    /// What its machine gives to builds. Before the first status of a connection, unless there is
    /// nothing to name.
    Capabilities(Capabilities),
}

/// What a worker's machine gives to builds, as the process found it at its start. For people and
/// for programs that watch a farm: no job is given or kept for it, and what held one build in is
/// said, signed, in its report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// A word for each, as `seccomp` or `landlock-7`; at most 32 of 64 characters count.
    pub words: Vec<String>,
}

/// How a worker's machine is: whole, so that what is no longer named is over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Backends of the offer with which nothing can be built now; at most 16 count.
    pub ailments: Vec<Ailment>,
    /// What attempts of an earlier process left and could not be removed: path and reason, for
    /// people; at most 16 count.
    pub leftovers: Vec<String>,
}

/// Why nothing can be built with a backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ailment {
    /// As in the offer.
    pub backend: String,
    /// What is missing and what to do, for people; at most 300 characters count.
    pub reason: String,
}

/// What a worker is doing, whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The newest assignment seen from this coordinator; 0 before the first.
    pub seen: GrantNumber,
    /// Attempts that occupy slots, at most as many as the offer has slots.
    pub running: Vec<Running>,
    /// Attempts whose report waits for a final answer; they occupy no slot.
    pub spooled: Vec<AttemptId>,
    /// Bytes of memory that builds can use now; 0 when it cannot be told.
    pub free_memory: u64,
    /// Bytes of disk that builds can use now; 0 when it cannot be told.
    pub free_disk: u64,
}

/// One attempt that occupies a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Which.
    pub attempt: AttemptId,
    /// Where it is.
    pub stage: Stage,
    /// Bytes of log so far.
    pub log_bytes: u64,
}

/// A finished attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Which.
    pub attempt: AttemptId,
    /// What the worker signed.
    pub signed: SignedReport,
}
