use core::time::Duration;

use rebuilder_actors::domain::queue::SessionId;
use rebuilder_actors::protocol::wire::v1::worker::Status;
use rebuilder_actors::protocol::{AttemptId, FaultKind, InputId, WorkerId};

use super::farm::{Session, is_more};
use super::job::{Job, Lease, Place, Stay};
use super::queue_oracle::Oracle;

/// A lease follows signs of life in steps of this.
const STEP: Duration = Duration::from_secs(1);
/// Faults in a row after which a job is parked.
const FAULTS_MAX: u32 = 8;

impl Oracle {
    /// A status: leases go on, are lost or begin again.
    pub(super) fn told(&mut self, session: SessionId, status: &Status) {
        let Some(id) = self.at(session) else { return };
        let now = self.now.monotonic;
        let told = status.running.iter().map(|running| running.attempt);
        let told: Vec<AttemptId> =
            told.filter(|attempt| !self.was_answered(id, *attempt)).collect();
        let Some(live) = self.workers.get_mut(&id).and_then(|w| w.session.as_mut()) else { return };
        let first = !live.told;
        live.told = true;
        live.heard = now;
        live.free_memory = status.free_memory;
        live.running.clear();
        live.ended.retain(|ended| told.contains(ended));
        let told = told.iter().filter(|attempt| !live.ended.contains(attempt));
        for attempt in told.take(usize::from(live.offer.slots)) {
            if !live.running.contains(attempt) {
                live.running.push(*attempt);
            }
        }
        live.seen = status.seen.0;
        let (running, seen) = (&live.running, live.seen);
        live.cancelled.retain(|(attempt, number)| running.contains(attempt) || *number > seen);
        let (running, boot) = (live.running.clone(), live.boot);
        let held: Vec<InputId> = self.held(id).map(|(job, _)| job.id).collect();
        for job in held {
            let Some(job) = self.jobs.unwritten(&job) else { continue };
            let Place::Leased { lease, .. } = &mut job.place else { continue };
            let attempt =
                AttemptId { job: job.id, epoch: rebuilder_actors::protocol::Epoch(lease.epoch) };
            let runs = running.contains(&attempt);
            let spooled = status.spooled.contains(&attempt);
            let unknown = !runs && !spooled;
            let restarted = lease.boot.is_some_and(|granted| granted != boot);
            if unknown && (restarted || lease.number <= status.seen.0) {
                let job = job.id;
                self.fault(job, FaultKind::WorkerLost);
                continue;
            }
            let deadline = now.plus(self.settings.lease);
            if deadline.since(lease.deadline) >= STEP {
                lease.deadline = deadline;
            }
            lease.spooled = spooled;
            lease.boot = Some(boot);
            if unknown && first {
                self.expected.again.push(attempt);
                let job_id = job.id;
                self.assign_again(job_id);
            }
        }
        for attempt in running {
            self.told_of(session, id, attempt);
        }
        self.wake_for_memory(id, status.free_memory);
    }

    fn was_answered(&self, worker: WorkerId, attempt: AttemptId) -> bool {
        let grants = self.jobs.get(&attempt.job).into_iter().flat_map(|job| &job.grants);
        let mut own = grants.filter(|g| g.epoch == attempt.epoch.0 && g.worker == worker);
        own.any(|grant| grant.answered)
    }

    fn assign_again(&mut self, id: InputId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let artifacts = job.artifacts().into_iter().cloned().collect();
        let index = worst_index(job);
        if let Place::Leased { lease, .. } = &mut job.place {
            lease.assigned = Some((artifacts, index));
        }
    }

    /// An order to stop, once until a status does not tell of the attempt any more.
    fn cancels(&mut self, session: SessionId, worker: WorkerId, attempt: AttemptId) {
        let live = self.workers.get_mut(&worker).and_then(|w| w.session.as_mut());
        let known = |live: &Session| live.cancelled.iter().any(|(known, _)| *known == attempt);
        let Some(live) = live.filter(|live| !known(live)) else { return };
        live.cancelled.push((attempt, 0));
        self.expected.cancels.push((session, attempt));
    }

    /// An attempt that a worker runs: it goes on, its lease begins again, or it is to stop.
    fn told_of(&mut self, session: SessionId, worker: WorkerId, attempt: AttemptId) {
        let deadline = self.now.monotonic.plus(self.settings.lease);
        let boot = self.workers[&worker].session.as_ref().map(|session| session.boot);
        let epoch = attempt.epoch.0;
        let Some(job) = self.jobs.get_mut(&attempt.job) else {
            self.cancels(session, worker, attempt);
            return;
        };
        if job.lease().is_some_and(|lease| lease.epoch == epoch && lease.worker == worker) {
            return;
        }
        let grant = job.grants.iter().find(|grant| grant.epoch == epoch).copied();
        let Some(grant) = grant.filter(|grant| grant.worker == worker && !grant.answered) else {
            self.cancels(session, worker, attempt);
            return;
        };
        let newest = job.grants.last().is_some_and(|newest| newest.epoch == epoch);
        let taken = newest && job.epoch > epoch;
        if taken || matches!(job.place, Place::Decided | Place::Dropped) {
            self.cancels(session, worker, attempt);
            return;
        }
        let (Place::Waiting { stay, .. } | Place::Parked { stay, .. }) = job.place else { return };
        if job.epoch == epoch {
            let live = self.workers.get_mut(&worker).and_then(|w| w.session.as_mut());
            if let Some(live) = live {
                live.cancelled.retain(|(cancelled, _)| *cancelled != attempt);
            }
            let lease = Lease {
                epoch,
                worker,
                number: grant.number,
                deadline,
                boot,
                assigned: None,
                spooled: false,
            };
            self.put(attempt.job, Place::Leased { stay, lease });
        }
    }

    /// What ran out of memory is tried again by a worker that has more.
    fn wake_for_memory(&mut self, worker: WorkerId, free: u64) {
        let session = self.workers[&worker].session.as_ref();
        let Some(offer) = session.map(|session| session.offer.clone()) else { return };
        let ids: Vec<(InputId, i32)> = self
            .jobs
            .values()
            .filter(|job| job.is_wanted() && self.fits(worker, &offer, job))
            .filter(|job| job.memory_over.is_some_and(|over| is_more(free, over)))
            .filter_map(|job| match &job.place {
                Place::Parked { stay, kind: FaultKind::OutOfMemory, .. } => {
                    Some((job.id, stay.priority))
                }
                _ => None,
            })
            .collect();
        for (id, priority) in ids {
            self.queue_again(id, priority, 0);
        }
    }

    /// Leases whose worker was silent for too long.
    pub(super) fn expire(&mut self) {
        let now = self.now.monotonic;
        let lost: Vec<(InputId, WorkerId)> = self
            .jobs
            .values()
            .filter_map(|job| Some((job.id, job.lease()?)))
            .filter(|(_, lease)| lease.deadline <= now)
            .map(|(id, lease)| (id, lease.worker))
            .collect();
        for (id, worker) in lost {
            let worker = self.workers.get_mut(&worker);
            if let Some(session) = worker.and_then(|worker| worker.session.as_mut()) {
                session.told = false;
            }
            self.fault(id, FaultKind::WorkerLost);
        }
    }

    /// What became due.
    pub(super) fn wake(&mut self) {
        let utc = self.now.utc.0;
        let mut over = Vec::new();
        for job in self.jobs.unwritten_mut().filter(|job| job.is_wanted()) {
            match job.place {
                Place::Waiting { due, .. } if due <= utc => job.ready = true,
                Place::Parked { stay, until: Some(until), .. } if until <= utc => {
                    over.push((job.id, stay.priority));
                }
                _ => {}
            }
        }
        for (id, priority) in over {
            self.queue_again(id, priority, 0);
        }
    }

    /// A new stay in the queue.
    pub(super) fn queue_again(&mut self, id: InputId, priority: i32, due: i64) {
        let stay = Stay { priority, since: self.now.utc.0.max(due) };
        self.put(id, Place::Waiting { stay, due });
    }

    /// Ends a lease: whoever had it is told to stop elsewhere.
    pub(super) fn release(&mut self, id: InputId) -> Option<(Stay, Lease)> {
        let job = self.jobs.get(&id)?;
        let Place::Leased { stay, lease } = job.place.clone() else { return None };
        let attempt = job.attempt(lease.epoch);
        let worker = self.workers.get_mut(&lease.worker);
        if let Some(session) = worker.and_then(|worker| worker.session.as_mut()) {
            session.running.retain(|running| *running != attempt);
        }
        Some((stay, lease))
    }

    /// The current attempt ended with a fault of ours.
    pub(super) fn fault(&mut self, id: InputId, kind: FaultKind) {
        let Some((stay, lease)) = self.release(id) else { return };
        let utc = self.now.utc.0;
        let session = self.workers.get(&lease.worker).and_then(|worker| worker.session.as_ref());
        let free = session.map_or(0, |session| session.free_memory);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.faults += 1;
        let faults = job.faults;
        let many = faults >= FAULTS_MAX;
        let parked = match kind {
            FaultKind::InputsUnavailable | FaultKind::TimedOut(_) => true,
            FaultKind::OutOfMemory => {
                let again = job.memory_over.is_some();
                job.memory_over = Some(free.max(job.memory_over.unwrap_or(0)));
                again || many
            }
            _ => many,
        };
        if parked {
            self.park(id, kind);
            return;
        }
        // Lost for the first time: nobody is to blame, and it goes on at once.
        let at_once = kind == FaultKind::WorkerLost && faults == 1;
        let mut delay = 15_000;
        for _ in 1..faults {
            delay = (delay * 2).min(3_600_000);
        }
        let due = if at_once { 0 } else { utc + delay };
        if !at_once {
            job.avoid = Some(lease.worker);
        }
        self.put(id, Place::Waiting { stay, due });
    }

    /// Parks a job: a day, then twice as long each time in a row, at most 16.
    pub(super) fn park(&mut self, id: InputId, kind: FaultKind) {
        let utc = self.now.utc.0;
        let Some(job) = self.jobs.get(&id) else { return };
        let Some(stay) = job.stay() else { return };
        let times = 1 + match &job.place {
            Place::Parked { times, .. } => *times,
            _ => job.faults.saturating_sub(1) / FAULTS_MAX,
        };
        let mut days = 1;
        for _ in 1..times {
            days = (days * 2).min(16);
        }
        let until = Some(utc + days * 86_400_000);
        self.put(id, Place::Parked { stay, kind, until, times });
    }
}

/// How far the indexes of a job were trusted together.
pub(super) fn worst_index(job: &Job) -> rebuilder_actors::protocol::IndexTrust {
    let indexes = job.wishes.values().map(|wish| wish.index);
    indexes.max().unwrap_or(rebuilder_actors::protocol::IndexTrust::None)
}
