use super::effect::{Effects, Send};
use super::event::Now;
use super::lane::{Lane, is_larger};
use super::lease::{Assigned, Lease};
use super::queue_state::Queue;
use crate::planted::{self, Bug};
use crate::protocol::stored::{Grant, JobState, StoredPlace};
use crate::protocol::wire::v1::coordinator::Message;
use crate::protocol::{
    Assignment, AttemptId, BuildInput, Epoch, GrantNumber, IndexTrust, InputId, JobKey, WorkerId,
};

impl Queue {
    /// Gives ready jobs to free slots, one to each worker in turn, until one side runs out.
    pub(super) fn grant_all(&mut self, now: Now, effects: &mut Effects) {
        while self.ready.len() > 0 && !self.idle.is_empty() {
            let workers: Vec<WorkerId> = self.idle.iter().copied().collect();
            let mut granted = false;
            for worker in workers {
                match self.next_for(now, worker) {
                    Some(job) => {
                        self.grant(now, worker, job, effects);
                        granted = true;
                    }
                    None if self.free_slots(now, worker) == 0 => {
                        self.idle.remove(&worker);
                    }
                    None => {}
                }
            }
            if !granted {
                return;
            }
        }
    }

    /// Slots of a worker that nothing occupies.
    pub(super) fn free_slots(&self, now: Now, worker: WorkerId) -> usize {
        self.workers.get(&worker).map_or(0, |worker| {
            worker.free_slots(now, |job| self.leases.get(job).map(|lease| lease.attempt))
        })
    }

    fn next_for(&self, now: Now, id: WorkerId) -> Option<InputId> {
        if self.free_slots(now, id) == 0 {
            return None;
        }
        let session = self.workers.get(&id)?.session.as_ref()?;
        let rank = self.ready.first(|lane| {
            lane.suits(id, session)
                || (lane.fits(id, &session.offer)
                    && !self.somebody_suits(now, lane)
                    && !self.somebody_is_larger(now, lane, session.free_memory))
        })?;
        Some(rank.job)
    }

    /// True when a worker that is there suits better than one that merely fits. Everything that
    /// rules a worker out is asked here: two that wait for each other would leave the job to
    /// nobody.
    fn somebody_suits(&self, now: Now, lane: &Lane) -> bool {
        self.workers.iter().any(|(id, worker)| {
            worker.attentive(now).is_some_and(|session| lane.suits(*id, session))
        })
    }

    /// True when memory was not enough and a worker that is there fits and has more than `free`.
    /// Nobody may have more than what was not enough; then the largest tries again, not whoever
    /// asks first.
    fn somebody_is_larger(&self, now: Now, lane: &Lane, free: u64) -> bool {
        lane.memory_over.is_some()
            && !planted::is(Bug::SmallestTriesAgain)
            && self.workers.iter().any(|(id, worker)| {
                worker.attentive(now).is_some_and(|session| {
                    is_larger(session.free_memory, free) && lane.fits(*id, &session.offer)
                })
            })
    }

    fn grant(&mut self, now: Now, worker: WorkerId, id: InputId, effects: &mut Effects) {
        self.counters.grant += 1;
        self.counters_changed = true;
        let number = GrantNumber(self.counters.grant);
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let StoredPlace::Queued { waiting, .. } = entry.state.place else { return };
        let step = u32::from(!planted::is(Bug::EpochNotAdvanced) || entry.state.epoch.0 == 0);
        let epoch = Epoch(entry.state.epoch.0 + step);
        entry.state.epoch = epoch;
        if entry.state.grants.len() == JobState::GRANTS_MAX {
            entry.state.grants.remove(0);
        }
        entry.state.grants.push(Grant { epoch, worker, number, answered: false, build: None });
        // `ready` is still set: `move_to` takes the job out of the ready ones by its old place.
        let granted_at = now.utc;
        self.move_to(now, id, StoredPlace::Leased { waiting, worker, granted_at }, effects);
        let attempt = AttemptId { job: id, epoch };
        let assignment = self.assignment(attempt);
        let Some(holder) = self.workers.get_mut(&worker) else { return };
        holder.held.insert(id);
        let Some(session) = &holder.session else { return };
        let text = format!(
            "{} attempt {attempt} to worker {} ({})",
            self.entries[&id].job.label(),
            worker,
            holder.record.name
        );
        let (session, boot) = (session.id, session.boot);
        Self::line(effects, now, false, text);
        self.leases.insert(Lease {
            attempt,
            worker,
            number,
            deadline: now.monotonic.plus(self.settings.lease),
            boot: Some(boot),
            assigned: Some(Assigned::of(&assignment)),
            stage: None,
            log_bytes: 0,
        });
        let message = Message::Assign { number, assignment: Box::new(assignment) };
        effects.sends.push(Send::Worker(session, message));
    }

    /// What a worker is told about an attempt: one build for all memberships.
    pub(super) fn assignment(&self, attempt: AttemptId) -> Assignment {
        let entry = &self.entries[&attempt.job];
        let job = &entry.job;
        let memberships = job.memberships();
        let first = memberships.first();
        let index = memberships.iter().map(|m| m.index).max();
        let release = first.and_then(|m| {
            let record = self.profiles.get(&m.profile)?;
            let release = m.release.as_deref()?;
            record.index.releases.iter().find(|r| r.name == release)
        });
        let archives = first.and_then(|m| self.archives_by_id.get(&m.archives));
        Assignment {
            attempt,
            key: JobKey::clone(&job.key),
            input: first.map_or(BuildInput::Suite, |m| m.input.clone()),
            source: first.and_then(|m| m.source_file.clone()),
            archives: archives.map_or_else(Vec::new, |archives| archives.to_vec()),
            artifacts: job.artifacts(),
            index: index.unwrap_or(IndexTrust::None),
            index_sha256: release.map(|r| r.sha256),
            check_published: self.policies(entry).any(|policy| policy.check_published),
            limits: self.settings.limits,
        }
    }
}
