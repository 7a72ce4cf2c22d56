use rebuilder_actors::domain::queue::{Order, SessionId};
use rebuilder_actors::protocol::wire::v1::ctl::PackageFilter;
use rebuilder_actors::protocol::{AttemptId, FaultKind, InputId};

use super::job::{Job, Lease, Place};
use super::queue_oracle::Oracle;

impl Oracle {
    /// An operator pushes or drops. Filters name one package, or all.
    pub(super) fn ordered(&mut self, order: &Order) {
        match order {
            Order::Push { filter, priority } => self.push(self.meant(filter), *priority),
            Order::Drop { filter } => self.drop_jobs(self.meant(filter)),
            Order::PushJobs { jobs, priority } => self.push(self.wanted(jobs), *priority),
            Order::DropJobs { jobs } => self.drop_jobs(self.wanted(jobs)),
            Order::Invite { .. } | Order::Revoke { .. } => {}
        }
    }

    fn push(&mut self, jobs: Vec<InputId>, priority: i32) {
        for id in jobs {
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            if job.lease().is_some() {
                continue;
            }
            (job.retries, job.faults) = (0, 0);
            (job.avoid, job.memory_over) = (None, None);
            job.confirmed.clear();
            self.queue_again(id, priority, 0);
        }
    }

    fn drop_jobs(&mut self, jobs: Vec<InputId>) {
        for id in jobs {
            if matches!(self.jobs[&id].place, Place::Decided | Place::Dropped) {
                continue;
            }
            if let Some((_, lease)) = self.release(id) {
                self.stop(id, &lease);
            }
            self.put(id, Place::Dropped);
        }
    }

    fn wanted(&self, jobs: &[InputId]) -> Vec<InputId> {
        let is_wanted = |id: &&InputId| self.jobs.get(*id).is_some_and(Job::is_wanted);
        jobs.iter().filter(is_wanted).copied().collect()
    }

    fn meant(&self, filter: &PackageFilter) -> Vec<InputId> {
        let is_meant = |job: &&Job| {
            let Some(name) = &filter.name else { return job.is_wanted() };
            let mut artifacts = job.wishes.values().flat_map(|wish| &wish.artifacts);
            let named = *job.key.source == **name || artifacts.any(|a| *a.name == **name);
            named && job.is_wanted()
        };
        self.jobs.values().filter(is_meant).map(|job| job.id).collect()
    }

    /// Whoever has the lease is told to stop, and cannot take it up again.
    pub(super) fn stop(&mut self, id: InputId, lease: &Lease) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let attempt = job.attempt(lease.epoch);
        if job.epoch == lease.epoch {
            job.epoch += 1;
        }
        let worker = self.workers.get_mut(&lease.worker);
        if let Some(session) = worker.and_then(|worker| worker.session.as_mut()) {
            session.running.push(attempt);
            let sent = if session.told { lease.number } else { 0 };
            session.cancelled.push((attempt, sent));
            self.expected.cancels.push((session.id, attempt));
        }
    }

    /// A report that nobody can read: the job is parked.
    pub(super) fn set_aside(&mut self, session: SessionId, attempt: AttemptId) {
        let Some(worker) = self.at(session) else { return };
        let Some(job) = self.jobs.get(&attempt.job) else { return };
        let epoch = attempt.epoch.0;
        if !job.lease().is_some_and(|lease| lease.epoch == epoch && lease.worker == worker) {
            return;
        }
        self.answered(attempt);
        self.release(attempt.job);
        self.park(attempt.job, FaultKind::Cancelled);
    }
}
