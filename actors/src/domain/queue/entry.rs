use std::sync::Arc;

use super::lane::Standing;
use super::packed::{ArtifactTexts, Packed};
use crate::port::Group;
use crate::protocol::stored::{JobRecord, JobState, Membership, StoredPlace};
use crate::protocol::{Artifact, Epoch, Fault, InputId, JobKey, UtcMillis};

/// A job's fixed part, shared with readers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Number.
    pub id: InputId,
    /// Identity, shared with the index by it.
    pub key: Arc<JobKey>,
    /// See [`Job::memberships`].
    packed: Packed,
    /// When a sync first named it; `None`: before that was noted.
    pub first_seen: Option<UtcMillis>,
}

impl Job {
    /// A job that these want: sorted by profile, then release; none once nobody wants it.
    pub fn new(
        id: InputId,
        key: Arc<JobKey>,
        memberships: &[Membership],
        first_seen: Option<UtcMillis>,
    ) -> Self {
        Self { id, key, packed: Packed::new(memberships), first_seen }
    }

    /// As it is stored.
    pub(super) fn record(&self) -> JobRecord {
        JobRecord {
            key: JobKey::clone(&self.key),
            memberships: self.memberships(),
            first_seen: self.first_seen,
        }
    }

    /// Sorted by profile, then release; empty once nobody wants it. Unpacked in about a
    /// microsecond.
    pub fn memberships(&self) -> Vec<Membership> {
        self.packed.unpack()
    }

    /// True when somebody wants it.
    pub fn is_wanted(&self) -> bool {
        !self.packed.is_empty()
    }

    /// True when `profile` wants it, for any release.
    pub fn is_wanted_by(&self, profile: &str) -> bool {
        self.packed.names(profile)
    }

    /// True when `profile` wants it for several releases.
    pub(super) fn is_wanted_twice(&self, profile: &str) -> bool {
        self.packed.count(profile) > 1
    }

    /// True when one of its artifacts, with the release of its membership, is as asked for. Costs a
    /// third of what it takes to unpack the memberships.
    pub fn has(&self, is_asked: impl Fn(Option<&str>, &ArtifactTexts<'_>) -> bool) -> bool {
        self.packed.has(is_asked)
    }

    /// The release of each membership that has one, in their order.
    pub fn releases(&self) -> Vec<String> {
        self.packed.releases()
    }

    /// True when `profile` wants it exactly as `group` says, of the archives with this number.
    pub(super) fn is_as(&self, profile: &str, group: &Group, archives: i32) -> bool {
        self.packed.says(profile, group, archives)
    }

    /// All artifacts of all memberships, each file of each content once, in order of file name.
    pub fn artifacts(&self) -> Vec<Artifact> {
        let memberships = self.memberships().into_iter();
        let mut artifacts: Vec<Artifact> =
            memberships.flat_map(|m| m.artifacts.into_iter().map(|(_, a)| a)).collect();
        artifacts.sort_unstable_by(|a, b| (&a.file, &a.sha256).cmp(&(&b.file, &b.sha256)));
        artifacts.dedup_by(|a, b| a.file == b.file && a.sha256 == b.sha256);
        artifacts
    }

    /// `hostname 3.23 (amd64)`, for people.
    pub fn label(&self) -> String {
        format!("{} {} ({})", self.key.source, self.key.version, self.key.architecture)
    }
}

/// A job in the queue's memory.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) job: Arc<Job>,
    pub(super) state: JobState,
    /// `None` while the job does not stand among the ready ones.
    pub(super) ready: Option<Standing>,
    /// The last fault of this process' time, for people.
    pub(super) fault: Option<Arc<Fault>>,
}

impl Entry {
    pub(super) fn new(job: Arc<Job>, place: StoredPlace) -> Self {
        let state = JobState {
            epoch: Epoch(0),
            place,
            retries: 0,
            faults: 0,
            grants: Vec::new(),
            confirmed: Vec::new(),
            avoid: None,
            memory_over: None,
        };
        Self { job, state, ready: None, fault: None }
    }

    /// True when a membership is left.
    pub(super) fn wanted(&self) -> bool {
        self.job.is_wanted()
    }
}
