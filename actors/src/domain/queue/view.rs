use super::event::Now;
use super::queue_state::Queue;
use crate::protocol::stored::StoredPlace;
use crate::protocol::wire::v1::ctl::{JobCounts, Trouble, Worker, WorkerCapabilities};
use crate::protocol::{AttemptId, PublicKey, Stage, UtcMillis, WorkerId};

/// What only the queue knows and never writes: how its workers are, at one moment. All else that
/// readers are shown follows from facts, so that no reader takes the queue's time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When it was.
    pub at: UtcMillis,
    /// Milliseconds since the queue's start.
    pub uptime_ms: u64,
    /// The coordinator's key.
    pub key: PublicKey,
    /// By number.
    pub workers: Vec<Worker>,
    /// By job.
    pub leases: Vec<LeaseNow>,
    /// What is wrong with workers, by number.
    pub troubles: Vec<Trouble>,
    /// What machines of workers give to builds, by number.
    pub capabilities: Vec<WorkerCapabilities>,
}

/// What a worker last told of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseNow {
    /// Which.
    pub attempt: AttemptId,
    /// Who has it.
    pub worker: WorkerId,
    /// `None`: it was not told yet.
    pub stage: Option<Stage>,
    /// Milliseconds since the grant, or since the coordinator's start.
    pub age_ms: u64,
    /// Bytes of log, as last told.
    pub log_bytes: u64,
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
    /// How the workers are now. It costs about a microsecond for each worker and less for each
    /// lease, whatever the number of jobs.
    pub fn moment(&self, now: Now) -> Moment {
        let time = self.attention.time(now.monotonic);
        let ms = |time: core::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let leases = self.leases.iter().map(|lease| LeaseNow {
            attempt: lease.attempt,
            worker: lease.worker,
            stage: lease.stage,
            age_ms: ms(time.since(lease.granted)),
            log_bytes: lease.log_bytes,
        });
        Moment {
            at: now.utc,
            uptime_ms: ms(now.monotonic.since(self.started.monotonic)),
            key: self.settings.enrolment.coordinator,
            workers: self.worker_rows(),
            leases: leases.collect(),
            troubles: self.troubles(now),
            capabilities: self.capabilities(),
        }
    }

    /// Jobs by where they are; unwanted ones are not counted.
    pub fn counts(&self, now: Now) -> JobCounts {
        let mut counts = JobCounts::default();
        for entry in self.entries.values().filter(|entry| entry.wanted()) {
            let count = match &entry.state.place {
                StoredPlace::Queued { due, .. } if *due > now.utc => &mut counts.delayed,
                StoredPlace::Queued { .. } => &mut counts.ready,
                StoredPlace::Leased { .. } => &mut counts.running,
                StoredPlace::Parked { .. } => &mut counts.parked,
                StoredPlace::Decided => &mut counts.decided,
                StoredPlace::Dropped => &mut counts.dropped,
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
            sessions: self.sessions.len() + self.knocking.len(),
            leases: self.leases.iter().count(),
            timers: self.timed.len(),
            grants_max: self.entries.values().map(|e| e.state.grants.len()).max().unwrap_or(0),
            syncs: self.syncs.len(),
            invitations: self.invitations.len(),
        }
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
}
