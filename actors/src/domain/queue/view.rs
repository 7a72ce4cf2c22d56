use super::effect::{Effects, Send};
use super::entry::Entry;
use super::event::{Now, RequestId};
use super::queue_state::Queue;
use crate::protocol::stored::v1::{Place, Waiting};
use crate::protocol::wire::SOFTWARE;
use crate::protocol::wire::v1::ctl::{
    JobCounts, Place as ShownPlace, Queued, Response, RunningJob, Status, Worker,
};
use crate::protocol::{InputId, JobKey};

/// A question that only the queue can answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// One [`Response::Status`]; the counts of artifacts are added by whoever follows the results.
    Status,
    /// [`Response::Worker`] rows.
    Workers,
    /// [`Response::Queued`] rows in order.
    Queue {
        /// Also those that are not due, and parked ones.
        planned: bool,
        /// `None`: all.
        limit: Option<u32>,
    },
}

/// How much a queue holds of what grows: each has a bound in workers, jobs or profiles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Jobs, wanted or not.
    pub jobs: usize,
    /// Connections of workers.
    pub sessions: usize,
    /// Leases: at most one for each job.
    pub leases: usize,
    /// Jobs that wait for a moment.
    pub timers: usize,
    /// Grants of the job that has most.
    pub grants_max: usize,
    /// Indexes that are being taken in: at most one for each profile.
    pub syncs: usize,
    /// Invitations that are not forgotten yet.
    pub invitations: usize,
}

impl Queue {
    pub(super) fn ask(
        &mut self,
        now: Now,
        request: RequestId,
        query: &Query,
        effects: &mut Effects,
    ) {
        let rows = match query {
            Query::Status => vec![Response::Status(self.status(now))],
            Query::Workers => self.worker_rows().into_iter().map(Response::Worker).collect(),
            Query::Queue { planned, limit } => self.queue_rows(*planned, *limit),
        };
        effects.sends.push(Send::Reply(request, rows));
    }

    /// Jobs by where they are; unwanted ones are not counted.
    pub fn counts(&self, now: Now) -> JobCounts {
        let mut counts = JobCounts::default();
        for entry in self.entries.values().filter(|entry| entry.wanted()) {
            let count = match &entry.state.place {
                Place::Queued { due, .. } if *due > now.utc => &mut counts.delayed,
                Place::Queued { .. } => &mut counts.ready,
                Place::Leased { .. } => &mut counts.running,
                Place::Parked { .. } => &mut counts.parked,
                Place::Decided => &mut counts.decided,
                Place::Dropped => &mut counts.dropped,
            };
            *count += 1;
        }
        let next = self.timed.iter().find(|(_, id)| !self.parked.contains(id));
        counts.next_due_ms =
            next.map(|(at, _)| at.0.saturating_sub(now.utc.0).max(0).unsigned_abs());
        counts
    }

    /// How much of what grows is held.
    pub fn sizes(&self) -> Sizes {
        Sizes {
            jobs: self.entries.len(),
            sessions: self.sessions.len(),
            leases: self.leases.iter().count(),
            timers: self.timed.len(),
            grants_max: self.entries.values().map(|e| e.state.grants.len()).max().unwrap_or(0),
            syncs: self.syncs.len(),
            invitations: self.invitations.len(),
        }
    }

    fn status(&self, now: Now) -> Status {
        Status {
            software: SOFTWARE.into(),
            uptime_ms: u64::try_from(now.monotonic.since(self.started.monotonic).as_millis())
                .unwrap_or(u64::MAX),
            key: self.settings.enrolment.coordinator,
            jobs: self.counts(now),
            artifacts: Vec::new(),
            running: self.running(now),
            quarantined: 0,
        }
    }

    fn running(&self, now: Now) -> Vec<RunningJob> {
        let rows = self.leases.iter().map(|lease| RunningJob {
            attempt: lease.attempt,
            key: JobKey::clone(&self.entries[&lease.attempt.job].job.key),
            worker: lease.worker,
            worker_name: self
                .workers
                .get(&lease.worker)
                .map(|w| w.record.name.clone())
                .unwrap_or_default(),
            stage: lease.stage,
            age_ms: u64::try_from(now.monotonic.since(lease.granted).as_millis())
                .unwrap_or(u64::MAX),
            log_bytes: lease.log_bytes,
        });
        rows.collect()
    }

    fn worker_rows(&self) -> Vec<Worker> {
        let rows = self.workers.values().map(|worker| {
            let session = worker.session.as_ref();
            Worker {
                id: worker.record.id,
                key: worker.key,
                name: worker.record.name.clone(),
                address: session.map(|s| s.address.clone()),
                revoked: worker.record.revoked_at.is_some(),
                last_seen: worker.last_seen,
                slots: session.map_or(0, |s| s.offer.slots),
                running: u16::try_from(worker.held.len()).unwrap_or(u16::MAX),
                backends: session.map(|s| s.offer.backends.clone()).unwrap_or_default(),
                architectures: session.map(|s| s.offer.architectures.clone()).unwrap_or_default(),
                free_memory: session.map_or(0, |s| s.free_memory),
                free_disk: session.map_or(0, |s| s.free_disk),
            }
        });
        rows.collect()
    }

    fn queue_rows(&self, planned: bool, limit: Option<u32>) -> Vec<Response> {
        let limit = limit.map_or(usize::MAX, |limit| limit as usize);
        let running = self.leases.iter().map(|lease| lease.attempt.job);
        let ready = self.ready.in_order().into_iter().map(|rank| rank.job);
        let timed = self.timed.iter().filter(|_| planned).map(|(_, id)| *id);
        let rows = running.chain(ready).chain(timed).take(limit);
        rows.filter_map(|id| self.queue_row(id)).map(Response::Queued).collect()
    }

    fn queue_row(&self, id: InputId) -> Option<Queued> {
        let entry = self.entries.get(&id)?;
        let (waiting, place) = shown_place(entry)?;
        let mut releases: Vec<String> =
            entry.job.memberships().into_iter().filter_map(|m| m.release.map(Into::into)).collect();
        releases.dedup();
        Some(Queued {
            job: id,
            key: JobKey::clone(&entry.job.key),
            releases,
            priority: waiting.priority,
            queued_at: waiting.queued_at,
            place,
            attempts: entry.state.epoch.0,
        })
    }
}

fn shown_place(entry: &Entry) -> Option<(Waiting, ShownPlace)> {
    Some(match &entry.state.place {
        Place::Queued { waiting, due } if entry.ready.is_some() || due.0 == 0 => {
            (*waiting, ShownPlace::Ready)
        }
        Place::Queued { waiting, due } => (*waiting, ShownPlace::Delayed { until: *due }),
        Place::Leased { waiting, worker, granted_at } => {
            (*waiting, ShownPlace::Running { worker: *worker, since: *granted_at })
        }
        Place::Parked { waiting, fault, until, .. } => {
            let reason = format!("{}: {}", fault.kind, fault.detail);
            (*waiting, ShownPlace::Parked { reason, until: *until })
        }
        Place::Decided | Place::Dropped => return None,
    })
}
