use std::collections::BTreeMap;

use super::read_model::ReadModel;
use crate::protocol::UtcMillis;
use crate::protocol::stored::StoredPlace;

pub use super::standings::Position as QueuePosition;
use crate::domain::queue::Moment;
use crate::protocol::wire::SOFTWARE;
use crate::protocol::wire::v1::ctl::{Queued, RunningJob, ShownPlace, Status};
use crate::protocol::{InputId, JobKey};

/// Attempts that a status names: with about 200 bytes each it stays below the limit of a frame.
const RUNNING_MAX: usize = 1_000;

/// A page of the queue.
#[derive(Clone, Debug, PartialEq)]
pub struct QueuePage {
    /// Rows, in order.
    pub rows: Vec<Queued>,
    /// To go on behind; `None`: there is no more.
    pub next: Option<QueuePosition>,
}

impl ReadModel {
    /// Up to `limit` rows of the queue behind `after`, as it stands at `now`.
    pub fn queue(
        &mut self,
        now: UtcMillis,
        planned: bool,
        after: Option<QueuePosition>,
        limit: usize,
    ) -> QueuePage {
        self.wake(now);
        let mut positions = self.standings.behind(after, planned);
        let shown: Vec<QueuePosition> = positions.by_ref().take(limit).collect();
        let next = shown.last().copied().filter(|_| positions.next().is_some());
        drop(positions);
        let rows = shown.iter().filter_map(|position| self.row(*position));
        QueuePage { rows: rows.collect(), next }
    }

    /// How the coordinator is, of what is durable and of what its workers told at a moment. Set
    /// aside messages are not counted here.
    pub fn status(&mut self, now: UtcMillis, moment: &Moment) -> Status {
        self.wake(now);
        Status {
            software: SOFTWARE.into(),
            uptime_ms: moment.uptime_ms,
            key: moment.key,
            jobs: self.standings.counts(now),
            artifacts: self.counts(),
            running: self.running(now, moment),
            quarantined: 0,
        }
    }

    fn running(&self, now: UtcMillis, moment: &Moment) -> Vec<RunningJob> {
        let leases: BTreeMap<_, _> = moment.leases.iter().map(|l| (l.attempt, l)).collect();
        let names: BTreeMap<_, _> = moment.workers.iter().map(|w| (w.id, &w.name)).collect();
        let rows = self.standings.running().take(RUNNING_MAX).filter_map(|id| {
            let view = self.jobs.get(&id)?;
            let stand = view.stand.as_ref()?;
            let StoredPlace::Leased { worker, granted_at, .. } = stand.place else { return None };
            let attempt = crate::protocol::AttemptId { job: id, epoch: stand.epoch };
            // A lease that began or ended since the moment has nothing to tell yet.
            let lease = leases.get(&attempt);
            let age_ms = now.0.saturating_sub(granted_at.0).max(0).unsigned_abs();
            Some(RunningJob {
                attempt,
                key: JobKey::clone(&view.job.key),
                worker,
                worker_name: names.get(&worker).map(|name| (*name).clone()).unwrap_or_default(),
                stage: lease.and_then(|lease| lease.stage),
                age_ms: lease.map_or(age_ms, |lease| lease.age_ms),
                log_bytes: lease.map_or(0, |lease| lease.log_bytes),
            })
        });
        rows.collect()
    }

    /// Jobs whose time has come are ready ones from now on.
    fn wake(&mut self, now: UtcMillis) {
        for id in self.standings.due(now) {
            if let Some(stand) = self.jobs.get(&id).and_then(|view| view.stand.as_ref()) {
                self.standings.insert(id, stand);
            }
        }
    }

    fn row(&self, position: QueuePosition) -> Option<Queued> {
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
        let memberships = view.job.memberships().into_iter();
        let mut releases: Vec<String> =
            memberships.filter_map(|m| m.release.map(Into::into)).collect();
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
