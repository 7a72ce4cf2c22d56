use serde::{Deserialize, Serialize};

use crate::port::{IndexState, UtcMillis};
use crate::protocol::{
    Archive, Artifact, ArtifactId, BuildId, BuildInput, Epoch, Fault, GrantNumber, IndexTrust,
    JobKey, QueueId, RemoteFile, SourceId, WorkerId,
};

/// The last number given out of each kind; 0 before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Source packages.
    pub source: i32,
    /// Jobs.
    pub input: i32,
    /// Artifacts of memberships.
    pub artifact: i32,
    /// Accepted attempts with a verdict.
    pub build: i32,
    /// Stays in the queue.
    pub queue: i32,
    /// Worker keys.
    pub worker: i32,
    /// Sets of archives.
    pub archives: i32,
    /// Grants.
    pub grant: u64,
    /// Accepted reports.
    pub report: u64,
}

/// What is built, and who wants it. Written by a sync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRecord {
    /// Identity.
    pub key: JobKey,
    /// Sorted by profile, then release; empty once nobody wants it.
    pub memberships: Vec<Membership>,
}

/// A profile's interest in a job, for one release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The profile.
    pub profile: Box<str>,
    /// `None` where the distribution has no releases.
    pub release: Option<Box<str>>,
    /// The source package in this release.
    pub source: SourceId,
    /// How the artifacts were built.
    pub input: BuildInput,
    /// The source as the index names it.
    pub source_file: Option<RemoteFile>,
    /// Number of the set of archives that the environment comes from.
    pub archives: i32,
    /// How far the index was trusted.
    pub index: IndexTrust,
    /// Sorted by file name.
    pub artifacts: Vec<(ArtifactId, Artifact)>,
}

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

/// A set of archives that many jobs share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchivesRecord {
    /// In order of preference.
    pub archives: Vec<Archive>,
}

/// What is remembered of a profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileRecord {
    /// State of its index at the last sync that was used.
    pub index: IndexState,
    /// End of that sync.
    pub synced_at: UtcMillis,
    /// Milliseconds that it took.
    pub synced_in_ms: u64,
}
