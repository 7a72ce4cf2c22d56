//! Jobs, leases, retries, fencing and acceptance: the shell around
//! [`domain::queue`](crate::domain::queue).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;

use super::feed::{Feed, Follower};
use super::quarantine::{Decision, Quarantine};
use super::receiver::{self, Receiver};
use super::refusals::{Kind, Refusals};
use super::standings::Standings;
use super::views::Published;
use super::{reader, store};
use crate::actor::alarm::Alarm;
use crate::domain::queue::{
    Effects, Event, Fact, Join, Notice, Now, Order, Queue, RequestId, Restored, Send, SessionId,
    Settings,
};
use crate::domain::report::VerifiedReport;
use crate::planted::{self, Bug};
use crate::port::{Batch, Clock, StoreError};
use crate::protocol::stored::{self, QuarantineRecord, Record};
use crate::protocol::wire::v1::coordinator::{Answer, Message as ToWorker};
use crate::protocol::wire::v1::ctl::Response;
use crate::protocol::{AttemptId, BuildId, Sha256, SignedReport};

/// To the queue.
pub enum Message {
    /// What the store holds; the first message.
    Restored(Box<Restored>),
    /// Something happened.
    Event(Box<Event>),
    /// Something happened, told by a peer that waits until it is handled.
    Paced(Box<Event>, reader::Permit),
    /// A worker wants in.
    Join(Box<Join>, Receiver),
    /// A report whose signatures and log are verified.
    Report {
        /// Over which connection.
        session: SessionId,
        /// What it signed.
        report: Box<VerifiedReport>,
        /// The same with the coordinator's signature.
        countersigned: SignedReport,
    },
    /// A part of an index; answered once it is durable.
    Sync(Box<Event>, oneshot::Sender<()>),
    /// A worker wants to send a log or a difference.
    Upload {
        /// Over which connection.
        session: SessionId,
        /// Of which attempt.
        attempt: AttemptId,
        /// `None` for a log.
        file: Option<String>,
        /// The build that a difference belongs to, or why not.
        reply: oneshot::Sender<Result<Option<BuildId>, String>>,
    },
    /// An operator's order.
    Order(Order, oneshot::Sender<Vec<Response>>),
    /// Follow what becomes durable, from what is known now.
    Follow(Follower),
    /// The oldest waiting write is durable.
    Committed,
    /// The timer.
    Tick(u64),
}

/// Decides; the real one is [`Queue`].
pub trait Decide: core::marker::Send + 'static {
    /// See [`Queue::handle`].
    fn handle(&mut self, now: Now, event: Event) -> Effects;
    /// See [`Queue::next_deadline`].
    fn next_deadline(&self, now: Now) -> Option<core::time::Duration>;
    /// See [`Queue::snapshot`].
    fn snapshot(&self) -> Vec<Fact>;
}

impl Decide for Queue {
    fn handle(&mut self, now: Now, event: Event) -> Effects {
        Queue::handle(self, now, event)
    }

    fn next_deadline(&self, now: Now) -> Option<core::time::Duration> {
        Queue::next_deadline(self, now)
    }

    fn snapshot(&self) -> Vec<Fact> {
        Queue::snapshot(self)
    }
}

/// Makes the decider of a restored queue: the queue itself, or in a test one around it.
pub type Wrap = Arc<dyn Fn(Queue) -> Box<dyn Decide> + core::marker::Send + Sync>;

/// What it is given.
#[derive(Clone)]
pub struct Arguments {
    /// Where it writes.
    pub store: ActorRef<store::Message>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// How it behaves.
    pub settings: Settings,
    /// What made it panic before.
    pub quarantine: Arc<Quarantine>,
    /// What every key is; it decides who may work.
    pub standings: Arc<Standings>,
    /// What is refused, for the log.
    pub refusals: Arc<Refusals>,
    /// Numbers what is published.
    pub published: Arc<Published>,
    /// See [`Wrap`].
    pub wrap: Wrap,
}

/// The actor.
pub struct QueueActor;

/// The domain, and what waits for the disk.
pub struct State {
    arguments: Arguments,
    /// `None` until the store was read.
    queue: Option<Box<dyn Decide>>,
    /// What came before the store was read.
    early: Vec<Message>,
    tickets: VecDeque<Ticket>,
    feed: Feed,
    sessions: BTreeMap<SessionId, Receiver>,
    requests: BTreeMap<RequestId, Reply>,
    next_request: u64,
    alarm: Alarm,
}

/// Effects that wait until their batch, and all before it, are durable.
#[derive(Default)]
struct Ticket {
    sends: Vec<Send>,
    facts: Vec<Fact>,
    notices: Vec<Notice>,
    done: Option<oneshot::Sender<()>>,
    /// Whom alone the facts are for; `None`: all followers.
    only: Option<Follower>,
}

enum Reply {
    Ctl(oneshot::Sender<Vec<Response>>),
    Upload(oneshot::Sender<Result<Option<BuildId>, String>>),
}

impl Actor for QueueActor {
    type Msg = Message;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let me = myself;
        arguments.store.cast(store::Message::Read(Box::new(move |store| {
            let mut restored = Restored::default();
            for table in Restored::TABLES {
                store::scan_table(store, table, |key, value| restored.take(key, value))?;
            }
            let damaged = |reason| StoreError::Damaged { path: store.place(), reason };
            restored.check().map_err(damaged)?;
            let _ = me.cast(Message::Restored(Box::new(restored)));
            Ok(())
        })))?;
        let feed = Feed::new(arguments.published.clone());
        Ok(State {
            arguments,
            queue: None,
            early: Vec::new(),
            tickets: VecDeque::new(),
            feed,
            sessions: BTreeMap::new(),
            requests: BTreeMap::new(),
            next_request: 0,
            alarm: Alarm::default(),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        if let Message::Restored(restored) = message {
            let now = state.now();
            let queue = restored.into_queue(state.arguments.settings.clone(), now);
            state.queue = Some((state.arguments.wrap)(queue));
            for message in core::mem::take(&mut state.early) {
                state.take(&myself, message)?;
            }
            state.arm(&myself);
        } else if state.queue.is_none() {
            state.early.push(message);
        } else {
            state.take(&myself, message)?;
            state.arm(&myself);
        }
        Ok(())
    }
}

impl State {
    fn now(&self) -> Now {
        let clock = &self.arguments.clock;
        Now { monotonic: clock.monotonic(), utc: clock.utc() }
    }

    fn take(&mut self, me: &ActorRef<Message>, message: Message) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Event(event) => {
                if let Event::Left(session) = *event {
                    self.sessions.remove(&session);
                }
                self.decide(me, *event, None)
            }
            Message::Paced(event, _permit) => self.decide(me, *event, None),
            Message::Join(join, session) => {
                self.sessions.insert(join.session, session);
                self.decide(me, Event::Joined(join), None)
            }
            Message::Report { session, report, countersigned } => {
                self.report(me, session, report, countersigned)
            }
            Message::Sync(event, done) => self.decide(me, *event, Some(done)),
            Message::Upload { session, attempt, file, reply } => {
                let request = self.owe(Reply::Upload(reply));
                self.decide(me, Event::UploadAsked { session, request, attempt, file }, None)
            }
            Message::Order(order, reply) => {
                let request = self.owe(Reply::Ctl(reply));
                self.decide(me, Event::Ordered(request, order), None)
            }
            Message::Follow(follower) => self.follow(me, follower),
            Message::Committed => {
                if let Some(ticket) = self.tickets.pop_front() {
                    self.release(ticket);
                }
                Ok(())
            }
            Message::Tick(timer) if self.alarm.rings(timer) => self.decide(me, Event::Ticked, None),
            Message::Tick(_) | Message::Restored(_) => Ok(()),
        }
    }

    /// One event through the domain; what follows waits for the disk.
    fn decide(
        &mut self,
        me: &ActorRef<Message>,
        event: Event,
        done: Option<oneshot::Sender<()>>,
    ) -> Result<(), ActorProcessingErr> {
        let now = self.now();
        let Some(queue) = self.queue.as_mut() else { return Ok(()) };
        let Effects { batch, mut sends, facts, notices } = queue.handle(now, event);
        for send in too_early(&mut sends) {
            self.send(send);
        }
        let ticket = Ticket { sends, facts, notices, done, ..Ticket::default() };
        self.release_after(me, batch, ticket)
    }

    /// What is known now holds decisions that still wait for the disk: it leaves after them. Their
    /// own facts go to the new follower too, as they may not be in what it reads from the store.
    fn follow(
        &mut self,
        me: &ActorRef<Message>,
        follower: Follower,
    ) -> Result<(), ActorProcessingErr> {
        let facts = self.queue.as_ref().map(|q| q.snapshot()).unwrap_or_default();
        self.feed.subscribe(follower.clone());
        let ticket = Ticket { facts, only: Some(follower), ..Ticket::default() };
        self.release_after(me, Batch::default(), ticket)
    }

    /// Releases a ticket once its batch, and all that was decided before, are durable: at once
    /// where there is nothing to wait for.
    fn release_after(
        &mut self,
        me: &ActorRef<Message>,
        batch: Batch,
        ticket: Ticket,
    ) -> Result<(), ActorProcessingErr> {
        if batch.is_empty() && self.tickets.is_empty() {
            self.release(ticket);
            return Ok(());
        }
        self.tickets.push_back(ticket);
        self.commit(me, batch)
    }

    fn commit(&self, me: &ActorRef<Message>, batch: Batch) -> Result<(), ActorProcessingErr> {
        let me = me.clone();
        let done = Box::new(move || {
            let _ = me.cast(Message::Committed);
        });
        Ok(self.arguments.store.cast(store::Message::Commit { batch, done })?)
    }

    /// A report that made the queue panic twice is set aside instead of tried again.
    fn report(
        &mut self,
        me: &ActorRef<Message>,
        session: SessionId,
        report: Box<VerifiedReport>,
        countersigned: SignedReport,
    ) -> Result<(), ActorProcessingErr> {
        let attempt = report.report().attempt;
        let digest = Sha256::of(&report.signed().statement);
        match self.arguments.quarantine.begin(digest) {
            Decision::Try => {
                let event = Event::Reported { session, report, countersigned };
                let result = self.decide(me, event, None);
                self.arguments.quarantine.end(digest);
                result
            }
            Decision::SetAside { first } => self.set_aside(me, session, attempt, first),
        }
    }

    fn set_aside(
        &mut self,
        me: &ActorRef<Message>,
        session: SessionId,
        attempt: AttemptId,
        first: bool,
    ) -> Result<(), ActorProcessingErr> {
        let now = self.now();
        let Some(queue) = self.queue.as_mut() else { return Ok(()) };
        let mut effects = queue.handle(now, Event::SetAside(session, attempt));
        let reason = "quarantined: it made the coordinator panic twice".to_owned();
        let text = format!("report of attempt {attempt}: {reason}");
        if first {
            let record =
                QuarantineRecord { actor: "queue".into(), text: text.clone(), at: now.utc };
            let sequence = self.arguments.quarantine.keep(record.clone());
            effects.batch.put(QuarantineRecord::key(sequence), stored::write(&record));
        }
        effects.notices.insert(0, Notice { at: now.utc, warning: true, text, refused: None });
        let answer = ToWorker::Answer { attempt, answer: Answer::Refused { reason } };
        // Before a new assignment: the worker drops the report first.
        effects.sends.insert(0, Send::Worker(session, answer));
        let Effects { batch, sends, facts, notices } = effects;
        self.tickets.push_back(Ticket { sends, facts, notices, ..Ticket::default() });
        self.commit(me, batch)
    }

    /// What was decided is durable: it leaves.
    fn release(&mut self, ticket: Ticket) {
        for notice in ticket.notices {
            if let Some(worker) = notice.refused {
                self.arguments.refusals.say(Kind::Report(worker), || notice.text);
            } else if notice.warning {
                tracing::warn!(target: "rebuilder", "{}", notice.text);
            } else {
                tracing::info!(target: "rebuilder", "{}", notice.text);
            }
        }
        if let Some(follower) = ticket.only {
            self.feed.publish_to(&follower, ticket.facts);
        } else {
            self.feed.publish(ticket.facts);
        }
        for send in ticket.sends {
            self.send(send);
        }
        if let Some(done) = ticket.done {
            let _ = done.send(());
        }
    }

    fn send(&mut self, send: Send) {
        let (session, message) = match send {
            Send::Worker(session, message) => (session, receiver::Message::Tell(message)),
            Send::Admit { session, proof } => (session, receiver::Message::Admit { proof }),
            Send::Close { session, code, reason } => {
                (session, receiver::Message::Close { code, reason })
            }
            Send::Revoked(key) => return self.arguments.standings.forget(&key),
            Send::Probe { session, within } => (session, receiver::Message::Probe { within }),
            Send::Upload(request, answer) => {
                if let Some(Reply::Upload(reply)) = self.requests.remove(&request) {
                    let _ = reply.send(answer);
                }
                return;
            }
            Send::Reply(request, rows) => {
                if let Some(Reply::Ctl(reply)) = self.requests.remove(&request) {
                    let _ = reply.send(rows);
                }
                return;
            }
        };
        if let Some(address) = self.sessions.get(&session) {
            let _ = address.send_message(message);
        }
    }

    fn owe(&mut self, reply: Reply) -> RequestId {
        self.next_request += 1;
        let request = RequestId(self.next_request);
        self.requests.insert(request, reply);
        request
    }

    fn arm(&mut self, me: &ActorRef<Message>) {
        let now = self.now();
        let Some(after) = self.queue.as_ref().and_then(|queue| queue.next_deadline(now)) else {
            return;
        };
        // A bounded sleep, so that a wall clock that was set is noticed.
        self.alarm.set_no_later(me, now.monotonic, after.min(MAX_SLEEP), Message::Tick);
    }
}

/// With a bug planted: what does not wait for its ticket.
fn too_early(sends: &mut Vec<Send>) -> Vec<Send> {
    if planted::is(Bug::SentBeforeTicket) {
        return core::mem::take(sends);
    }
    if !planted::is(Bug::AcknowledgedBeforeCommit) {
        return Vec::new();
    }
    let is_answer = |send: &mut Send| matches!(send, Send::Worker(_, ToWorker::Answer { .. }));
    sends.extract_if(.., is_answer).collect()
}

/// Longest sleep between looks at the wall clock.
const MAX_SLEEP: core::time::Duration = core::time::Duration::from_secs(60);
