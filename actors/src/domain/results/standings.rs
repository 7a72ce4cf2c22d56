use core::ops::Bound::{Excluded, Unbounded};
use std::collections::BTreeSet;

use crate::domain::queue::{Rank, Stand};
use crate::protocol::stored::StoredPlace;
use crate::protocol::wire::v1::ctl::JobCounts;
use crate::protocol::{InputId, UtcMillis};

/// The wanted jobs in the order of the queue's rows, kept up to date job by job: a page costs what
/// it shows, and counts cost nothing, whatever the length of the queue.
#[derive(Debug, Default)]
pub(super) struct Standings {
    /// The queue's, which shuffles the jobs of one day.
    seed: u64,
    running: BTreeSet<InputId>,
    ready: BTreeSet<Rank>,
    /// Queued, and not due when last looked at.
    delayed: BTreeSet<(UtcMillis, InputId)>,
    /// Parked until a moment.
    parked: BTreeSet<(UtcMillis, InputId)>,
    /// Parked for good or until a moment.
    parked_count: u32,
    decided: u32,
    dropped: u32,
    /// Up to here delayed jobs are among the ready ones.
    woken: UtcMillis,
}

/// A place in the rows of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// With a worker.
    Running(InputId),
    /// Among those that could start.
    Ready(Rank),
    /// Waits for this moment, delayed or parked.
    Timed(UtcMillis, InputId),
}

impl Position {
    pub(super) fn job(self) -> InputId {
        match self {
            Self::Running(job) | Self::Timed(_, job) => job,
            Self::Ready(rank) => rank.job,
        }
    }
}

impl Standings {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// A wanted job stands here now.
    pub(super) fn insert(&mut self, id: InputId, stand: &Stand) {
        match &stand.place {
            StoredPlace::Queued { due, .. } if *due > self.woken => {
                self.delayed.insert((*due, id));
            }
            StoredPlace::Queued { waiting, .. } => {
                self.ready.insert(Rank::new(self.seed, waiting, id));
            }
            StoredPlace::Leased { .. } => drop(self.running.insert(id)),
            StoredPlace::Parked { until, .. } => {
                self.parked_count += 1;
                self.parked.extend(until.map(|until| (until, id)));
            }
            StoredPlace::Decided => self.decided += 1,
            StoredPlace::Dropped => self.dropped += 1,
        }
    }

    /// A wanted job stood here.
    pub(super) fn remove(&mut self, id: InputId, stand: &Stand) {
        match &stand.place {
            StoredPlace::Queued { waiting, due } => {
                self.delayed.remove(&(*due, id));
                self.ready.remove(&Rank::new(self.seed, waiting, id));
            }
            StoredPlace::Leased { .. } => drop(self.running.remove(&id)),
            StoredPlace::Parked { until, .. } => {
                self.parked_count -= 1;
                if let Some(until) = until {
                    self.parked.remove(&(*until, id));
                }
            }
            StoredPlace::Decided => self.decided -= 1,
            StoredPlace::Dropped => self.dropped -= 1,
        }
    }

    /// Jobs that the rows of the queue have: with a worker, ready, and waiting for a moment.
    pub(super) fn lengths(&self) -> [u32; 3] {
        let waiting = self.delayed.len() + self.parked.len();
        [self.running.len(), self.ready.len(), waiting]
            .map(|length| u32::try_from(length).unwrap_or(u32::MAX))
    }

    /// Where a wanted job is that stands here, if the rows of the queue have it.
    pub(super) fn position(&self, id: InputId, stand: &Stand) -> Option<Position> {
        match &stand.place {
            StoredPlace::Queued { due, .. } if *due > self.woken => Some(Position::Timed(*due, id)),
            StoredPlace::Queued { waiting, .. } => {
                Some(Position::Ready(Rank::new(self.seed, waiting, id)))
            }
            StoredPlace::Leased { .. } => Some(Position::Running(id)),
            StoredPlace::Parked { until, .. } => until.map(|until| Position::Timed(until, id)),
            StoredPlace::Decided | StoredPlace::Dropped => None,
        }
    }

    /// True when there are jobs for [`Standings::due`].
    pub(super) fn is_due(&self, now: UtcMillis) -> bool {
        self.delayed.first().is_some_and(|(at, _)| *at <= now)
    }

    /// Jobs that became due, each once.
    pub(super) fn due(&mut self, now: UtcMillis) -> Vec<InputId> {
        self.woken = now;
        let mut due = Vec::new();
        while let Some((_, id)) = self.delayed.first().filter(|(at, _)| *at <= now) {
            due.push(*id);
            self.delayed.pop_first();
        }
        due
    }

    /// Jobs by where they are.
    pub(super) fn counts(&self, now: UtcMillis) -> JobCounts {
        let length = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let next = self.delayed.first();
        JobCounts {
            ready: length(self.ready.len()),
            delayed: length(self.delayed.len()),
            running: length(self.running.len()),
            parked: self.parked_count,
            decided: self.decided,
            dropped: self.dropped,
            next_due_ms: next.map(|(at, _)| at.0.saturating_sub(now.0).max(0).unsigned_abs()),
        }
    }

    pub(super) fn running(&self) -> impl Iterator<Item = InputId> {
        self.running.iter().copied()
    }

    /// Positions behind `after`: what runs, what is ready in its order, and, when `planned`, what
    /// waits for a moment.
    pub(super) fn behind(
        &self,
        after: Option<Position>,
        planned: bool,
    ) -> impl Iterator<Item = Position> {
        let (mut running, mut ready, mut timed) = (Some(Unbounded), Some(Unbounded), Unbounded);
        match after {
            None => {}
            Some(Position::Running(job)) => running = Some(Excluded(job)),
            Some(Position::Ready(rank)) => (running, ready) = (None, Some(Excluded(rank))),
            Some(Position::Timed(at, job)) => {
                (running, ready, timed) = (None, None, Excluded((at, job)));
            }
        }
        let running = running.into_iter().flat_map(|from| self.running.range((from, Unbounded)));
        let ready = ready.into_iter().flat_map(|from| self.ready.range((from, Unbounded)));
        let delayed = self.delayed.range((timed, Unbounded)).peekable();
        let parked = self.parked.range((timed, Unbounded)).peekable();
        let timed = merged(delayed, parked).filter(move |_| planned);
        let running = running.map(|job| Position::Running(*job));
        let ready = ready.map(|rank| Position::Ready(*rank));
        running.chain(ready).chain(timed.map(|(at, job)| Position::Timed(at, job)))
    }
}

/// Two ascending lists as one.
fn merged<'a, T: Ord + Copy + 'a, I: Iterator<Item = &'a T>>(
    mut a: core::iter::Peekable<I>,
    mut b: core::iter::Peekable<I>,
) -> impl Iterator<Item = T> {
    core::iter::from_fn(move || match (a.peek(), b.peek()) {
        (Some(first), Some(second)) if second < first => b.next().copied(),
        (Some(_), _) => a.next().copied(),
        (None, _) => b.next().copied(),
    })
}
