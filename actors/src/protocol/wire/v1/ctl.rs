//! Questions and orders of ctl: one stream each. The first frame is a [`Request`], the answer is
//! one or more [`Response`] frames; the end of the stream ends the answer.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::history::{DatedPackage, PastAttempt};
use crate::protocol::{
    AttemptId, BUILD_FAILED, BuildId, Evidence, FaultKind, InputId, JobKey, PublicKey, Sha256,
    Stage, UtcMillis, Verdict, WorkerId,
};

/// From ctl.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Counts and what each worker does.
    Status,
    /// All workers.
    Workers,
    /// Makes a one-time invitation. Admin.
    Invite {
        /// Seconds until it expires.
        ttl_secs: u32,
    },
    /// Takes a worker's rights and requeues its jobs. Admin.
    Revoke {
        /// Key, or number, or name when only one worker has it.
        worker: String,
    },
    /// All profiles.
    Profiles,
    /// Syncs a profile now. Admin.
    SyncRun {
        /// Its name.
        profile: String,
    },
    /// Artifacts.
    Packages(PackageFilter),
    /// The log of the newest attempt at the one job that matches.
    Log {
        /// Which.
        filter: PackageFilter,
        /// Go on while the build runs.
        follow: bool,
    },
    /// The difference of the newest build of the one artifact that matches.
    Difference {
        /// Which.
        filter: PackageFilter,
    },
    /// The attestations of the newest build of the one artifact that matches.
    Attestation {
        /// Which.
        filter: PackageFilter,
    },
    /// The queue, in its order.
    Queue {
        /// Jobs that are not due yet and parked ones too.
        planned: bool,
        /// At most so many rows; `None`: all.
        limit: Option<u32>,
    },
    /// Queues the jobs that match again, now. Admin.
    QueuePush {
        /// Which.
        filter: PackageFilter,
        /// Smaller is sooner.
        priority: i32,
    },
    /// Takes the jobs that match out of the queue until their version changes. Admin.
    QueueDrop {
        /// Which.
        filter: PackageFilter,
    },
    /// Messages that made an actor panic twice and were set aside.
    Quarantine,
    /// What is wrong with workers and profiles.
    Troubles,
    /// The last faults of waiting and parked jobs that match.
    Faults(PackageFilter),
    /// Artifacts that any of the filters matches, each once. At most
    /// [`FILTERS_MAX`](crate::domain::filter::FILTERS_MAX) filters, here and below.
    PackagesOfAny(Vec<PackageFilter>),
    /// Queues the jobs that any of the filters matches again, now. Admin.
    QueuePushAny {
        /// A package that one of them chooses is chosen.
        filters: Vec<PackageFilter>,
        /// Smaller is sooner.
        priority: i32,
    },
    /// Takes the jobs that any of the filters matches out of the queue until their version changes.
    /// Admin.
    QueueDropAny {
        /// A package that one of them chooses is chosen.
        filters: Vec<PackageFilter>,
    },
    /// The attempts at the one job that matches, newest first: at most the newest
    /// [`ATTEMPTS_MAX`](super::history::ATTEMPTS_MAX) whose reports were accepted.
    History(PackageFilter),
    /// What the machines of connected workers give to builds.
    Capabilities,
    /// As [`Request::PackagesOfAny`], with the times of what was first.
    DatedPackages(Vec<PackageFilter>),
}

/// Which artifacts; every field that is given must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageFilter {
    /// Name of binary or source package; `*` and `?` as in a shell.
    pub name: Option<String>,
    /// Exact version.
    pub version: Option<String>,
    /// Shown status.
    pub status: Option<PackageStatus>,
    /// Exact.
    pub distribution: Option<String>,
    /// Exact.
    pub release: Option<String>,
    /// Exact.
    pub component: Option<String>,
    /// Exact.
    pub architecture: Option<String>,
}

/// What is known about an artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PackageStatus {
    /// The latest verdict is `Reproduced`.
    Reproduced,
    /// The latest verdict is `Differs`.
    Differs,
    /// The latest verdict is `Missing`.
    Missing,
    /// The latest build failed.
    BuildFailed,
    /// No verdict: waiting or running.
    Unknown,
    /// No verdict: parked after a fault.
    Parked,
    /// No verdict: an operator took the job out of the queue.
    Dropped,
}

impl PackageStatus {
    /// All of them, as they are listed.
    pub const ALL: [Self; 7] = [
        Self::Reproduced,
        Self::Differs,
        Self::Missing,
        Self::BuildFailed,
        Self::Unknown,
        Self::Parked,
        Self::Dropped,
    ];

    /// `reproduced`, `build-failed`, …: as it is serialized in readable formats, shown in every
    /// table and log, and written in what people expect of a run.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Reproduced => Verdict::Reproduced.word(),
            Self::Differs => Verdict::Differs.word(),
            Self::Missing => Verdict::Missing.word(),
            Self::BuildFailed => BUILD_FAILED,
            Self::Unknown => "unknown",
            Self::Parked => "parked",
            Self::Dropped => "dropped",
        }
    }
}

/// To ctl.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// Answers [`Request::Status`].
    Status(Status),
    /// One row of [`Request::Workers`].
    Worker(Worker),
    /// Answers [`Request::Invite`].
    Invitation {
        /// Text for the worker's command line or configuration.
        token: String,
        /// When it expires.
        expires: UtcMillis,
    },
    /// One row of [`Request::Profiles`].
    Profile(Profile),
    /// One row of [`Request::Packages`].
    Package(Package),
    /// The next bytes of a log, difference or attestation.
    Chunk(Bytes),
    /// One row of [`Request::Queue`].
    Queued(Queued),
    /// What an order did.
    Done {
        /// Jobs, workers or artifacts affected.
        affected: u32,
        /// For people.
        text: String,
    },
    /// One row of [`Request::Quarantine`].
    Quarantined {
        /// Which actor.
        actor: String,
        /// The message and the panic, for people.
        text: String,
        /// When.
        at: UtcMillis,
    },
    /// Several match where one is needed; rows of [`Response::Package`] follow.
    Ambiguous {
        /// How many.
        matches: u32,
    },
    /// The request was not carried out; the last frame.
    Refused {
        /// Stable.
        code: RefusalCode,
        /// What and why, for people.
        text: String,
    },
    /// One row of [`Request::Troubles`] and [`Request::Faults`].
    Trouble(Trouble),
    /// One row of [`Request::History`].
    Attempt(PastAttempt),
    /// One row of [`Request::Capabilities`].
    Capabilities(WorkerCapabilities),
    /// One row of [`Request::DatedPackages`].
    DatedPackage(DatedPackage),
}

/// What the machine of a worker gives to builds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerCapabilities {
    /// Number of a connected worker.
    pub worker: WorkerId,
    /// As it said when it connected: a word for each; never empty.
    pub words: Vec<String>,
}

/// Something that somebody should know of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// What it is about.
    pub subject: Subject,
    /// What is wrong, for people.
    pub text: String,
    /// How often in a row; 1 where that is not counted.
    pub times: u32,
    /// Tried again then; `None`: now, or when something changes.
    pub next: Option<UtcMillis>,
}

/// What a trouble is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Subject {
    /// A worker that gets fewer jobs, or none.
    Worker(WorkerId),
    /// Something that a worker cannot remove; it works on.
    Leftover(WorkerId),
    /// A profile whose sync succeeded, but not as somebody would expect.
    Profile(String),
    /// One release of a profile, which failed while others did not.
    Release {
        /// Name of the profile, as configured.
        profile: String,
        /// Name of the release, as the profile lists it.
        release: String,
    },
    /// A job whose last attempts ended in faults.
    Job(InputId),
}

/// Why a request was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefusalCode {
    /// The key may only read.
    Denied,
    /// Nothing matches.
    NotFound,
    /// The request itself is wrong.
    Invalid,
    /// Something failed inside.
    Internal,
}

/// The coordinator at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// `rebuilder/1.2.3`.
    pub software: String,
    /// Milliseconds since its start.
    pub uptime_ms: u64,
    /// The coordinator's key.
    pub key: PublicKey,
    /// Jobs by where they are.
    pub jobs: JobCounts,
    /// Artifacts by shown status.
    pub artifacts: Vec<(PackageStatus, u32)>,
    /// What runs now.
    pub running: Vec<RunningJob>,
    /// Messages set aside after panics.
    pub quarantined: u32,
}

/// Jobs by where they are; each job is in exactly one place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobCounts {
    /// Could start now.
    pub ready: u32,
    /// Wait for their time.
    pub delayed: u32,
    /// Leased to workers.
    pub running: u32,
    /// Parked with a reason.
    pub parked: u32,
    /// Decided and not to be tried again.
    pub decided: u32,
    /// Dropped by an operator.
    pub dropped: u32,
    /// Milliseconds until the next delayed job is due; `None` when there is none.
    pub next_due_ms: Option<u64>,
}

/// An attempt that a worker holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningJob {
    /// Which.
    pub attempt: AttemptId,
    /// What.
    pub key: JobKey,
    /// Who.
    pub worker: WorkerId,
    /// Its name.
    pub worker_name: String,
    /// `None` before its first status.
    pub stage: Option<Stage>,
    /// Milliseconds since the grant.
    pub age_ms: u64,
    /// Bytes of log, as last told.
    pub log_bytes: u64,
}

/// One worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// Number.
    pub id: WorkerId,
    /// Identity.
    pub key: PublicKey,
    /// As it calls itself.
    pub name: String,
    /// `None` while it is not connected.
    pub address: Option<String>,
    /// True when its rights were taken.
    pub revoked: bool,
    /// Last sign of life; `None`: never since the coordinator's start.
    pub last_seen: Option<UtcMillis>,
    /// Slots offered; 0 while it is not connected.
    pub slots: u16,
    /// Attempts that it holds.
    pub running: u16,
    /// Backends offered.
    pub backends: Vec<String>,
    /// Architectures offered.
    pub architectures: Vec<String>,
    /// Bytes, as last told.
    pub free_memory: u64,
    /// Bytes, as last told.
    pub free_disk: u64,
}

/// One profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// `debian` …
    pub distribution: String,
    /// Jobs in which it has an interest.
    pub jobs: u32,
    /// Artifacts of these.
    pub artifacts: u32,
    /// End of the last sync that succeeded; `None`: none yet.
    pub synced_at: Option<UtcMillis>,
    /// Milliseconds that it took.
    pub synced_in_ms: u64,
    /// Why the last sync failed; `None`: it did not.
    pub error: Option<String>,
    /// When the next one is due; `None`: now, or it is running.
    pub next_at: Option<UtcMillis>,
}

/// One artifact of one membership.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Binary package.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Source package.
    pub source: String,
    /// Distribution.
    pub distribution: String,
    /// Release; `None` where the distribution has none.
    pub release: Option<String>,
    /// Component; `None` where the distribution has none.
    pub component: Option<String>,
    /// Architecture of the artifact.
    pub architecture: String,
    /// Where it is published.
    pub url: String,
    /// File name.
    pub file: String,
    /// Digest that the index names.
    pub sha256: Option<Sha256>,
    /// Shown status.
    pub status: PackageStatus,
    /// The verdict behind it; `None` where there is none.
    pub verdict: Option<Verdict>,
    /// What the verdict rests on; `None` where there is none.
    pub evidence: Option<Evidence>,
    /// True when distributions may gate on it.
    pub gate_grade: bool,
    /// True when accepted verdicts contradict each other.
    pub flaky: bool,
    /// Digest of the rebuilt file; `None` where there is none.
    pub rebuilt_sha256: Option<Sha256>,
    /// The job.
    pub job: InputId,
    /// The build behind the status; `None` where there is none.
    pub build: Option<BuildId>,
    /// When its report was accepted.
    pub built_at: Option<UtcMillis>,
    /// Which worker made it.
    pub worker: Option<WorkerId>,
    /// True when a difference is kept.
    pub has_difference: bool,
    /// What the fault is about, while the job is parked without a verdict, or why a build failed.
    pub reason: Option<String>,
    /// Kind of that fault.
    pub fault: Option<FaultKind>,
}

/// One job of the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queued {
    /// The job.
    pub job: InputId,
    /// What.
    pub key: JobKey,
    /// Releases that want it.
    pub releases: Vec<String>,
    /// Smaller is sooner.
    pub priority: i32,
    /// When it entered.
    pub queued_at: UtcMillis,
    /// Where it is.
    pub place: ShownPlace,
    /// Attempts so far.
    pub attempts: u32,
}

/// Where a job is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShownPlace {
    /// Could start now.
    Ready,
    /// Waits until then.
    Delayed {
        /// UTC.
        until: UtcMillis,
    },
    /// Leased.
    Running {
        /// To whom.
        worker: WorkerId,
        /// Since when.
        since: UtcMillis,
    },
    /// Not tried again until something changes.
    Parked {
        /// Why.
        reason: String,
        /// Tried again then at the latest; `None`: only when something changes.
        until: Option<UtcMillis>,
    },
}
