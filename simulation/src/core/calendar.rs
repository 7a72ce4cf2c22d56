use core::cmp::Reverse;
use std::collections::BinaryHeap;

use rebuilder_actors::domain::queue::{Event, Send, SessionId};
use rebuilder_actors::protocol::AttemptId;

use super::trouble::Trouble;
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
    /// This process of the coordinator learns whether the peer of a connection answers.
    Probed(u64, SessionId, bool),
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
    Inject(Trouble),
    /// A stall of the coordinator ends.
    Awake,
    /// The trouble is over.
    Heal,
}

impl Happening {
    /// True for what a coordinator that stands still does not notice.
    pub(super) fn is_for_coordinator(&self) -> bool {
        match self {
            Self::Tick(..)
            | Self::Commit(..)
            | Self::Arrives(..)
            | Self::Probed(..)
            | Self::Gone(..)
            | Self::Sync(_)
            | Self::Page(..)
            | Self::Inject(Trouble::Operator) => true,
            Self::Reaches(..)
            | Self::Status(..)
            | Self::Built(..)
            | Self::Stopped(..)
            | Self::LogStored(..)
            | Self::Connect(..)
            | Self::WorkerStart(_)
            | Self::CoordinatorStart
            | Self::Inject(_)
            | Self::Awake
            | Self::Heal => false,
        }
    }
}

/// What is to happen, in order of time; at the same moment in an order that the seed draws.
#[derive(Debug, Default)]
pub(super) struct Calendar {
    /// Moment, then chance, then place: a number each, as they are moved about often.
    order: BinaryHeap<Reverse<u128>>,
    /// By place; `None`: free.
    entries: Vec<Option<Happening>>,
    free: Vec<u32>,
}

impl Calendar {
    pub(super) fn insert(&mut self, random: &mut Random, at: u64, happening: Happening) {
        let shuffle = random.of(0..1 << 32);
        let place = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            u32::try_from(self.entries.len() - 1).expect("a world has few things to come")
        });
        self.entries[place as usize] = Some(happening);
        let rank = u128::from(at) << 64 | u128::from(shuffle) << 32 | u128::from(place);
        self.order.push(Reverse(rank));
    }

    pub(super) fn pop(&mut self) -> Option<(u64, Happening)> {
        let Reverse(rank) = self.order.pop()?;
        let place = (rank & u128::from(u32::MAX)) as u32;
        self.free.push(place);
        let happening = self.entries[place as usize].take()?;
        Some(((rank >> 64) as u64, happening))
    }
}
