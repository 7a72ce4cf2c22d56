use std::collections::BTreeSet;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use super::effect::{Effects, Fact, Send};
use super::event::{Now, SessionId};
use super::lane::is_larger;
use super::lease::{Assigned, Lease};
use super::queue_state::Queue;
use super::retry::{FAULTS_MAX, RETRY};
use super::told::{Progress, pulse};
use crate::planted::{self, Bug};
use crate::protocol::stored::{Grant, StoredPlace};
use crate::protocol::wire::BootId;
use crate::protocol::wire::v1::coordinator::Message;
use crate::protocol::wire::v1::worker::{Running, Status};
use crate::protocol::{AttemptId, Fault, FaultKind, GrantNumber, InputId, UtcMillis, WorkerId};

impl Queue {
    /// A worker told what it is doing: leases follow it, and it is told what it should be doing.
    pub(super) fn on_status(
        &mut self,
        now: Now,
        session: SessionId,
        mut status: Status,
        effects: &mut Effects,
    ) {
        let Some(&id) = self.sessions.get(&session) else { return };
        status.running.retain(|running| !self.is_answered(id, running.attempt));
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.last_seen = Some(now.utc);
        let Some(live) = worker.session.as_mut().filter(|live| live.id == session) else { return };
        let first = !core::mem::replace(&mut live.status_received, true);
        live.heard = now.monotonic;
        live.seen = status.seen;
        // The answer crossed this status: kept among the running ones, the attempt would occupy a
        // slot until the next one.
        live.forget_ended(&mut status.running);
        // As many as there are slots: more is no status, and each costs an answer.
        let slots = usize::from(live.offer.slots);
        status.running.truncate(slots);
        if status.running.len() > 1 {
            let mut met = BTreeSet::new();
            status.running.retain(|running| met.insert(running.attempt));
        }
        if !live.cancelled.is_empty() {
            let running: BTreeSet<_> = status.running.iter().map(|r| r.attempt).collect();
            let seen = live.seen;
            live.cancelled.retain(|attempt, number| running.contains(attempt) || *number > seen);
        }
        live.running.clone_from(&status.running);
        live.free_memory = status.free_memory;
        live.free_disk = status.free_disk;
        effects.facts.push(Fact::Pulse(id, pulse(worker)));
        status.spooled.sort_unstable();
        let deadline = now.monotonic.plus(self.settings.lease);
        let held: Vec<InputId> = if first {
            worker.held.iter().copied().collect()
        } else {
            worker.touched(&status.spooled, deadline)
        };
        // In the order of the grants: the worker tells the newest that it has seen, and what is
        // sent again must not come after one that is newer.
        let number = |job: InputId| self.leases.get(job).map(|lease| lease.number);
        let mut held: Vec<_> = held.into_iter().map(|job| (number(job), job)).collect();
        if !planted::is(Bug::SentAgainOutOfOrder) {
            held.sort_unstable();
        }
        for (_, job) in held {
            self.on_status_of_lease(now, session, first, job, &status, effects);
        }
        for running in &status.running {
            self.on_status_of_attempt(now, session, id, running, effects);
        }
        if first || !planted::is(Bug::GrantsForgotten) {
            self.idle.insert(id);
        }
        self.wake_for_memory(now, id, effects);
    }

    /// One lease of the worker: it goes on, or was never seen, or is lost.
    fn on_status_of_lease(
        &mut self,
        now: Now,
        session: SessionId,
        first: bool,
        job: InputId,
        status: &Status,
        effects: &mut Effects,
    ) {
        let Some(lease) = self.leases.get(job) else { return };
        let (attempt, number, granted_to) = (lease.attempt, lease.number, lease.boot);
        let boot = self.boot_of(lease.worker);
        let running = status.running.iter().find(|r| r.attempt == attempt);
        let spooled = status.spooled.binary_search(&attempt).is_ok();
        let dead = running.is_none() && !spooled && !planted::is(Bug::HeartbeatKeepsDead);
        if dead && granted_to.is_some() && granted_to != boot {
            // Its spool survives a restart, its builds do not.
            self.lose(now, job, "the worker was restarted".into(), effects);
            return;
        }
        let seen = number <= status.seen || planted::is(Bug::StaleStatusEndsLease);
        if dead && seen {
            // Only a status that has seen the grant may end it (DESIGN §5).
            let detail = "the worker no longer knows the attempt".into();
            self.lose(now, job, detail, effects);
            return;
        }
        let deadline = now.monotonic.plus(self.settings.lease);
        let send_again = first && number > status.seen && running.is_none() && !spooled;
        let assignment = send_again.then(|| self.assignment(attempt));
        if let Some(lease) = self.leases.extend(job, deadline) {
            lease.boot = boot;
            if let Some(assignment) = &assignment {
                lease.assigned = Some(Assigned::of(assignment));
            }
            if let Some(running) = running
                && (lease.stage, lease.log_bytes) != (Some(running.stage), running.log_bytes)
            {
                lease.stage = Some(running.stage);
                lease.log_bytes = running.log_bytes;
                effects.facts.push(Fact::Progress(attempt, progress(running)));
            }
            let (worker, deadline) = (lease.worker, lease.deadline);
            if let Some(worker) = self.workers.get_mut(&worker) {
                if spooled {
                    worker.spooled.insert(attempt, deadline);
                } else {
                    worker.spooled.remove(&attempt);
                }
            }
        }
        if let Some(assignment) = assignment.map(Box::new) {
            effects.sends.push(Send::Worker(session, Message::Assign { number, assignment }));
        }
    }

    /// True when the worker was given the final answer to its report of this attempt.
    fn is_answered(&self, worker: WorkerId, attempt: AttemptId) -> bool {
        let grants = self.entries.get(&attempt.job).map(|entry| &entry.state.grants);
        let own = |g: &&Grant| g.epoch == attempt.epoch && g.worker == worker;
        grants.and_then(|grants| grants.iter().find(own)).is_some_and(|grant| grant.answered)
    }

    fn boot_of(&self, worker: WorkerId) -> Option<BootId> {
        self.workers.get(&worker).and_then(|w| w.session.as_ref()).map(|session| session.boot)
    }

    /// One attempt that the worker runs: its lease goes on, or begins again, or it is to stop.
    fn on_status_of_attempt(
        &mut self,
        now: Now,
        session: SessionId,
        worker: WorkerId,
        running: &Running,
        effects: &mut Effects,
    ) {
        let attempt = running.attempt;
        if self.leases.get(attempt.job).is_some_and(|l| l.attempt == attempt && l.worker == worker)
        {
            return;
        }
        match self.resume_refusal(worker, attempt) {
            Some(reason) => {
                let holder = self.workers.get_mut(&worker).and_then(|w| w.session.as_mut());
                let once = holder.is_none_or(|live| match live.cancelled.entry(attempt) {
                    Entry::Vacant(entry) => {
                        entry.insert(GrantNumber(0));
                        true
                    }
                    Entry::Occupied(_) => false,
                });
                if once || planted::is(Bug::CancelledAgain) {
                    let message = Message::Cancel { attempt, reason: reason.into() };
                    effects.sends.push(Send::Worker(session, message));
                }
            }
            None => self.lease_again(now, worker, running, effects),
        }
    }

    /// Why an attempt without a lease is to stop; `None`: it goes on.
    fn resume_refusal(&self, worker: WorkerId, attempt: AttemptId) -> Option<&'static str> {
        let Some(entry) = self.entries.get(&attempt.job) else { return Some("no such job") };
        let grant = entry.state.grants.iter().find(|g| g.epoch == attempt.epoch);
        match grant {
            None => return Some("the attempt was never granted"),
            Some(grant) if grant.worker != worker => return Some("another worker has it"),
            Some(_) => {}
        }
        let newest = entry.state.grants.last().is_some_and(|g| g.epoch == attempt.epoch);
        if newest && entry.state.epoch > attempt.epoch {
            return Some("its lease was taken");
        }
        match entry.state.place {
            StoredPlace::Decided => Some("the job is decided"),
            StoredPlace::Dropped => Some("an operator dropped the job"),
            // Another worker builds it too: the first verdict decides, both reports are kept.
            StoredPlace::Leased { .. }
            | StoredPlace::Queued { .. }
            | StoredPlace::Parked { .. } => None,
        }
    }

    /// A worker that was silent for long comes back and still builds: its lease begins again,
    /// unless another attempt has begun.
    fn lease_again(
        &mut self,
        now: Now,
        worker: WorkerId,
        running: &Running,
        effects: &mut Effects,
    ) {
        let attempt = running.attempt;
        let Some(entry) = self.entries.get(&attempt.job) else { return };
        let grant = entry.state.grants.iter().find(|g| g.epoch == attempt.epoch);
        let number = grant.map(|g| g.number).unwrap_or_default();
        let (StoredPlace::Queued { waiting, .. } | StoredPlace::Parked { waiting, .. }) =
            &entry.state.place
        else {
            return;
        };
        if entry.state.epoch != attempt.epoch {
            return;
        }
        let text = format!("{} attempt {attempt} goes on: its worker is back", entry.job.label());
        Self::line(effects, now, false, text);
        let place = StoredPlace::Leased { waiting: *waiting, worker, granted_at: now.utc };
        self.move_to(now, attempt.job, place, effects);
        let Some(holder) = self.workers.get_mut(&worker) else { return };
        holder.held.insert(attempt.job);
        if let Some(live) = &mut holder.session {
            live.cancelled.remove(&attempt);
        }
        self.leases.insert(Lease {
            attempt,
            worker,
            number,
            deadline: now.monotonic.plus(self.settings.lease),
            boot: holder.session.as_ref().map(|s| s.boot),
            assigned: None,
            stage: Some(running.stage),
            log_bytes: running.log_bytes,
        });
        effects.facts.push(Fact::Progress(attempt, progress(running)));
    }

    /// Leases whose worker was silent for too long.
    pub(super) fn expire_leases(&mut self, now: Now, effects: &mut Effects) {
        while let Some(job) = self.leases.lost(now.monotonic) {
            let detail = format!("silent for {} s", self.settings.lease.as_secs());
            let holder = self.leases.get(job).and_then(|l| self.workers.get_mut(&l.worker));
            if let Some(session) = holder.and_then(|holder| holder.session.as_mut()) {
                // Whatever its connection says: nothing is given to it before its next status.
                session.status_received = false;
            }
            self.lose(now, job, detail, effects);
        }
    }

    /// A lease is lost: the job goes back to its old place.
    pub(super) fn lose(&mut self, now: Now, job: InputId, detail: String, effects: &mut Effects) {
        let fault = Fault { kind: FaultKind::WorkerLost, detail };
        self.fault(now, job, fault, effects);
    }

    /// The current attempt ended with a fault: again soon, or parked (DESIGN §7).
    pub(super) fn fault(&mut self, now: Now, id: InputId, fault: Fault, effects: &mut Effects) {
        let Some(lease) = self.release(id) else { return };
        let free_memory = self
            .workers
            .get(&lease.worker)
            .and_then(|w| w.session.as_ref())
            .map_or(0, |s| s.free_memory);
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let StoredPlace::Leased { waiting, .. } = entry.state.place else { return };
        let label = entry.job.label();
        entry.fault = Some(Arc::new(fault.clone()));
        let state = &mut entry.state;
        state.faults = state.faults.saturating_add(1);
        state.retries += u32::from(planted::is(Bug::FaultCountedAsRetry));
        let faults = state.faults;
        let again = state.memory_over.is_some();
        if fault.kind == FaultKind::OutOfMemory {
            state.memory_over = Some(free_memory.max(state.memory_over.unwrap_or(0)));
        }
        let park = match fault.kind {
            FaultKind::InputsUnavailable | FaultKind::TimedOut(_) => true,
            FaultKind::OutOfMemory => again || faults >= FAULTS_MAX,
            _ => faults >= FAULTS_MAX,
        };
        if park {
            self.park(now, id, fault, effects);
            return;
        }
        let at_once = fault.kind == FaultKind::WorkerLost && faults == 1;
        let due = if at_once { UtcMillis(0) } else { now.utc.plus(RETRY.after(faults)) };
        if !at_once {
            entry.state.avoid = Some(lease.worker);
        }
        let text = format!("{label} attempt {}: {}: {}", lease.attempt, fault.kind, fault.detail);
        Self::line(effects, now, true, text);
        self.move_to(now, id, StoredPlace::Queued { waiting, due }, effects);
    }

    /// Ends a job's lease in memory; the slot is free.
    pub(super) fn release(&mut self, id: InputId) -> Option<Lease> {
        let lease = self.leases.remove(id)?;
        if let Some(worker) = self.workers.get_mut(&lease.worker) {
            worker.held.remove(&id);
            worker.spooled.remove(&lease.attempt);
            if !planted::is(Bug::GrantsForgotten) {
                self.idle.insert(lease.worker);
            }
            if let Some(session) = &mut worker.session {
                session.running.retain(|r| r.attempt != lease.attempt);
            }
        }
        Some(lease)
    }

    /// Parked jobs that ran out of memory are tried again on a worker that has more.
    fn wake_for_memory(&mut self, now: Now, worker: WorkerId, effects: &mut Effects) {
        let Some(session) = self.workers.get(&worker).and_then(|w| w.session.as_ref()) else {
            return;
        };
        let free = session.free_memory;
        let fitting: Vec<(InputId, i32)> = self
            .parked
            .iter()
            .filter_map(|id| {
                let entry = &self.entries[id];
                let StoredPlace::Parked { waiting, fault, .. } = &entry.state.place else {
                    return None;
                };
                let over = entry.state.memory_over?;
                let fits = fault.kind == FaultKind::OutOfMemory && is_larger(free, over);
                (fits && self.lane(entry).fits(worker, &session.offer))
                    .then_some((*id, waiting.priority))
            })
            .collect();
        for (id, priority) in fitting {
            self.queue_again(now, id, priority, UtcMillis(0), effects);
        }
    }
}

fn progress(running: &Running) -> Progress {
    Progress { stage: running.stage, log_bytes: running.log_bytes }
}
