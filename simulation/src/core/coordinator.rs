use core::time::Duration;
use std::collections::VecDeque;

use rebuilder_actors::domain::queue::{
    Effects, Event, Fact, Now, Order, Queue, RequestId, Restored, Send, SessionId,
};
use rebuilder_actors::port::{Batch, IndexState, Monotonic, Op, UtcMillis};
use rebuilder_actors::protocol::Sha256;
use rebuilder_actors::protocol::wire::v1::coordinator::Message;
use rebuilder_actors::protocol::wire::v1::ctl::PackageFilter;

use super::observation::Observation;
use super::world::{Happening, World};

/// The coordinator's process, and what it handed to the store.
pub(super) struct Coordinator {
    pub(super) queue: Queue,
    /// When it began.
    started: u64,
    /// Not durable yet, in order.
    pub(super) pending: VecDeque<Pending>,
    last_commit: u64,
    /// Tells its newest timer from older ones.
    timer: u64,
    /// When the newest timer is due; `None`: nothing is waited for.
    pub(super) due: Option<u64>,
}

/// What one event led to.
pub(super) struct Pending {
    batch: Batch,
    sends: Vec<Send>,
    facts: Vec<Fact>,
    ordered: bool,
}

impl World {
    /// A coordinator begins, from what is durable.
    pub(super) fn start_coordinator(&mut self) {
        if self.coordinator.is_some() {
            return;
        }
        let mut restored = Restored::default();
        for (key, value) in &self.durable {
            restored.take(key, value).expect("the store holds what a queue wrote");
        }
        self.incarnation += 1;
        let now = Now { monotonic: Monotonic(Duration::from_secs(1)), utc: self.utc() };
        self.coordinator = Some(Coordinator {
            queue: restored.into_queue(self.settings.clone(), now),
            started: self.now,
            pending: VecDeque::new(),
            last_commit: self.now,
            timer: 0,
            due: None,
        });
        self.observe(&Observation::CoordinatorStarted);
        self.coordinator_handles(Event::Ticked);
        for profile in 0..self.published.len() {
            let delay = self.random.of(1..60_000);
            self.after(delay, Happening::Sync(profile));
        }
    }

    /// Its process ends: what was not committed never happened, all connections break.
    pub(super) fn crash_coordinator(&mut self) {
        if self.coordinator.take().is_none() {
            return;
        }
        self.restarts += 1;
        let sessions: Vec<SessionId> = self.connections.keys().copied().collect();
        for session in sessions {
            self.cut(session, false);
        }
        let delay = self.random.of(1000..600_000);
        self.after(delay, Happening::CoordinatorStart);
    }

    pub(super) fn utc(&self) -> UtcMillis {
        UtcMillis(i64::try_from(self.now).unwrap_or(i64::MAX).saturating_add(self.skew))
    }

    pub(super) fn coordinator_handles(&mut self, event: Event) {
        let utc = self.utc();
        self.latest_utc = self.latest_utc.max(utc);
        if let Event::Told(session, _) = &event
            && let Some(connection) = self.connections.get(session)
        {
            let worker = connection.worker;
            self.observe(&Observation::Heard(worker));
        }
        let ordered = matches!(event, Event::Ordered(..));
        let Some(coordinator) = &mut self.coordinator else { return };
        let age = Duration::from_millis(1000 + self.now - coordinator.started);
        let now = Now { monotonic: Monotonic(age), utc };
        let Effects { batch, sends, facts, lines: _ } = coordinator.queue.handle(now, event);
        let next = coordinator.queue.next_deadline(now);
        coordinator.timer += 1;
        let timer = coordinator.timer;
        let due = next.map(|in_| {
            // Timers are never early.
            self.now + u64::try_from(in_.as_micros().div_ceil(1000)).unwrap_or(u64::MAX / 4)
        });
        coordinator.due = due;
        if !(batch.is_empty() && sends.is_empty() && facts.is_empty()) {
            let slow = self.trouble && self.random.percent(2);
            let latency = self.random.of(1..if slow { 5000 } else { 30 });
            let at = coordinator.last_commit.max(self.now + latency);
            coordinator.last_commit = at;
            coordinator.pending.push_back(Pending { batch, sends, facts, ordered });
            let incarnation = self.incarnation;
            self.at(at, Happening::Commit(incarnation));
        }
        if let Some(due) = due {
            if due <= self.now {
                self.fail("the queue asks to be woken at once: a busy loop");
            }
            let incarnation = self.incarnation;
            self.at(due, Happening::Tick(incarnation, timer));
        }
    }

    pub(super) fn tick(&mut self, incarnation: u64, timer: u64) {
        let newest = self.coordinator.as_ref().is_some_and(|c| c.timer == timer);
        if newest && incarnation == self.incarnation {
            self.coordinator_handles(Event::Ticked);
        }
    }

    /// The oldest batch is durable: what it held back is released.
    pub(super) fn commit(&mut self, incarnation: u64) {
        if incarnation != self.incarnation {
            return;
        }
        let Some(coordinator) = &mut self.coordinator else { return };
        let Some(pending) = coordinator.pending.pop_front() else { return };
        for op in &pending.batch.0 {
            match op {
                Op::Put { key, value } => {
                    self.durable.insert(key.to_vec(), value.to_vec());
                }
                Op::Delete { key } => {
                    self.durable.remove(&key[..]);
                }
            }
        }
        if pending.ordered {
            self.observe(&Observation::Ordered);
        }
        for fact in pending.facts {
            match fact {
                Fact::Job(job) => self.observe(&Observation::Wanted(job)),
                Fact::Placed(id, place) => self.observe(&Observation::Placed(id, place)),
                Fact::Accepted(record, sequence) => {
                    self.builds += u64::from(record.build.is_some());
                    self.observe(&Observation::Accepted(record, sequence));
                }
                Fact::Difference(..) | Fact::Synced(..) => {}
            }
        }
        for send in pending.sends {
            let session = match &send {
                Send::Worker(session, _)
                | Send::Admit { session, .. }
                | Send::Close { session, .. } => *session,
                Send::Upload(..) | Send::Reply(..) => continue,
            };
            if let Send::Worker(_, Message::Assign { number, assignment }) = &send
                && let Some(connection) = self.connections.get(&session)
            {
                let (worker, utc) = (connection.worker, (self.utc(), self.latest_utc));
                let (number, attempt) = (*number, assignment.attempt);
                self.observe(&Observation::Assigned { number, attempt, worker, utc });
            }
            self.send_out(session, send);
        }
    }

    /// A profile reads its index and hands it to the queue in pages.
    pub(super) fn sync(&mut self, profile: usize) {
        if self.coordinator.is_none() {
            return;
        }
        let named = self.packages.iter().filter(|package| package.profiles[profile]);
        let groups: Vec<_> = named.map(|package| package.group()).collect();
        let name: Box<str> = ["p", "q"][profile].into();
        for page in groups.chunks(16) {
            let event = Event::SyncPage { profile: name.clone(), groups: page.to_vec() };
            self.coordinator_handles(event);
        }
        let settings = Sha256::of(format!("{groups:?}").as_bytes());
        let index = IndexState { releases: Vec::new(), settings };
        self.coordinator_handles(Event::SyncEnded { profile: name, index, took_ms: 1 });
        self.published[profile] = groups;
    }

    /// Somebody pushes or drops a package.
    pub(super) fn operate(&mut self) {
        let which = self.random.of(0..self.packages.len() as u64);
        let name = usize::try_from(which).ok().map(|n| self.packages[n].name().to_owned());
        let filter = PackageFilter { name, ..Default::default() };
        let order = if self.random.percent(30) {
            Order::Drop { filter }
        } else {
            Order::Push { filter, priority: 0 }
        };
        self.coordinator_handles(Event::Ordered(RequestId(1), order));
    }
}
