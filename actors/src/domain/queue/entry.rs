use super::lane::Standing;
use crate::protocol::stored::v1::{JobState, Membership, Place};
use crate::protocol::{Artifact, Epoch, InputId, JobKey};
use std::sync::Arc;

/// A job's fixed part, shared with readers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Number.
    pub id: InputId,
    /// Identity, shared with the index by it.
    pub key: Arc<JobKey>,
    /// Sorted by profile, then release; empty once nobody wants it.
    pub memberships: Vec<Membership>,
}

impl Job {
    /// All artifacts of all memberships, each file of each content once, in order of file name.
    pub fn artifacts(&self) -> Vec<Artifact> {
        let mut artifacts: Vec<&Artifact> =
            self.memberships.iter().flat_map(|m| m.artifacts.iter().map(|(_, a)| a)).collect();
        artifacts.sort_unstable_by(|a, b| (&a.file, &a.sha256).cmp(&(&b.file, &b.sha256)));
        artifacts.dedup_by(|a, b| a.file == b.file && a.sha256 == b.sha256);
        artifacts.into_iter().cloned().collect()
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
}

impl Entry {
    pub(super) fn new(job: Arc<Job>, place: Place) -> Self {
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
        Self { job, state, ready: None }
    }

    /// True when a membership is left.
    pub(super) fn wanted(&self) -> bool {
        !self.job.memberships.is_empty()
    }
}
