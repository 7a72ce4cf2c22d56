use std::collections::{BTreeMap, BTreeSet};

use crate::domain::architecture;
use crate::protocol::InputId;
use crate::protocol::stored::v1::Waiting;
use crate::protocol::wire::Offer;

/// What a worker must offer for a job: ready jobs are kept apart by it, so that jobs which nobody
/// can build cost nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lane {
    pub(super) backend: Box<str>,
    pub(super) architecture: Box<str>,
    /// Sorted.
    pub(super) tags: Vec<String>,
}

impl Lane {
    pub(super) fn fits(&self, offer: &Offer) -> bool {
        offer.backends.iter().any(|b| **b == *self.backend)
            && architecture::offers(&offer.architectures, &self.architecture)
            && self.tags.iter().all(|tag| offer.tags.contains(tag))
    }
}

/// Order of ready jobs (DESIGN §7): priority, day queued, seeded shuffle inside the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    priority: i32,
    day: i64,
    shuffle: u64,
    pub(super) job: InputId,
}

impl Rank {
    pub(super) fn new(seed: u64, waiting: &Waiting, job: InputId) -> Self {
        let day = waiting.queued_at.day();
        let shuffle = mix(seed ^ mix(day.cast_unsigned()) ^ u64::from(job.0.cast_unsigned()));
        Self { priority: waiting.priority, day, shuffle, job }
    }
}

/// splitmix64's finalizer: spreads neighbouring numbers.
fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Jobs that could start now.
#[derive(Debug, Default)]
pub(super) struct Ready {
    lanes: BTreeMap<Lane, BTreeSet<Rank>>,
    length: usize,
}

impl Ready {
    pub(super) fn insert(&mut self, lane: &Lane, rank: Rank) {
        let ranks = match self.lanes.get_mut(lane) {
            Some(ranks) => ranks,
            None => self.lanes.entry(lane.clone()).or_default(),
        };
        self.length += usize::from(ranks.insert(rank));
    }

    pub(super) fn remove(&mut self, lane: &Lane, rank: &Rank) {
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

    /// The first job in order that `offer` fits and `allowed` takes. Each lane is searched to
    /// [`Ready::SEARCH_MAX`], so that a run of jobs that one worker may not have costs a bounded time.
    pub(super) fn first(&self, offer: &Offer, allowed: impl Fn(InputId) -> bool) -> Option<Rank> {
        let fitting = self.lanes.iter().filter(|(lane, _)| lane.fits(offer));
        fitting
            .filter_map(|(_, ranks)| ranks.iter().take(Self::SEARCH_MAX).find(|r| allowed(r.job)))
            .min()
            .copied()
    }

    const SEARCH_MAX: usize = 256;

    /// All ready jobs in order.
    pub(super) fn in_order(&self) -> Vec<Rank> {
        let mut ranks: Vec<Rank> = self.lanes.values().flatten().copied().collect();
        ranks.sort_unstable();
        ranks
    }
}
