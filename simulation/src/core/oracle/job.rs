use core::time::Duration;
use std::collections::BTreeMap;

use rebuilder_actors::domain::queue::Now;
use rebuilder_actors::port::{Group, Monotonic};
use rebuilder_actors::protocol::stored::{self, JobRecord, JobState};
use rebuilder_actors::protocol::wire::BootId;
use rebuilder_actors::protocol::{
    Artifact, AttemptId, BuildInput, Epoch, FaultKind, IndexTrust, InputId, JobKey, RemoteFile,
    WorkerId,
};

/// A job as it should be.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: InputId,
    pub(super) key: JobKey,
    /// By profile and release.
    pub(super) wishes: BTreeMap<(Box<str>, Option<Box<str>>), Wish>,
    pub(super) epoch: u32,
    pub(super) place: Place,
    pub(super) retries: u32,
    pub(super) faults: u32,
    pub(super) grants: Vec<Grant>,
    pub(super) confirmed: Vec<WorkerId>,
    pub(super) avoid: Option<WorkerId>,
    pub(super) memory_over: Option<u64>,
    /// Waits for a worker only: it stays so when the clock steps back.
    pub(super) ready: bool,
}

/// What one profile wants of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) index: IndexTrust,
    pub(super) artifacts: Vec<Artifact>,
    input: BuildInput,
    source: Option<RemoteFile>,
}

#[derive(Clone, Debug)]
pub(super) enum Place {
    Waiting { stay: Stay, due: i64 },
    Leased { stay: Stay, lease: Lease },
    Parked { stay: Stay, kind: FaultKind, until: Option<i64>, times: u32 },
    Decided,
    Dropped,
}

/// A stay in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stay {
    pub(super) priority: i32,
    pub(super) since: i64,
}

#[derive(Clone, Debug)]
pub(super) struct Lease {
    pub(super) epoch: u32,
    pub(super) worker: WorkerId,
    pub(super) number: u64,
    pub(super) deadline: Monotonic,
    pub(super) boot: Option<BootId>,
    /// `None`: not known any more.
    pub(super) assigned: Option<(Vec<Artifact>, IndexTrust)>,
    pub(super) spooled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) epoch: u32,
    pub(super) worker: WorkerId,
    pub(super) number: u64,
    pub(super) answered: bool,
    pub(super) build: bool,
}

impl Wish {
    pub(super) fn of(group: Group) -> Self {
        Self {
            index: group.index,
            artifacts: group.artifacts,
            input: group.input,
            source: group.source_file,
        }
    }
}

impl Job {
    /// As a coordinator finds it when it begins: a lease has a whole period.
    pub(super) fn restored(
        id: InputId,
        record: JobRecord,
        state: &JobState,
        now: Now,
        lease: Duration,
    ) -> Self {
        let wishes = record.memberships.into_iter().map(|m| {
            let artifacts = m.artifacts.into_iter().map(|(_, artifact)| artifact).collect();
            let wish = Wish { index: m.index, artifacts, input: m.input, source: m.source_file };
            ((m.profile, m.release), wish)
        });
        let grants: Vec<Grant> = state.grants.iter().map(grant).collect();
        let stay = |waiting: &stored::Waiting| stay(waiting);
        let place = match &state.place {
            stored::StoredPlace::Queued { waiting, due } => {
                Place::Waiting { stay: stay(waiting), due: due.0 }
            }
            stored::StoredPlace::Leased { waiting, worker, .. } => {
                let granted = grants.iter().find(|grant| grant.epoch == state.epoch.0);
                let lease = Lease {
                    epoch: state.epoch.0,
                    worker: *worker,
                    number: granted.map_or(0, |grant| grant.number),
                    deadline: now.monotonic.plus(lease),
                    boot: None,
                    assigned: None,
                    spooled: false,
                };
                Place::Leased { stay: stay(waiting), lease }
            }
            stored::StoredPlace::Parked { waiting, fault, until, times } => Place::Parked {
                stay: stay(waiting),
                kind: fault.kind,
                until: until.map(|until| until.0),
                times: *times,
            },
            stored::StoredPlace::Decided => Place::Decided,
            stored::StoredPlace::Dropped => Place::Dropped,
        };
        Self {
            id,
            key: record.key,
            wishes: wishes.collect(),
            epoch: state.epoch.0,
            place,
            retries: state.retries,
            faults: state.faults,
            grants,
            confirmed: state.confirmed.clone(),
            avoid: state.avoid,
            memory_over: state.memory_over,
            ready: false,
        }
    }

    pub(super) fn is_wanted(&self) -> bool {
        !self.wishes.is_empty()
    }

    /// Whether it waits for a worker only, when it comes to its place.
    pub(super) fn index(&mut self, now: Now) {
        let due = matches!(self.place, Place::Waiting { due, .. } if due <= now.utc.0);
        self.ready = due && self.is_wanted();
    }

    /// Every file of every content once.
    pub(super) fn artifacts(&self) -> Vec<&Artifact> {
        let mut all: Vec<&Artifact> = Vec::new();
        for artifact in self.wishes.values().flat_map(|wish| &wish.artifacts) {
            if !contains(&all, artifact) {
                all.push(artifact);
            }
        }
        all
    }

    pub(super) fn lease(&self) -> Option<&Lease> {
        match &self.place {
            Place::Leased { lease, .. } => Some(lease),
            _ => None,
        }
    }

    pub(super) fn stay(&self) -> Option<Stay> {
        match &self.place {
            Place::Waiting { stay, .. }
            | Place::Leased { stay, .. }
            | Place::Parked { stay, .. } => Some(*stay),
            Place::Decided | Place::Dropped => None,
        }
    }

    pub(super) fn attempt(&self, epoch: u32) -> AttemptId {
        AttemptId { job: self.id, epoch: Epoch(epoch) }
    }

    /// What is not as written; `None`: nothing.
    pub(super) fn differs(&self, written: &JobState) -> Option<&'static str> {
        let same_grants = written.grants.len() == self.grants.len()
            && written.grants.iter().map(grant).eq(self.grants.iter().copied());
        [
            (written.epoch.0 == self.epoch, "epoch"),
            (self.is_at(&written.place), "place"),
            (written.retries == self.retries, "retries"),
            (written.faults == self.faults, "faults"),
            (same_grants, "grants"),
            (written.confirmed == self.confirmed, "confirmations"),
            (written.avoid == self.avoid, "the worker that is avoided"),
            (written.memory_over == self.memory_over, "memory"),
        ]
        .into_iter()
        .find_map(|(same, what)| (!same).then_some(what))
    }

    fn is_at(&self, written: &stored::StoredPlace) -> bool {
        match (&self.place, written) {
            (
                Place::Waiting { stay: own, due },
                stored::StoredPlace::Queued { waiting, due: other },
            ) => *own == stay(waiting) && *due == other.0,
            (
                Place::Leased { stay: own, lease },
                stored::StoredPlace::Leased { waiting, worker, .. },
            ) => *own == stay(waiting) && lease.worker == *worker,
            (
                Place::Parked { stay: own, kind, until, times },
                stored::StoredPlace::Parked { waiting, fault, until: other, times: more },
            ) => {
                *own == stay(waiting)
                    && *kind == fault.kind
                    && *until == other.map(|other| other.0)
                    && times == more
            }
            (Place::Decided, stored::StoredPlace::Decided)
            | (Place::Dropped, stored::StoredPlace::Dropped) => true,
            _ => false,
        }
    }
}

pub(super) fn contains(all: &[&Artifact], one: &Artifact) -> bool {
    all.iter().any(|other| other.file == one.file && other.sha256 == one.sha256)
}

fn stay(waiting: &stored::Waiting) -> Stay {
    Stay { priority: waiting.priority, since: waiting.queued_at.0 }
}

fn grant(grant: &stored::Grant) -> Grant {
    Grant {
        epoch: grant.epoch.0,
        worker: grant.worker,
        number: grant.number.0,
        answered: grant.answered,
        build: grant.build.is_some(),
    }
}
