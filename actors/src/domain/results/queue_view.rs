use super::query::Page;
use super::read_model::{ReadModel, leased};
pub use super::standings::Position as QueuePosition;
use crate::protocol::stored::StoredPlace;
use crate::protocol::wire::v1::ctl::{JobCounts, Queued, RunningJob, ShownPlace};
use crate::protocol::{InputId, JobKey, UtcMillis};

/// Attempts that a status names: with about 200 bytes each it stays below the limit of a frame.
const RUNNING_MAX: usize = 1_000;

impl ReadModel {
    /// Up to `limit` rows of the queue behind `after`, as it was woken last.
    pub(super) fn queue(
        &self,
        planned: bool,
        after: Option<QueuePosition>,
        limit: usize,
    ) -> Page<Queued, QueuePosition> {
        let mut positions = self.standings.behind(after, planned);
        let shown: Vec<QueuePosition> = positions.by_ref().take(limit).collect();
        let next = shown.last().copied().filter(|_| positions.next().is_some());
        let rows = shown.iter().filter_map(|position| self.row(*position));
        Page { rows: rows.collect(), next }
    }

    /// Jobs by where they are, as they were woken last; `now`: for the time until the next is due.
    pub fn job_counts(&self, now: UtcMillis) -> JobCounts {
        self.standings.counts(now)
    }

    /// Attempts that run, as their workers last told: the first thousand of them.
    pub fn running(&self, now: UtcMillis) -> Vec<RunningJob> {
        let rows = self.standings.running().take(RUNNING_MAX).filter_map(|id| {
            let view = self.jobs.get(&id)?;
            let stand = view.stand.as_ref()?;
            let StoredPlace::Leased { granted_at, .. } = stand.place else { return None };
            let (worker, attempt) = leased(id, stand)?;
            let progress = self.workers.progress_of(attempt);
            Some(RunningJob {
                attempt,
                key: JobKey::clone(&view.job.key),
                worker,
                worker_name: self.worker_name(worker).to_owned(),
                stage: progress.map(|progress| progress.stage),
                age_ms: now.0.saturating_sub(granted_at.0).max(0).unsigned_abs(),
                log_bytes: progress.map_or(0, |progress| progress.log_bytes),
            })
        });
        rows.collect()
    }

    /// True when a job has become due that is not among the ready ones.
    pub fn is_due(&self, now: UtcMillis) -> bool {
        self.standings.is_due(now)
    }

    /// Jobs whose time has come are ready ones from now on.
    pub fn wake(&mut self, now: UtcMillis) {
        for id in self.standings.due(now) {
            if let Some(stand) = self.jobs.get(&id).and_then(|view| view.stand.as_ref()) {
                self.standings.insert(id, stand);
            }
        }
    }

    pub(super) fn row(&self, position: QueuePosition) -> Option<Queued> {
        let id: InputId = position.job();
        let view = self.jobs.get(&id)?;
        let stand = view.stand.as_ref()?;
        let (waiting, place) = match &stand.place {
            StoredPlace::Queued { waiting, due } => match position {
                QueuePosition::Timed(..) => (*waiting, ShownPlace::Delayed { until: *due }),
                _ => (*waiting, ShownPlace::Ready),
            },
            StoredPlace::Leased { waiting, worker, granted_at } => {
                (*waiting, ShownPlace::Running { worker: *worker, since: *granted_at })
            }
            StoredPlace::Parked { waiting, fault, until, .. } => {
                let reason = format!("{}: {}", fault.kind, fault.detail);
                (*waiting, ShownPlace::Parked { reason, until: *until })
            }
            StoredPlace::Decided | StoredPlace::Dropped => return None,
        };
        let mut releases = view.job.releases();
        releases.dedup();
        Some(Queued {
            job: id,
            key: JobKey::clone(&view.job.key),
            releases,
            priority: waiting.priority,
            queued_at: waiting.queued_at,
            place,
            attempts: stand.epoch.0,
        })
    }
}
