use crate::domain::report::VerifiedReport;
use crate::port::{Doubt, Group, Monotonic};
use crate::protocol::wire::v1::ctl::PackageFilter;
use crate::protocol::wire::v1::worker::{Capabilities, Condition, Status};
use crate::protocol::wire::{BootId, Enrolment, Offer};
use crate::protocol::{
    AttemptId, BuildId, IndexState, InputId, PublicKey, Sha256, SignedReport, UtcMillis,
};

/// Both clocks, read once for an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For leases.
    pub monotonic: Monotonic,
    /// For retries and what people read.
    pub utc: UtcMillis,
}

/// One connection of a worker, numbered by its coordinator process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// Names a question to which an answer is owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// A worker that wants in, its key proved by TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// Its connection.
    pub session: SessionId,
    /// Its key.
    pub worker: PublicKey,
    /// Where from, for people.
    pub address: String,
    /// Its process.
    pub boot: BootId,
    /// What it can build.
    pub offer: Offer,
    /// How it proves that it may.
    pub enrolment: Option<Enrolment>,
    /// The connection's exporter, to which a proof is bound.
    pub exporter: [u8; 32],
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A worker wants in.
    Joined(Box<Join>),
    /// A worker's connection is gone.
    Left(SessionId),
    /// A worker's connection was asked for a sign of life: [`Send::Probe`](super::Send::Probe).
    Probed {
        /// Which.
        session: SessionId,
        /// False when none came in time.
        answered: bool,
    },
    /// A worker told what it is doing.
    StatusReceived(SessionId, Status),
    /// A worker told how its machine is.
    Condition(SessionId, Condition),
    /// A worker told what its machine gives to builds.
    Capabilities(SessionId, Capabilities),
    /// A worker reported; signatures and log are verified.
    Reported {
        /// Over which connection.
        session: SessionId,
        /// What it signed.
        report: Box<VerifiedReport>,
        /// The same with the coordinator's signature added.
        countersigned: SignedReport,
    },
    /// A report of this attempt, over this connection, made the coordinator panic twice and was set
    /// aside unread.
    SetAside(SessionId, AttemptId),
    /// A worker wants to send a log or a difference.
    UploadAsked {
        /// Over which connection.
        session: SessionId,
        /// To answer.
        request: RequestId,
        /// Of which attempt.
        attempt: AttemptId,
        /// `None` for a log.
        file: Option<String>,
    },
    /// A difference was received whole and is durable.
    DifferenceStored {
        /// The build.
        build: BuildId,
        /// The artifact.
        file: String,
        /// Digest of the text.
        sha256: Sha256,
        /// Bytes of the text.
        size: u64,
    },
    /// A profile's index was read whole; its parts follow.
    SyncBegan {
        /// The profile.
        profile: Box<str>,
    },
    /// What of a profile's index could not be read; before its parts.
    SyncDoubts {
        /// Name of the profile, as configured.
        profile: Box<str>,
        /// What is not gone, though no part may name it.
        doubts: Vec<Doubt>,
    },
    /// A part of a profile's index, after the whole was read and verified.
    SyncPage {
        /// The profile.
        profile: Box<str>,
        /// At most 1,000.
        groups: Vec<Group>,
    },
    /// Releases that no part is about: what they named before is still wanted.
    SyncKept {
        /// Name of the profile, as configured.
        profile: Box<str>,
        /// As groups name them.
        releases: Vec<Box<str>>,
    },
    /// The last part was sent.
    SyncEnded {
        /// The profile.
        profile: Box<str>,
        /// To remember.
        index: IndexState,
        /// Milliseconds that it took.
        took_ms: u64,
    },
    /// An operator's order.
    Ordered(RequestId, Order),
    /// Time passed.
    Ticked,
}

/// What an operator orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Make an invitation.
    Invite {
        /// Drawn at random.
        id: [u8; 8],
        /// SHA-256 of the secret, drawn at random.
        secret_sha256: Sha256,
        /// Seconds until it expires.
        ttl_secs: u32,
    },
    /// Take a worker's rights.
    Revoke {
        /// Key, number or name.
        worker: String,
    },
    /// Queue again, now.
    Push {
        /// Which.
        filter: PackageFilter,
        /// Smaller is sooner.
        priority: i32,
    },
    /// Take out until the version changes.
    Drop {
        /// Which.
        filter: PackageFilter,
    },
    /// As `Push`, of jobs that the read model chose, for example by what is known about them.
    PushJobs {
        /// Which; those that are not wanted any more are passed over.
        jobs: Vec<InputId>,
        /// Smaller is sooner.
        priority: i32,
    },
    /// As `Drop`, of jobs that the read model chose.
    DropJobs {
        /// Which; those that are not wanted any more are passed over.
        jobs: Vec<InputId>,
    },
}
