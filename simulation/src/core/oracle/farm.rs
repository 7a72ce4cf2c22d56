use core::time::Duration;
use std::collections::BTreeSet;

use rebuilder_actors::domain::queue::{Effects, Join, Send, SessionId};
use rebuilder_actors::port::Monotonic;
use rebuilder_actors::protocol::wire::{BootId, Offer};
use rebuilder_actors::protocol::{AttemptId, PublicKey, WorkerId};

use super::job::{Job, Lease};
use super::queue_oracle::Oracle;

/// A worker as it should be known.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) key: PublicKey,
    pub(super) session: Option<Session>,
    /// A second process that waits for the first one's answer.
    waiting: Option<Join>,
    /// Its attempts in a row that ended in faults of its own.
    pub(super) own_faults: u32,
    /// After the fourth of these it is given nothing until then.
    pub(super) aside: Monotonic,
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) boot: BootId,
    pub(super) offer: Offer,
    pub(super) heard: Monotonic,
    /// Told what it does, and was not silent for a lease since.
    pub(super) told: bool,
    /// Attempts that occupy its slots, as told, and those that it was told to stop.
    pub(super) running: Vec<AttemptId>,
    /// Attempts that it was told to stop and still tells of, or may begin once it sees the grant of
    /// this number: it is not told again.
    pub(super) cancelled: Vec<(AttemptId, u64)>,
    /// The newest grant that it has seen.
    pub(super) seen: u64,
    /// Answered, and perhaps still called running by a status on its way.
    pub(super) ended: BTreeSet<AttemptId>,
    pub(super) free_memory: u64,
}

/// One that was silent for longer is given nothing, and does not keep a second process out.
const SILENT: Duration = Duration::from_secs(15);

impl Worker {
    pub(super) fn new(key: PublicKey) -> Self {
        let (own_faults, aside) = (0, Monotonic::default());
        Self { key, session: None, waiting: None, own_faults, aside }
    }
}

impl Oracle {
    /// All workers are authorized here. A second process waits while the first seems to be there,
    /// and is in once that does not answer; all processes of a worker have one address.
    pub(super) fn joined(&mut self, join: &Join, effects: &Effects) -> Result<(), String> {
        let id = self.keys.get(&join.worker).copied();
        let worker = id.and_then(|id| self.workers.get_mut(&id));
        let Some(worker) = worker else { return self.came(None, join, effects) };
        let old = worker.session.as_ref();
        let there =
            old.filter(|old| self.now.monotonic.since(old.heard) < SILENT && old.boot != join.boot);
        let Some(old) = there.map(|old| old.id) else {
            let waited = worker.waiting.take();
            self.came(id, join, effects)?;
            return waited.map_or(Ok(()), |waited| is_closed(waited.session, effects));
        };
        if is_admitted(join.session, effects) {
            return Err(format!("{:?} was let in beside another process", join.session));
        }
        match worker.waiting.as_ref().map(|waiting| (waiting.session, waiting.boot)) {
            Some((_, boot)) if boot != join.boot => return is_closed(join.session, effects),
            Some((waited, _)) => is_closed(waited, effects)?,
            None => {
                let asked =
                    |send: &Send| matches!(send, Send::Probe { session, .. } if *session == old);
                if !effects.sends.iter().any(asked) {
                    return Err(format!("{old:?} was not asked whether it is there"));
                }
            }
        }
        worker.waiting = Some(join.clone());
        Ok(())
    }

    /// Whether the first process answered decides about the second one.
    pub(super) fn probed(
        &mut self,
        session: SessionId,
        answered: bool,
        effects: &Effects,
    ) -> Result<(), String> {
        let Some(id) = self.at(session) else { return Ok(()) };
        let worker = self.workers.get_mut(&id);
        let Some((worker, join)) = worker.and_then(|w| w.waiting.take().map(|join| (w, join)))
        else {
            return Ok(());
        };
        if answered {
            return is_closed(join.session, effects);
        }
        worker.session = None;
        is_closed(session, effects)?;
        self.came(Some(id), &join, effects)
    }

    /// A process is in.
    fn came(&mut self, id: Option<WorkerId>, join: &Join, effects: &Effects) -> Result<(), String> {
        if !is_admitted(join.session, effects) {
            return Err(format!("{:?} was not let in", join.session));
        }
        if let Some(worker) = id.and_then(|id| self.workers.get_mut(&id)) {
            worker.session = Some(Session {
                id: join.session,
                boot: join.boot,
                offer: join.offer.clone(),
                heard: self.now.monotonic,
                told: false,
                running: Vec::new(),
                cancelled: Vec::new(),
                seen: 0,
                ended: BTreeSet::new(),
                free_memory: 0,
            });
        }
        Ok(())
    }

    pub(super) fn left(&mut self, session: SessionId, effects: &Effects) -> Result<(), String> {
        let mut next = None;
        for (id, worker) in &mut self.workers {
            worker.waiting.take_if(|waiting| waiting.session == session);
            if worker.session.as_ref().is_some_and(|live| live.id == session) {
                worker.session = None;
                next = worker.waiting.take().map(|join| (*id, join));
            }
        }
        next.map_or(Ok(()), |(id, join)| self.came(Some(id), &join, effects))
    }

    /// The worker whose live connection this is.
    pub(super) fn at(&self, session: SessionId) -> Option<WorkerId> {
        let mut workers = self.workers.iter();
        let found = workers
            .find(|(_, worker)| worker.session.as_ref().is_some_and(|live| live.id == session));
        found.map(|(id, _)| *id)
    }

    /// Its connection, if it tells what it does.
    pub(super) fn attentive(&self, id: WorkerId) -> Option<&Session> {
        let worker = self.workers.get(&id)?;
        if self.now.monotonic < worker.aside {
            return None;
        }
        let session = worker.session.as_ref()?;
        let silent = self.now.monotonic.since(session.heard) >= SILENT;
        (session.told && !silent).then_some(session)
    }

    /// An attempt ended in a fault of its machine, or in a verdict.
    pub(super) fn machine(&mut self, id: WorkerId, failed: bool) {
        let now = self.now.monotonic;
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if !failed {
            worker.own_faults = 0;
            worker.aside = Monotonic::default();
            return;
        }
        worker.own_faults += 1;
        // One minute, then two, four …, never more than an hour.
        let minutes = [1, 2, 4, 8, 16, 32, 60];
        if let Some(further) = worker.own_faults.checked_sub(4) {
            let minutes = minutes[(further as usize).min(minutes.len() - 1)];
            worker.aside = now.plus(Duration::from_secs(60 * minutes));
        }
    }

    /// Leases of a worker.
    pub(super) fn held(&self, id: WorkerId) -> impl Iterator<Item = (&Job, &Lease)> {
        let leased = self.jobs.values().filter_map(|job| Some((job, job.lease()?)));
        leased.filter(move |(_, lease)| lease.worker == id)
    }

    /// Slots that nothing occupies. Up to 64 finished attempts occupy none.
    pub(super) fn free_slots(&self, id: WorkerId) -> usize {
        let Some(session) = self.attentive(id) else { return 0 };
        let (mut taken, mut spooled) = (session.running.len(), 0);
        for (job, lease) in self.held(id) {
            spooled += usize::from(lease.spooled);
            let told = session.running.contains(&job.attempt(lease.epoch));
            if !told && (!lease.spooled || spooled > 64) {
                taken += 1;
            }
        }
        let begins = |(attempt, number): &&(AttemptId, u64)| {
            *number > session.seen && !session.running.contains(attempt)
        };
        taken += session.cancelled.iter().filter(begins).count();
        usize::from(session.offer.slots).saturating_sub(taken)
    }

    /// It can do the job, and did not confirm it.
    pub(super) fn fits(&self, id: WorkerId, offer: &Offer, job: &Job) -> bool {
        let same = |offered: &str, wanted: &str| {
            let plain = |name| match name {
                "x86_64" => "amd64",
                "aarch64" => "arm64",
                name => name,
            };
            offered == "*" || plain(offered) == plain(wanted)
        };
        let profiles = job.wishes.keys().map(|(profile, _)| profile);
        let policies = profiles.filter_map(|profile| self.settings.profiles.get(profile));
        let mut tags = policies.flat_map(|policy| &policy.tags);
        !job.confirmed.contains(&id)
            && offer.backends.iter().any(|backend| **backend == *job.key.backend)
            && offer.architectures.iter().any(|offered| same(offered, &job.key.architecture))
            && tags.all(|tag| offer.tags.contains(tag))
    }

    /// It fits, is not the worker of the last fault, and has more memory than was not enough.
    pub(super) fn suits(&self, id: WorkerId, session: &Session, job: &Job) -> bool {
        job.avoid != Some(id)
            && job.memory_over.is_none_or(|over| is_more(session.free_memory, over))
            && self.fits(id, &session.offer, job)
    }
}

fn is_admitted(session: SessionId, effects: &Effects) -> bool {
    let mut sends = effects.sends.iter();
    sends.any(|send| matches!(send, Send::Admit { session: id, .. } if *id == session))
}

fn is_closed(session: SessionId, effects: &Effects) -> Result<(), String> {
    let mut sends = effects.sends.iter();
    let closed =
        sends.any(|send| matches!(send, Send::Close { session: id, .. } if *id == session));
    if closed { Ok(()) } else { Err(format!("{session:?} was not closed")) }
}

/// By more than an eighth: what is free wavers.
pub(super) fn is_more(free: u64, over: u64) -> bool {
    free > over.saturating_add(over / 8)
}
