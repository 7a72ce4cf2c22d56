//! Bugs on purpose: they prove that the simulation's checkers find what they are for.
//!
//! A place in the code that a bug is planted in reads `if planted::is(Bug::LeaseNotChecked)`.
//! Without the feature `planted` that is `false` when it is compiled, and the bug is not in the
//! program at all; `.ci/tidy` checks that the programs which people run are built so. With the
//! feature at most one bug is planted in each thread, none at first.

macro_rules! bugs {
    ($($(#[doc = $doc:literal])+ $bug:ident = $name:literal, $level:ident;)+) => {
        /// A bug that can be planted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Bug {
            $($(#[doc = $doc])+ $bug,)+
        }

        impl Bug {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$bug),+];

            /// As it is called on a command line.
            pub fn name(self) -> &'static str {
                match self { $(Self::$bug => $name),+ }
            }

            /// What goes wrong, for people.
            pub fn about(self) -> &'static str {
                match self { $(Self::$bug => concat!($($doc),+).trim_ascii()),+ }
            }

            /// Which level of the simulation must find it.
            pub fn level(self) -> Level {
                match self { $(Self::$bug => Level::$level),+ }
            }
        }
    };
}

bugs! {
    /// A report counts, whoever was granted its attempt.
    LeaseNotChecked = "lease-not-checked", Core;
    /// A worker is told that its report is accepted before the store has it.
    AcknowledgedBeforeCommit = "acknowledged-before-commit", Both;
    /// What follows from an event leaves the process before its ticket of the store.
    SentBeforeTicket = "sent-before-ticket", Both;
    /// The store says that a write is durable before it is.
    UnsyncedAcknowledged = "unsynced-acknowledged", Both;
    /// A second attempt has the number of the first.
    EpochNotAdvanced = "epoch-not-advanced", Core;
    /// The delay of a retry counts from the day the job was queued, not from the verdict.
    RetryFromQueued = "retry-from-queued", Core;
    /// A fault uses up one of the retries.
    FaultCountedAsRetry = "fault-counted-as-retry", Core;
    /// A verdict counts for nothing once the lease was lost.
    LateVerdictThrownAway = "late-verdict-thrown-away", Core;
    /// A worker forgets a report when it has sent it, before any answer.
    SpoolDeletedOnSend = "spool-deleted-on-send", Both;
    /// Any status extends every lease of its worker.
    HeartbeatKeepsDead = "heartbeat-keeps-dead", Both;
    /// A restarted coordinator queues what was leased.
    LeasesForgottenAtStart = "leases-forgotten-at-start", Core;
    /// A job is first seen whenever a sync changes it.
    FirstSeenMoves = "first-seen-moves", Core;
    /// What leaves the index of one profile leaves the others too.
    ScopeWipesOther = "scope-wipes-other", Core;
    /// Jobs are granted without regard to their priority.
    PriorityIgnored = "priority-ignored", Core;
    /// Leases run on the wall clock, which steps.
    LeaseOnWallClock = "lease-on-wall-clock", Core;
    /// An attempt that was cancelled counts as a failed build.
    CancelledIsFailed = "cancelled-is-failed", Core;
    /// Log chunks are read from a build as fast as it writes and wait in memory.
    LogChunksUnbounded = "log-chunks-unbounded", Cluster;
    /// Everybody may ask as much at a time as fits into the connection.
    ReadersUnbounded = "readers-unbounded", Cluster;
    /// A report is accepted before its log is kept.
    LogNotKept = "log-not-kept", Cluster;
    /// What a worker has not seen is sent again in the order of jobs, not of grants.
    SentAgainOutOfOrder = "sent-again-out-of-order", Cluster;
    /// A worker that starts again does not read its spool.
    SpoolNotRead = "spool-not-read", Cluster;
    /// A worker that cannot read its spool goes on as if there were nothing.
    UnreadableSpoolEmpty = "unreadable-spool-empty", Cluster;
    /// Logs that nothing names stay for ever.
    VainLogsStay = "vain-logs-stay", Cluster;
    /// A coordinator that starts removes the logs of accepted reports as well.
    NamedLogsGo = "named-logs-go", Cluster;
    /// A collection removes logs that were sealed after it began.
    CollectionTakesNewLogs = "collection-takes-new-logs", Cluster;
    /// A status that was sent before a grant arrived ends it.
    StaleStatusEndsLease = "stale-status-ends-lease", Core;
    /// The fault of a lost lease ends the attempt that followed it.
    LateFaultCancels = "late-fault-cancels", Core;
    /// A status that crossed the order to stop brings its lease back.
    CancelledLeaseRevived = "cancelled-lease-revived", Core;
    /// The limit of retries is not looked at.
    RetriesWithoutLimit = "retries-without-limit", Core;
    /// A parked job has no day on which it is tried again.
    ParkedForEver = "parked-for-ever", Core;
    /// A version that left the index is still built.
    GoneVersionBuilt = "gone-version-built", Core;
    /// The next change of the index brings back what an operator dropped.
    DropForgotten = "drop-forgotten", Core;
    /// Nobody wakes the queue when a delayed job is due.
    DueNotWoken = "due-not-woken", Core;
    /// A report that was answered is accepted again.
    AnsweredTwice = "answered-twice", Core;
    /// Numbers given out are not stored: a restart gives them out again.
    NumbersReused = "numbers-reused", Core;
    /// Files that differ are said to be reproduced.
    DiffersIsReproduced = "differs-is-reproduced", Core;
    /// A report is sent once only, whatever became of its connection.
    SpoolNotSentAgain = "spool-not-sent-again", Core;
    /// Artifacts that joined during the build count as built.
    JoinedForgotten = "joined-forgotten", Core;
    /// One key confirms as often as it likes.
    OneKeyConfirms = "one-key-confirms", Core;
    /// A worker is given more than it has slots.
    SlotsIgnored = "slots-ignored", Core;
    /// A connection that is gone stays in memory.
    SessionsLeak = "sessions-leak", Core;
    /// A queue with a free worker and a ready job does nothing until somebody calls.
    GrantsForgotten = "grants-forgotten", Core;
    /// A copy of any fault is said to be accepted, also where the fault was superseded.
    CopiedFaultAccepted = "copied-fault-accepted", Core;
    /// Where nobody has more memory than was not enough, whoever asks first tries again.
    SmallestTriesAgain = "smallest-tries-again", Core;
    /// Where all places are taken, an enrolled key is refused as a stranger is.
    StrangersKeepPlaces = "strangers-keep-places", Cluster;
    /// What waits for a worker that does not read grows without bounds.
    DeafWorkerKept = "deaf-worker-kept", Cluster;
    /// Every status is handled, however many there are.
    StatusesUnpaced = "statuses-unpaced", Cluster;
    /// Each status that tells of an attempt which was cancelled cancels it again.
    CancelledAgain = "cancelled-again", Cluster;
    /// Time in which the coordinator itself did nothing counts as silence of its workers.
    StallCountedAsSilence = "stall-counted-as-silence", Core;
    /// A second process with a worker's key takes the place of one that answers.
    CopiedMachineLetIn = "copied-machine-let-in", Core;
    /// A worker whose attempts all end in faults of its own is given work as any other.
    FailingWorkerKept = "failing-worker-kept", Core;
    /// The store takes commits of a process that it was taken from.
    FenceForgotten = "fence-forgotten", Cluster;
    /// A fault is kept as a verdict, with a build.
    FaultIsVerdict = "fault-is-verdict", Core;
}

/// A level of the simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The pure part finds it.
    Core,
    /// Only the whole finds it.
    Cluster,
    /// Each for itself: the core level has a model of that part.
    Both,
}

/// True where this bug is planted.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub const fn is(_: Bug) -> bool {
    false
}

#[cfg(feature = "planted")]
pub use switch::{is, plant};

#[cfg(feature = "planted")]
mod switch {
    use core::cell::Cell;

    use super::Bug;

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// True where this bug is planted.
    #[inline]
    pub fn is(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }

    /// Plants a bug in this thread, in place of the one before; `None`: no bug.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
    }
}

impl core::str::FromStr for Bug {
    type Err = UnknownBug;

    fn from_str(name: &str) -> Result<Self, UnknownBug> {
        let found = Self::ALL.iter().find(|bug| bug.name() == name);
        found.copied().ok_or_else(|| UnknownBug(name.into()))
    }
}

impl core::fmt::Display for Bug {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(self.name())
    }
}

/// No bug has that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no bug `{0}` to plant: `cargo sim mutants --list` names them")]
pub struct UnknownBug(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bug_is_found_by_its_name_and_none_is_planted() {
        for bug in Bug::ALL {
            assert_eq!(bug.name().parse(), Ok(*bug));
            assert!(!is(*bug));
        }
        assert_eq!("x".parse::<Bug>(), Err(UnknownBug("x".into())));
    }
}
