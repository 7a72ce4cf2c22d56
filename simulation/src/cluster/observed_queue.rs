//! Stands around the production queue and tells the checkers what it decided, once the store has
//! it.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use rebuilder_actors::actor::coordinator::queue::{Decide, Wrap};
use rebuilder_actors::domain::queue::{Effects, Event, Fact, Now, Order, Queue, Send, SessionId};
use rebuilder_actors::port::Batch;
use rebuilder_actors::protocol::wire::BootId;
use rebuilder_actors::protocol::wire::v1::coordinator::Message;
use rebuilder_actors::protocol::wire::v1::worker::Status;
use rebuilder_actors::protocol::{JobKey, PublicKey};

use super::event::ClusterEvent;
use super::world::{Cluster, ProcessScope, lock};
use crate::observation::{Directive, Observation, job_key};

/// What was decided and is not durable yet, in order.
pub(super) struct Ledger {
    world: Arc<Cluster>,
    waiting: Mutex<Waiting>,
}

impl Ledger {
    pub(super) fn new(world: &Arc<Cluster>) -> Arc<Self> {
        Arc::new(Self { world: world.clone(), waiting: Mutex::default() })
    }

    /// The store made these durable.
    pub(super) fn committed(&self, batches: &[Batch]) {
        for batch in batches {
            let mut waiting = lock(&self.waiting);
            // What waits without a write was decided after a write that is durable by now.
            let mut seen = take_while(&mut waiting, |front| front.is_empty());
            if waiting.front().is_some_and(|(front, _)| front == batch) {
                seen.extend(waiting.pop_front().map(|(_, seen)| seen).unwrap_or_default());
            }
            seen.extend(take_while(&mut waiting, |front| front.is_empty()));
            drop(waiting);
            self.tell(&seen);
        }
    }

    fn tell(&self, seen: &[Decided]) {
        for Decided { seen, to } in seen {
            self.world.observe(seen);
            // It went to a process that is gone: the coordinator has not noticed yet.
            if let Some((worker, boot)) = to
                && self.world.process(*worker) != Some(*boot)
            {
                self.world.observe(&Observation::WorkerCrashed(*worker));
            }
        }
    }

    fn decided(&self, batch: &Batch, decided: Vec<Decided>) {
        let mut waiting = lock(&self.waiting);
        if !(batch.is_empty() && waiting.is_empty()) {
            waiting.push_back((batch.clone(), decided));
            return;
        }
        drop(waiting);
        self.tell(&decided);
    }
}

type Waiting = VecDeque<(Batch, Vec<Decided>)>;

/// Something that is seen once it is durable.
struct Decided {
    seen: Observation,
    /// The worker, and which process of it, that an assignment goes to.
    to: Option<(usize, BootId)>,
}

impl From<Observation> for Decided {
    fn from(seen: Observation) -> Self {
        Self { seen, to: None }
    }
}

fn take_while(waiting: &mut Waiting, fits: impl Fn(&Batch) -> bool) -> Vec<Decided> {
    let mut taken = Vec::new();
    while waiting.front().is_some_and(|(batch, _)| fits(batch)) {
        taken.extend(waiting.pop_front().map(|(_, seen)| seen).unwrap_or_default());
    }
    taken
}

/// Wraps every queue that a coordinator's process restores.
pub(super) fn wrap(
    world: &Arc<Cluster>,
    scope: &Arc<ProcessScope>,
    ledger: &Arc<Ledger>,
    workers: Arc<BTreeMap<PublicKey, usize>>,
) -> Wrap {
    let (world, scope, ledger) = (world.clone(), scope.clone(), ledger.clone());
    Arc::new(move |queue| {
        lock(&ledger.waiting).clear();
        if !scope.is_over() {
            world.observe(&Observation::CoordinatorStarted);
        }
        Box::new(ObservedQueue {
            world: world.clone(),
            scope: scope.clone(),
            queue,
            ledger: ledger.clone(),
            workers: workers.clone(),
            sessions: BTreeMap::new(),
            named: BTreeMap::new(),
        })
    })
}

struct ObservedQueue {
    world: Arc<Cluster>,
    scope: Arc<ProcessScope>,
    queue: Queue,
    ledger: Arc<Ledger>,
    workers: Arc<BTreeMap<PublicKey, usize>>,
    sessions: BTreeMap<SessionId, (usize, BootId)>,
    /// What each hand-over of an index under way has named.
    named: BTreeMap<Box<str>, BTreeSet<Arc<JobKey>>>,
}

impl ObservedQueue {
    fn heard(&self, now: Now, session: SessionId, status: &Status) {
        let Some((worker, _)) = self.sessions.get(&session) else { return };
        self.world.observe(&Observation::Heard {
            worker: *worker,
            seen: status.seen,
            running: status.running.iter().map(|running| running.attempt).collect(),
            spooled: status.spooled.clone(),
            utc: now.utc,
            free_memory: status.free_memory,
        });
    }

    /// What a profile names, once its index was handed over whole.
    fn index(&mut self, event: &Event) -> Option<Observation> {
        match event {
            Event::SyncBegan { profile } => drop(self.named.remove(profile)),
            Event::SyncPage { profile, groups } => {
                let named = self.named.entry(profile.clone()).or_default();
                named.extend(groups.iter().map(job_key).map(Arc::new));
            }
            Event::SyncEnded { profile, .. } => {
                let named = self.named.remove(profile).unwrap_or_default();
                return Some(Observation::Indexed(profile.clone(), Arc::new(named)));
            }
            _ => {}
        }
        None
    }
}

impl Decide for ObservedQueue {
    fn handle(&mut self, now: Now, event: Event) -> Effects {
        if self.scope.is_over() {
            return self.queue.handle(now, event);
        }
        let latest = self.world.latest_utc(now.utc);
        let mut decided = Vec::new();
        match &event {
            Event::Joined(join) => {
                if let Some(worker) = self.workers.get(&join.worker) {
                    self.sessions.insert(join.session, (*worker, join.boot));
                    let (worker, key) = (*worker, join.worker);
                    let offer = Arc::new(join.offer.clone());
                    self.world.observe(&Observation::Admitted { worker, key, offer });
                }
            }
            Event::StatusReceived(session, status) => {
                self.world.see_often(&ClusterEvent::StatusHandled(session.0, self.world.age()));
                self.heard(now, *session, status);
            }
            Event::Left(session) => {
                if let Some((worker, _)) = self.sessions.get(session) {
                    self.world.observe(&Observation::Left(*worker));
                }
            }
            _ => {}
        }
        let left = if let Event::Left(session) = &event { Some(*session) } else { None };
        let ordered = directive(&event);
        let indexed = self.index(&event);
        let effects = self.queue.handle(now, event);
        let wanted = effects.facts.iter().filter_map(|fact| match fact {
            Fact::Job(job) => Some(Observation::Wanted(job.clone())),
            _ => None,
        });
        decided.extend(wanted.map(Decided::from));
        for op in &effects.batch.0 {
            let read = Observation::of_write(op).expect("a queue writes what can be read");
            decided.extend(read.map(Decided::from));
        }
        decided.extend(ordered.map(Decided::from));
        decided.extend(effects.facts.iter().filter_map(fact).map(Decided::from));
        decided.extend(indexed.map(Decided::from));
        for send in &effects.sends {
            if let Send::Worker(session, Message::Assign { number, assignment }) = send
                && let Some(to) = self.sessions.get(session)
            {
                let (number, attempt) = (*number, assignment.attempt);
                let utc = (now.utc, latest);
                let seen = Observation::Assigned { number, attempt, worker: to.0, utc };
                decided.push(Decided { seen, to: Some(*to) });
            }
        }
        if let Some(left) = left {
            self.sessions.remove(&left);
        }
        self.ledger.decided(&effects.batch, decided);
        effects
    }

    fn next_deadline(&self, now: Now) -> Option<Duration> {
        self.queue.next_deadline(now)
    }

    fn snapshot(&self) -> Vec<Fact> {
        self.queue.snapshot()
    }
}

fn fact(fact: &Fact) -> Option<Observation> {
    match fact {
        Fact::Placed(id, place) => Some(Observation::Placed(*id, place.job_place())),
        Fact::Accepted(record, sequence) => Some(Observation::Accepted(record.clone(), *sequence)),
        Fact::Job(_)
        | Fact::Difference(..)
        | Fact::Synced(..)
        | Fact::Worker(_)
        | Fact::Pulse(..)
        | Fact::Progress(..) => None,
    }
}

fn directive(event: &Event) -> Option<Observation> {
    match event {
        Event::Ordered(_, Order::Push { filter, .. }) => {
            Some(Observation::Ordered(Directive::Push(filter.clone())))
        }
        Event::Ordered(_, Order::Drop { filter }) => {
            Some(Observation::Ordered(Directive::Drop(filter.clone())))
        }
        _ => None,
    }
}
