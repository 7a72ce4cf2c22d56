//! What the queue tells of its workers to whoever follows: enough to show them without asking it.

use super::effect::{Effects, Fact};
use super::queue_state::Queue;
use super::worker::Worker;
use crate::protocol::wire::v1::worker::Ailment;
use crate::protocol::{Fault, PublicKey, Stage, UtcMillis, WorkerId};

/// A worker, told anew when anything of this changes: it connects, says how its machine is, is set
/// aside, is revoked. What changes with every status is a [`Pulse`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerTold {
    /// Its number, which is never another's.
    pub id: WorkerId,
    /// By which it proves who it is.
    pub key: PublicKey,
    /// As it calls itself.
    pub name: String,
    /// True when its rights were taken.
    pub revoked: bool,
    /// `None` while it is not connected.
    pub live: Option<Live>,
    /// What its machine could not remove, by the process that spoke last.
    pub leftovers: Vec<String>,
    /// Its attempts fail for reasons of its own; `None`: not so.
    pub aside: Option<SetAside>,
}

/// A connected worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// Where from, for people.
    pub address: String,
    /// Attempts at a time.
    pub slots: u16,
    /// Without those that it cannot build with now.
    pub backends: Vec<String>,
    /// Those that it offers; `*` stands for every one.
    pub architectures: Vec<String>,
    /// What its machine gives to builds, a word for each; empty: it did not say.
    pub capabilities: Vec<String>,
    /// Backends that it offers and cannot build with, and why.
    pub ailments: Vec<Ailment>,
}

/// A worker that gets no work for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// Work is given again from then on; a moment of the wall clock.
    pub until: UtcMillis,
    /// Attempts in a row that failed.
    pub faults: u32,
    /// Of the last one.
    pub fault: Fault,
}

/// A sign of life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pulse {
    /// When; `None`: never since the coordinator's start.
    pub at: Option<UtcMillis>,
    /// Bytes; 0 while it is not connected.
    pub free_memory: u64,
    /// Bytes; 0 while it is not connected.
    pub free_disk: u64,
}

/// How far a running attempt is, as its worker last told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What it is at.
    pub stage: Stage,
    /// Bytes of log so far.
    pub log_bytes: u64,
}

impl Queue {
    /// Tells of the workers that something happened to.
    pub(super) fn tell_of_workers(&mut self, effects: &mut Effects) {
        for id in core::mem::take(&mut self.changed) {
            let Some(worker) = self.workers.get(&id) else { continue };
            effects.facts.push(Fact::Worker(Box::new(told(worker))));
            effects.facts.push(Fact::Pulse(id, pulse(worker)));
        }
    }

    /// Everything that is told of workers and of what they do.
    pub(super) fn all_of_workers(&self) -> Vec<Fact> {
        let mut facts = Vec::with_capacity(2 * self.workers.len());
        for (id, worker) in &self.workers {
            facts.push(Fact::Worker(Box::new(told(worker))));
            facts.push(Fact::Pulse(*id, pulse(worker)));
        }
        for lease in self.leases.iter() {
            let progress = |stage| Progress { stage, log_bytes: lease.log_bytes };
            facts.extend(lease.stage.map(|stage| Fact::Progress(lease.attempt, progress(stage))));
        }
        facts
    }
}

fn told(worker: &Worker) -> WorkerTold {
    let live = worker.session.as_ref().map(|session| Live {
        address: session.address.clone(),
        slots: session.offer.slots,
        backends: session.offer.backends.clone(),
        architectures: session.offer.architectures.clone(),
        capabilities: session.capabilities.clone(),
        ailments: worker.condition.ailments.clone(),
    });
    WorkerTold {
        id: worker.record.id,
        key: worker.key,
        name: worker.record.name.clone(),
        revoked: worker.record.revoked_at.is_some(),
        live,
        leftovers: worker.condition.leftovers.clone(),
        aside: worker.setback.told(),
    }
}

pub(super) fn pulse(worker: &Worker) -> Pulse {
    let session = worker.session.as_ref();
    Pulse {
        at: worker.last_seen,
        free_memory: session.map_or(0, |session| session.free_memory),
        free_disk: session.map_or(0, |session| session.free_disk),
    }
}
