use core::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use rebuilder_actors::domain::queue::{Event, Send, SessionId};
use rebuilder_actors::protocol::AttemptId;

use super::fault::Fault;
use crate::random::Random;

/// What is about to happen.
#[derive(Debug)]
pub(super) enum Happening {
    /// The coordinator's timer, of this process, with this number.
    Tick(u64, u64),
    /// The store of this process of the coordinator has its oldest batch.
    Commit(u64),
    /// To the coordinator.
    Arrives(SessionId, Box<Event>),
    /// To a worker.
    Reaches(SessionId, Box<Send>),
    /// The coordinator notices that a connection is gone.
    Gone(SessionId, usize),
    /// The timer of a worker's machine, with this number.
    Status(usize, u64),
    /// A build ended, in this process of a worker.
    Built(usize, u32, AttemptId),
    /// A build that was stopped is gone.
    Stopped(usize, u32, AttemptId),
    /// The coordinator has the log of an attempt, sent over this connection.
    LogStored(usize, SessionId, AttemptId),
    /// A worker's process tries to connect.
    Connect(usize, u32),
    WorkerStart(usize),
    CoordinatorStart,
    /// A profile looks at its index.
    Sync(usize),
    /// The next part of what a profile read, of this read.
    Page(usize, u64),
    /// Trouble of this kind strikes.
    Strike(Fault),
    /// The trouble is over.
    Heal,
}

/// What is to happen, in order of time; at the same moment in an order that the seed draws.
#[derive(Debug, Default)]
pub(super) struct Calendar {
    entries: BinaryHeap<Reverse<Entry>>,
    sequence: u32,
}

#[derive(Debug)]
struct Entry {
    at: u64,
    shuffle: u32,
    sequence: u32,
    happening: Happening,
}

impl Calendar {
    pub(super) fn insert(&mut self, random: &mut Random, at: u64, happening: Happening) {
        self.sequence = self.sequence.wrapping_add(1);
        let shuffle = u32::try_from(random.of(0..1 << 32)).unwrap_or(0);
        self.entries.push(Reverse(Entry { at, shuffle, sequence: self.sequence, happening }));
    }

    pub(super) fn pop(&mut self) -> Option<(u64, Happening)> {
        self.entries.pop().map(|Reverse(entry)| (entry.at, entry.happening))
    }
}

impl Entry {
    /// Moment, then chance, then age: as one number, which is one comparison.
    fn rank(&self) -> u128 {
        u128::from(self.at) << 64 | u128::from(self.shuffle) << 32 | u128::from(self.sequence)
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}
