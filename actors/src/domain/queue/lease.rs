use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use crate::port::Monotonic;
use crate::protocol::wire::BootId;
use crate::protocol::{
    Artifact, Assignment, AttemptId, GrantNumber, IndexTrust, InputId, Sha256, Stage, WorkerId,
};

/// A job's lease, in memory; the grant itself is stored with the job.
#[derive(Clone, Debug)]
pub(super) struct Lease {
    pub(super) attempt: AttemptId,
    pub(super) worker: WorkerId,
    pub(super) number: GrantNumber,
    /// Lost at this moment unless a sign of life comes.
    pub(super) deadline: Monotonic,
    /// The process that was given it; `None` after a restart of the coordinator.
    pub(super) boot: Option<BootId>,
    /// What was assigned; `None` after a restart of the coordinator: then as wanted now.
    pub(super) assigned: Option<Assigned>,
    pub(super) stage: Option<Stage>,
    pub(super) log_bytes: u64,
}

/// What an attempt's report must be about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Assigned {
    pub(super) artifacts: Vec<Artifact>,
    pub(super) index: IndexTrust,
    pub(super) index_sha256: Option<Sha256>,
}

impl Assigned {
    pub(super) fn of(assignment: &Assignment) -> Self {
        Self {
            artifacts: assignment.artifacts.clone(),
            index: assignment.index,
            index_sha256: assignment.index_sha256,
        }
    }
}

/// All leases: at most one for each job.
#[derive(Debug, Default)]
pub(super) struct Leases {
    by_job: BTreeMap<InputId, Lease>,
    deadlines: BTreeSet<(Monotonic, InputId)>,
}

impl Leases {
    pub(super) fn insert(&mut self, lease: Lease) {
        self.remove(lease.attempt.job);
        self.deadlines.insert((lease.deadline, lease.attempt.job));
        self.by_job.insert(lease.attempt.job, lease);
    }

    pub(super) fn remove(&mut self, job: InputId) -> Option<Lease> {
        let lease = self.by_job.remove(&job)?;
        self.deadlines.remove(&(lease.deadline, job));
        Some(lease)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_job.is_empty()
    }

    pub(super) fn get(&self, job: InputId) -> Option<&Lease> {
        self.by_job.get(&job)
    }

    /// Notes a sign of life: the lease lasts until `deadline`, or up to [`STEP`] less.
    pub(super) fn extend(&mut self, job: InputId, deadline: Monotonic) -> Option<&mut Lease> {
        let lease = self.by_job.get_mut(&job)?;
        if deadline.since(lease.deadline) >= STEP {
            self.deadlines.remove(&(lease.deadline, job));
            lease.deadline = deadline;
            self.deadlines.insert((deadline, job));
        }
        Some(lease)
    }

    /// A job whose lease is lost at `now`.
    pub(super) fn lost(&self, now: Monotonic) -> Option<InputId> {
        self.deadlines.first().filter(|(deadline, _)| *deadline <= now).map(|(_, job)| *job)
    }

    pub(super) fn next_deadline(&self) -> Option<Monotonic> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Lease> {
        self.by_job.values()
    }
}

/// Signs of life come with every change on a worker; a lease follows them in steps of this, a
/// thirtieth of the shortest lease that can be configured.
pub(super) const STEP: Duration = Duration::from_secs(1);
