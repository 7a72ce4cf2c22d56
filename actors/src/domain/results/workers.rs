//! Workers as readers are shown them.

use core::ops::Bound::{Excluded, Unbounded};
use std::collections::BTreeMap;

use super::read_model::ReadModel;
use crate::domain::queue::{Progress, Pulse, WorkerTold};
use crate::protocol::wire::v1::ctl::{Subject, Trouble, Worker, WorkerCapabilities};
use crate::protocol::{AttemptId, UtcMillis, WorkerId};

/// What was told of workers and of the attempts that they run.
#[derive(Debug, Default)]
pub(super) struct Workers {
    told: BTreeMap<WorkerId, (WorkerTold, Pulse)>,
    /// Jobs leased to each; no entry is 0.
    held: BTreeMap<WorkerId, u16>,
    /// Of attempts that run: forgotten with their lease.
    progress: BTreeMap<AttemptId, Progress>,
}

impl Workers {
    pub(super) fn told(&mut self, told: WorkerTold) {
        let pulse = self.told.get(&told.id).map(|(_, pulse)| *pulse).unwrap_or_default();
        self.told.insert(told.id, (told, pulse));
    }

    pub(super) fn pulse(&mut self, id: WorkerId, pulse: Pulse) {
        if let Some((_, last)) = self.told.get_mut(&id) {
            *last = pulse;
        }
    }

    pub(super) fn progress(&mut self, attempt: AttemptId, progress: Progress) {
        self.progress.insert(attempt, progress);
    }

    /// A wanted or unwanted job is leased to a worker, or is not any more.
    pub(super) fn leased(&mut self, worker: WorkerId, attempt: AttemptId, in_: bool) {
        let held = self.held.entry(worker).or_default();
        *held = if in_ { held.saturating_add(1) } else { held.saturating_sub(1) };
        if *held == 0 {
            self.held.remove(&worker);
        }
        if !in_ {
            self.progress.remove(&attempt);
        }
    }

    pub(super) fn progress_of(&self, attempt: AttemptId) -> Option<Progress> {
        self.progress.get(&attempt).copied()
    }

    pub(super) fn name(&self, id: WorkerId) -> Option<&str> {
        self.told.get(&id).map(|(told, _)| told.name.as_str())
    }

    fn row(&self, told: &WorkerTold, pulse: Pulse) -> Worker {
        let live = told.live.as_ref();
        Worker {
            id: told.id,
            key: told.key,
            name: told.name.clone(),
            address: live.map(|live| live.address.clone()),
            revoked: told.revoked,
            last_seen: pulse.at,
            slots: live.map_or(0, |live| live.slots),
            running: self.held.get(&told.id).copied().unwrap_or(0),
            backends: live.map(|live| live.backends.clone()).unwrap_or_default(),
            architectures: live.map(|live| live.architectures.clone()).unwrap_or_default(),
            free_memory: pulse.free_memory,
            free_disk: pulse.free_disk,
        }
    }

    fn behind(
        &self,
        after: Option<WorkerId>,
    ) -> impl Iterator<Item = (WorkerId, &(WorkerTold, Pulse))> {
        let from = after.map_or(Unbounded, Excluded);
        self.told.range((from, Unbounded)).map(|(id, told)| (*id, told))
    }
}

impl ReadModel {
    /// Workers behind `after`, by number.
    pub(super) fn workers(&self, after: Option<WorkerId>) -> impl Iterator<Item = Worker> {
        self.workers.behind(after).map(|(_, (told, pulse))| self.workers.row(told, *pulse))
    }

    /// What those behind `after` that said something give to builds, by number.
    pub(super) fn capabilities(
        &self,
        after: Option<WorkerId>,
    ) -> impl Iterator<Item = WorkerCapabilities> {
        self.workers.behind(after).filter_map(|(worker, (told, _))| {
            let words = told.live.as_ref()?.capabilities.clone();
            (!words.is_empty()).then_some(WorkerCapabilities { worker, words })
        })
    }

    /// What is wrong at `now` with each worker behind `after`, by number.
    pub(super) fn troubles_of_workers(
        &self,
        now: UtcMillis,
        after: Option<WorkerId>,
    ) -> impl Iterator<Item = (WorkerId, Vec<Trouble>)> {
        self.workers.behind(after).map(move |(id, (told, _))| (id, troubles_of(now, told)))
    }

    /// What a worker calls itself; empty: it is unknown.
    pub fn worker_name(&self, id: WorkerId) -> &str {
        self.workers.name(id).unwrap_or_default()
    }
}

fn troubles_of(now: UtcMillis, told: &WorkerTold) -> Vec<Trouble> {
    if told.revoked {
        return Vec::new();
    }
    let worker = Subject::Worker(told.id);
    let one = |subject, text| Trouble { subject, text, times: 1, next: None };
    let ailments = told.live.iter().flat_map(|live| &live.ailments).map(|ailment| {
        one(worker.clone(), format!("cannot build with {}: {}", ailment.backend, ailment.reason))
    });
    let aside = told.aside.iter().filter(|aside| now < aside.until).map(|aside| Trouble {
        subject: worker.clone(),
        text: format!("set aside: {}: {}", aside.fault.kind, aside.fault.detail),
        times: aside.faults,
        next: Some(aside.until),
    });
    let leftovers = told.leftovers.iter().map(|leftover| {
        let text = format!("cannot be removed, tried again at the worker's next start: {leftover}");
        one(Subject::Leftover(told.id), text)
    });
    ailments.chain(aside).chain(leftovers).collect()
}
