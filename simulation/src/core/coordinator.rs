use core::time::Duration;
use std::collections::VecDeque;

use rebuilder_actors::domain::queue::{
    Effects, Event, Fact, Now, Queue, Restored, Send, SessionId,
};
use rebuilder_actors::planted::{self, Bug};
use rebuilder_actors::port::Signer as _;
use rebuilder_actors::port::{Batch, Monotonic, Op};
use rebuilder_actors::protocol::UtcMillis;
use rebuilder_actors::protocol::wire::v1::coordinator::Message;

use super::calendar::Happening;
use super::inject::directive;
use super::oracle::Oracle;
use super::trouble::Trouble;
use super::world::{HOUR, MINUTE, World};
use crate::observation::{Directive, Named, Observation};

/// The coordinator's process, and what it handed to the store.
pub(super) struct Coordinator {
    pub(super) queue: Queue,
    /// What the queue should be; `None`: not asked for.
    oracle: Option<Box<Oracle>>,
    /// When it began.
    started: u64,
    /// Not durable yet, in order.
    pub(super) pending: VecDeque<Pending>,
    last_commit: u64,
    /// Tells its newest timer from older ones.
    timer: u64,
    /// When the newest timer is due; `None`: nothing is waited for.
    pub(super) due: Option<u64>,
    /// When its sizes were looked at.
    measured: u64,
    /// With a bug planted in the store: how to take back what was not synced.
    unsynced: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// What one event led to.
pub(super) struct Pending {
    batch: Batch,
    sends: Vec<Send>,
    facts: Vec<Fact>,
    ordered: Option<Directive>,
    indexed: Option<(Box<str>, Named)>,
    /// Its commit takes seconds.
    slow: bool,
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
        let oracle =
            self.with_oracle.then(|| Box::new(Oracle::new(&self.durable, &self.settings, now)));
        self.coordinator = Some(Coordinator {
            queue: restored.into_queue(self.settings.clone(), now),
            oracle,
            started: self.now,
            pending: VecDeque::new(),
            last_commit: self.now,
            timer: 0,
            due: None,
            measured: self.now,
            unsynced: Vec::new(),
        });
        self.observe(&Observation::CoordinatorStarted);
        self.coordinator_handles(Event::Ticked);
        for profile in 0..self.published.len() {
            self.reading[profile] = None;
            let delay = self.random.of(1..MINUTE);
            self.after(delay, Happening::Sync(profile));
        }
    }

    /// Its process ends: what was not committed may have happened or not, oldest first, and nobody
    /// was told; all connections break.
    pub(super) fn crash_coordinator(&mut self) {
        let Some(coordinator) = self.coordinator.take() else { return };
        self.restarts += 1;
        for (key, old) in coordinator.unsynced.into_iter().rev() {
            match old {
                Some(value) => drop(self.durable.insert(key, value)),
                None => drop(self.durable.remove(&key)),
            }
        }
        let survive = self.random.of(0..2 + coordinator.pending.len() as u64);
        let survive = usize::try_from(survive.saturating_sub(1)).unwrap_or(0);
        for pending in coordinator.pending.into_iter().take(survive) {
            let Pending { batch, facts, ordered, indexed, .. } = pending;
            self.apply(&batch);
            self.witness_commit(&batch, facts, ordered, indexed);
        }
        self.observe(&Observation::CoordinatorCrashed);
        let sessions: Vec<SessionId> = self.connections.keys().copied().collect();
        for session in sessions {
            self.cut(session, false);
        }
        // A stall ends with its process; syncs that waited go on, and find nobody.
        self.stalled = None;
        for happening in core::mem::take(&mut self.late) {
            self.happen(happening);
        }
        let delay = self.random.of(1000..HOUR / 6);
        self.after(delay, Happening::CoordinatorStart);
    }

    pub(super) fn utc(&self) -> UtcMillis {
        let utc = super::world::START + self.now;
        UtcMillis(i64::try_from(utc).unwrap_or(i64::MAX).saturating_add(self.skew))
    }

    pub(super) fn coordinator_handles(&mut self, event: Event) {
        if self.coordinator.is_none() {
            return;
        }
        let utc = self.utc();
        self.latest_utc = self.latest_utc.max(utc);
        self.hear(&event, utc);
        let ordered = match &event {
            Event::Ordered(_, order) => directive(order),
            _ => None,
        };
        let wakes = matches!(event, Event::SyncEnded { .. } | Event::Ordered(..));
        let Some(coordinator) = &mut self.coordinator else { return };
        let age = Duration::from_millis(1000 + self.now - coordinator.started);
        let now = Now { monotonic: Monotonic(age), utc };
        let asked = coordinator.oracle.is_some().then(|| event.clone());
        let effects = coordinator.queue.handle(now, event);
        let next = coordinator.queue.next_deadline(now);
        if let (Some(oracle), Some(event)) = (&mut coordinator.oracle, asked)
            && let Err(text) = oracle.compare(now, event, &effects, next)
        {
            self.fail("oracle", text);
            return;
        }
        self.hand_over(effects, ordered);
        self.rearm(next);
        if wakes {
            self.wake_workers();
        }
    }

    /// What checkers are told of what arrives.
    fn hear(&mut self, event: &Event, utc: UtcMillis) {
        let Event::StatusReceived(session, status) = event else { return };
        let Some(connection) = self.connections.get(session) else { return };
        self.observe(&Observation::Heard {
            worker: connection.worker,
            seen: status.seen,
            running: status.running.iter().map(|running| running.attempt).collect(),
            spooled: status.spooled.clone(),
            utc,
            free_memory: status.free_memory,
        });
    }

    /// To the store; what is to leave waits for it.
    fn hand_over(&mut self, effects: Effects, ordered: Option<Directive>) {
        let Effects { batch, mut sends, facts, notices: _ } = effects;
        let indexed = self.named.take();
        if batch.is_empty() && sends.is_empty() && facts.is_empty() && indexed.is_none() {
            return;
        }
        let slow = self.strength(Trouble::SlowDisk);
        let slow = slow > 0 && self.random.percent(2 * slow);
        let latency = self.random.of(1..if slow { 5000 } else { 30 });
        let early: Vec<Send> = if planted::is(Bug::SentBeforeTicket) {
            core::mem::take(&mut sends)
        } else if planted::is(Bug::AcknowledgedBeforeCommit) {
            let answers = |send: &mut Send| matches!(send, Send::Worker(_, Message::Answer { .. }));
            sends.extract_if(.., answers).collect()
        } else {
            Vec::new()
        };
        let Some(coordinator) = &mut self.coordinator else { return };
        let at = coordinator.last_commit.max(self.now + latency);
        coordinator.last_commit = at;
        coordinator.pending.push_back(Pending { batch, sends, facts, ordered, indexed, slow });
        let incarnation = self.incarnation;
        self.at(at, Happening::Commit(incarnation));
        for send in early {
            self.release(send);
        }
    }

    fn rearm(&mut self, next: Option<Duration>) {
        let due = next.map(|in_| {
            // Timers are never early.
            self.now + u64::try_from(in_.as_micros().div_ceil(1000)).unwrap_or(u64::MAX / 4)
        });
        let Some(coordinator) = &mut self.coordinator else { return };
        if due == coordinator.due && due.is_some_and(|due| due > self.now) {
            return;
        }
        coordinator.due = due;
        coordinator.timer += 1;
        let timer = coordinator.timer;
        if let Some(due) = due {
            if due <= self.now {
                self.fail("no_progress_is_noticed", "the queue wants to wake at once".into());
            }
            let incarnation = self.incarnation;
            self.at(due, Happening::Tick(incarnation, timer));
        }
    }

    pub(super) fn tick(&mut self, incarnation: u64, timer: u64) {
        if incarnation != self.incarnation {
            return;
        }
        let Some(coordinator) = self.coordinator.as_mut().filter(|c| c.timer == timer) else {
            return;
        };
        coordinator.due = None;
        self.coordinator_handles(Event::Ticked);
    }

    /// The oldest batch is durable: what it held back is released.
    pub(super) fn commit(&mut self, incarnation: u64) {
        if incarnation != self.incarnation {
            return;
        }
        let broken = self.strength(Trouble::BrokenDisk);
        let pending = self.coordinator.as_ref().and_then(|c| c.pending.front());
        // A disk that is slow to answer is the likelier one to fail.
        let chance = if pending.is_some_and(|p| p.slow) { 500 } else { 5 };
        if broken > 0 && self.random.of(0..10_000) < broken * chance {
            self.note("coordinator", || "its disk fails");
            self.crash_coordinator();
            return;
        }
        let Some(coordinator) = &mut self.coordinator else { return };
        let Some(pending) = coordinator.pending.pop_front() else { return };
        let Pending { batch, sends, facts, ordered, indexed, .. } = pending;
        self.apply(&batch);
        self.witness_commit(&batch, facts, ordered, indexed);
        for send in sends {
            self.release(send);
        }
        self.measure_coordinator();
    }

    fn apply(&mut self, batch: &Batch) {
        for op in &batch.0 {
            let (key, old) = match op {
                Op::Put { key, value } => (key, self.durable.insert(key.to_vec(), value.to_vec())),
                Op::Delete { key } => (key, self.durable.remove(&key[..])),
            };
            if planted::is(Bug::UnsyncedAcknowledged)
                && let Some(coordinator) = &mut self.coordinator
            {
                if coordinator.unsynced.len() > 50 {
                    coordinator.unsynced.clear();
                }
                coordinator.unsynced.push((key.to_vec(), old));
            }
        }
    }

    fn witness_commit(
        &mut self,
        batch: &Batch,
        facts: Vec<Fact>,
        ordered: Option<Directive>,
        indexed: Option<(Box<str>, Named)>,
    ) {
        for fact in &facts {
            if let Fact::Job(job) = fact {
                self.observe(&Observation::Wanted(job.clone()));
            }
        }
        for op in &batch.0 {
            match Observation::of_write(op) {
                Ok(Some(observation)) => self.observe(&observation),
                Ok(None) => {}
                Err(error) => self.fail("simulation", format!("a write cannot be read: {error}")),
            }
        }
        if let Some(order) = ordered {
            self.observe(&Observation::Ordered(order));
        }
        for fact in facts {
            match fact {
                Fact::Placed(id, place) => {
                    self.observe(&Observation::Placed(id, place.job_place()));
                }
                Fact::Accepted(record, sequence) => {
                    self.builds += u64::from(record.build.is_some());
                    self.observe(&Observation::Accepted(record, sequence));
                }
                Fact::Job(_)
                | Fact::Difference(..)
                | Fact::Synced(..)
                | Fact::Worker(_)
                | Fact::Pulse(..)
                | Fact::Progress(..) => {}
            }
        }
        if let Some((profile, named)) = indexed {
            self.observe(&Observation::Indexed(profile, named));
        }
    }

    /// Something leaves the coordinator.
    fn release(&mut self, send: Send) {
        let session = match &send {
            Send::Worker(session, _)
            | Send::Admit { session, .. }
            | Send::Close { session, .. } => *session,
            Send::Probe { session, within } => return self.probe(*session, *within),
            Send::Upload(..) | Send::Reply(..) | Send::Revoked(_) => return,
        };
        let Some(connection) = self.connections.get(&session) else { return };
        let worker = connection.worker;
        match &send {
            Send::Worker(_, Message::Assign { number, assignment }) => {
                let utc = (self.utc(), self.latest_utc);
                let (number, attempt) = (*number, assignment.attempt);
                self.observe(&Observation::Assigned { number, attempt, worker, utc });
            }
            Send::Worker(_, Message::Cancel { attempt, reason }) => {
                let text = format!("tells worker-{worker} to stop attempt {attempt}: {reason}");
                self.note("coordinator", || text);
            }
            Send::Close { reason, .. } => {
                let text = format!("closes a connection of worker-{worker}: {reason}");
                self.note("coordinator", || text);
            }
            _ => {}
        }
        self.send_out(session, send);
    }

    /// What grows, now and then.
    fn measure_coordinator(&mut self) {
        let Some(coordinator) = &mut self.coordinator else { return };
        if self.now < coordinator.measured + HOUR {
            return;
        }
        coordinator.measured = self.now;
        let sizes = coordinator.queue.sizes();
        let (jobs, workers) = (sizes.jobs as u64, self.workers.len() as u64);
        let pending = coordinator.pending.len() as u64;
        let bounds = [
            ("connections", sizes.sessions as u64, 2 * workers),
            ("leases", sizes.leases as u64, jobs),
            ("timers", sizes.timers as u64, jobs),
            ("grants of one job", sizes.grants_max as u64, 64),
            ("hand-overs", sizes.syncs as u64, self.published.len() as u64),
            ("invitations", sizes.invitations as u64, 100),
            ("batches", pending, 10_000),
        ];
        for (what, amount, limit) in bounds {
            self.observe(&Observation::Holds { node: "coordinator", what, amount, limit });
        }
    }

    /// Who was let in, for the checkers: before the commit that lets it in.
    pub(super) fn joins(&mut self, session: SessionId) {
        let Some(connection) = self.connections.get(&session) else { return };
        let worker = &self.workers[connection.worker];
        let (key, offer) = (worker.key.public_key(), worker.offer.clone());
        let worker = connection.worker;
        self.observe(&Observation::Admitted { worker, key, offer });
    }
}
