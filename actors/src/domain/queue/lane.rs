use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::worker::Session;
use crate::domain::architecture;
use crate::planted::{self, Bug};
use crate::protocol::stored::Waiting;
use crate::protocol::wire::Offer;
use crate::protocol::{InputId, WorkerId};

/// What decides who may have a job: ready jobs are kept apart by it, so that any number of jobs
/// that a worker cannot have costs nothing and hides nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lane {
    pub(super) backend: Box<str>,
    pub(super) architecture: Box<str>,
    /// Sorted.
    pub(super) tags: Vec<String>,
    /// Workers that confirmed already: another key is asked for.
    pub(super) confirmed: Vec<WorkerId>,
    /// The worker of the last fault: others are preferred.
    pub(super) avoid: Option<WorkerId>,
    /// Memory that was not enough, bytes: workers with more are preferred.
    pub(super) memory_over: Option<u64>,
}

impl Lane {
    /// True when the worker can do it, and is not ruled out for good.
    pub(super) fn fits(&self, worker: WorkerId, offer: &Offer) -> bool {
        !self.confirmed.contains(&worker)
            && offer.backends.iter().any(|b| **b == *self.backend)
            && architecture::offers(&offer.architectures, &self.architecture)
            && self.tags.iter().all(|tag| offer.tags.contains(tag))
    }

    /// True when the worker fits and nothing that happened speaks for another one.
    pub(super) fn suits(&self, worker: WorkerId, session: &Session) -> bool {
        self.avoid != Some(worker)
            && self.memory_over.is_none_or(|over| is_larger(session.free_memory, over))
            && self.fits(worker, &session.offer)
    }
}

/// Whether a worker with this much free memory is worth a try where `over` was not enough: an
/// eighth more, because what is free wavers, and a build that fails so again costs hours.
pub(super) fn is_larger(free: u64, over: u64) -> bool {
    free > over.saturating_add(over / 8)
}

/// Order of ready jobs (DESIGN §7): priority, day queued, seeded shuffle inside the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    priority: i32,
    day: i64,
    shuffle: u64,
    pub(crate) job: InputId,
}

impl Rank {
    pub(crate) fn new(seed: u64, waiting: &Waiting, job: InputId) -> Self {
        let day = waiting.queued_at.day();
        let shuffle = mix(seed ^ mix(day.cast_unsigned()) ^ u64::from(job.0.cast_unsigned()));
        let priority = if planted::is(Bug::PriorityIgnored) { 0 } else { waiting.priority };
        Self { priority, day, shuffle, job }
    }
}

/// splitmix64's finalizer: spreads neighbouring numbers.
fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Where a ready job stands: kept with the job, because what its lane follows from may change
/// before it is taken out.
pub(super) type Standing = (Arc<Lane>, Rank);

/// Jobs that could start now.
#[derive(Debug, Default)]
pub(super) struct Ready {
    lanes: BTreeMap<Arc<Lane>, BTreeSet<Rank>>,
    length: usize,
}

impl Ready {
    pub(super) fn insert(&mut self, lane: Lane, rank: Rank) -> Standing {
        let lane = match self.lanes.get_key_value(&lane) {
            Some((known, _)) => known.clone(),
            None => Arc::new(lane),
        };
        let ranks = self.lanes.entry(lane.clone()).or_default();
        self.length += usize::from(ranks.insert(rank));
        (lane, rank)
    }

    pub(super) fn remove(&mut self, (lane, rank): &Standing) {
        if let Some(ranks) = self.lanes.get_mut(lane) {
            self.length -= usize::from(ranks.remove(rank));
            if ranks.is_empty() {
                self.lanes.remove(lane);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// The first job in order of the lanes that `allowed` takes.
    pub(super) fn first(&self, allowed: impl Fn(&Lane) -> bool) -> Option<Rank> {
        let allowed = self.lanes.iter().filter(|(lane, _)| allowed(lane));
        allowed.filter_map(|(_, ranks)| ranks.first()).min().copied()
    }

    /// All ready jobs in order.
    #[cfg(test)]
    pub(super) fn in_order(&self) -> Vec<Rank> {
        let mut ranks: Vec<Rank> = self.lanes.values().flatten().copied().collect();
        ranks.sort_unstable();
        ranks
    }
}
