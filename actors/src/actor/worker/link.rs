//! The connection to the coordinator; tries again for ever, with back-off.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use ractor::{Actor, ActorProcessingErr, ActorRef, DerivedActorRef};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::connection::{self, Credentials, Up};
use super::log::{self, Log, Logs};
use super::order::Order;
use super::{spool, upload};
use crate::actor::alarm::Alarm;
use crate::domain::BackOff;
use crate::domain::worker::{Effect, Event, Machine};
use crate::port::{Clock, CloseReason, Connection, FrameReceive, FrameSend, Network};
use crate::protocol::AttemptId;
use crate::protocol::stored::Spooled;
use crate::protocol::text::counted_len;
use crate::protocol::wire::v1::coordinator::Message as FromCoordinator;
use crate::protocol::wire::v1::worker::{Capabilities, Condition, Message as ToCoordinator};
use crate::protocol::wire::{self, CloseCode, Offer};

/// To the link.
pub enum Message {
    /// What the spool holds; the first message.
    Restored(BTreeMap<AttemptId, Spooled>),
    /// The runners are there; those before them, if any, are gone.
    Runners(ActorRef<Order>),
    /// Something happened.
    Event(Event),
    /// An attempt's log begins.
    #[expect(private_interfaces, reason = "only the runners of this tree send it")]
    Log(AttemptId, Arc<Log>),
    /// The coordinator let the worker in.
    #[expect(private_interfaces, reason = "the link's own task sends it")]
    Up(Box<Up>),
    /// A try to connect failed.
    Failed {
        /// For people.
        text: String,
        /// Why no later try can succeed; `None`: one may.
        for_good: Option<CloseReason>,
    },
    /// The connection is gone.
    Down(CloseReason),
    /// A log was sent whole, or not.
    Uploaded(AttemptId, Result<(), String>),
    /// A log that was not sent to its end is tried again, on whatever connection there is then.
    UploadAgain(AttemptId),
    /// A handle to the connection; `None` while there is none.
    Connection(oneshot::Sender<Option<Box<dyn Connection>>>),
    /// The timer.
    Tick(u64),
}

/// To the tree: the coordinator will not let this worker in again.
pub struct Refused(pub CloseReason);

/// What it is given.
#[derive(Clone)]
pub struct Arguments {
    /// The endpoint.
    pub network: Arc<dyn Network>,
    /// Whom to connect to, and how.
    pub credentials: Credentials,
    /// What the worker can build.
    pub offer: Offer,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Where reports are kept.
    pub spool: ActorRef<spool::Message>,
    /// Free memory and disk, bytes.
    pub measure: Arc<dyn Fn() -> (u64, u64) + Send + Sync>,
    /// How the machine is; at once.
    pub condition: Arc<dyn Fn() -> Condition + Send + Sync>,
    /// What the machine gives to builds.
    pub capabilities: Capabilities,
    pub(super) logs: Logs,
    /// Told when the coordinator will not let this worker in again.
    pub tree: DerivedActorRef<Refused>,
}

/// The actor.
pub struct LinkActor;

/// The worker's state, and its connection.
pub struct State {
    arguments: Arguments,
    /// `None` until the spool was read.
    machine: Option<Machine>,
    runners: Option<ActorRef<Order>>,
    logs: BTreeMap<AttemptId, Arc<Log>>,
    live: Option<Live>,
    /// Logs that are on their way on this connection.
    uploading: BTreeSet<AttemptId>,
    /// Tasks without a connection: the one that connects.
    tasks: JoinSet<()>,
    failures: u32,
    last_failure: String,
    alarm: Alarm,
}

/// A connection, and all that runs for it.
struct Live {
    connection: Box<dyn Connection>,
    writer: mpsc::UnboundedSender<Bytes>,
    /// Frames of the stream of reports: no status waits behind one.
    reports: mpsc::UnboundedSender<Bytes>,
    tasks: JoinSet<()>,
}

/// Wait before a log is sent again whose stream broke off.
const UPLOAD_AGAIN: Duration = Duration::from_secs(10);
/// Between two tries to connect: a coordinator that starts again is back within a second, and of
/// one that is away for days each worker makes two handshakes a minute.
const BACK_OFF: BackOff = BackOff::new(Duration::from_millis(250), Duration::from_secs(30));
/// Least wait for a worker whose key is connected from elsewhere.
const DUPLICATE_WAIT: Duration = Duration::from_secs(5);

impl Actor for LinkActor {
    type Msg = Message;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let reply = Box::new(move |entries| {
            let _ = myself.cast(Message::Restored(entries));
        });
        arguments.spool.cast(spool::Message::Entries(reply))?;
        Ok(State {
            arguments,
            machine: None,
            runners: None,
            logs: BTreeMap::new(),
            live: None,
            uploading: BTreeSet::new(),
            tasks: JoinSet::new(),
            failures: 0,
            last_failure: String::new(),
            alarm: Alarm::default(),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Restored(entries) => state.restored(&myself, entries),
            Message::Runners(runners) => {
                state.runners = Some(runners);
                state.runners_are_new(&myself);
                state.connect(&myself, Duration::ZERO);
            }
            Message::Event(event) => {
                if let Event::Ended(attempt) = &event {
                    state.logs.remove(attempt);
                }
                if let Event::Kept(..) = &event {
                    // What the attempt met is told before the slot is said to be free.
                    let condition = (state.arguments.condition)();
                    state.decide(&myself, Event::Condition(condition));
                }
                state.decide(&myself, event);
            }
            Message::Log(attempt, log) => {
                state.logs.insert(attempt, log);
                // Its assignment asked for this before there was a log.
                state.upload(&myself, attempt);
            }
            Message::Up(up) => state.up(&myself, *up),
            Message::Failed { for_good: Some(reason), .. } => state.refused(reason),
            Message::Failed { text, for_good: None } => state.failed(&myself, text),
            Message::Down(reason) => state.down(&myself, &reason),
            Message::Uploaded(attempt, result) => match state.uploaded(attempt, result) {
                Ok(()) => state.decide(&myself, Event::LogStored(attempt)),
                Err(reason) => {
                    tracing::debug!("log of attempt {attempt} not sent to its end: {reason}");
                    myself.send_after(UPLOAD_AGAIN, move || Message::UploadAgain(attempt));
                }
            },
            Message::UploadAgain(attempt) => state.upload_again(&myself, attempt),
            Message::Connection(reply) => {
                let _ = reply.send(state.live.as_ref().map(|l| l.connection.clone_handle()));
            }
            Message::Tick(timer) if state.alarm.rings(timer) => state.tick(&myself),
            Message::Tick(_) => {}
        }
        Ok(())
    }

    async fn post_stop(
        &self,
        _myself: ActorRef<Message>,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        if let Some(live) = state.live.take() {
            let text = "the worker stops".into();
            live.connection.close(CloseReason { code: CloseCode::Stopping as u32, text });
        }
        Ok(())
    }
}

impl State {
    fn restored(&mut self, myself: &ActorRef<Message>, mut entries: BTreeMap<AttemptId, Spooled>) {
        for (attempt, spooled) in entries.iter_mut().filter(|(_, s)| s.log_bytes > 0) {
            let logs = self.arguments.logs.clone();
            // An answered report may come back after a power cut, when its log is gone for good.
            let length = log::with(&logs, |logs| logs.length(&log::part(*attempt)));
            if length.is_ok_and(|length| length < spooled.log_bytes) {
                spooled.log_bytes = 0;
                continue;
            }
            self.logs.insert(*attempt, Arc::new(Log::kept(*attempt, logs, spooled.log_bytes)));
        }
        if !entries.is_empty() {
            let reports = counted_len(entries.len(), "report");
            tracing::info!(target: "rebuilder", "still in the spool: {reports}");
        }
        let machine = Machine::new(self.arguments.offer.slots, entries);
        self.machine = Some(machine.with(self.arguments.capabilities.clone()));
        self.connect(myself, Duration::ZERO);
    }

    /// Starts a task that connects after `wait`, once spool and runners are there.
    fn connect(&mut self, myself: &ActorRef<Message>, wait: Duration) {
        while self.tasks.try_join_next().is_some() {}
        let ready = self.machine.is_some() && self.runners.is_some();
        if !ready || self.live.is_some() || !self.tasks.is_empty() {
            return;
        }
        let (arguments, me) = (self.arguments.clone(), myself.clone());
        self.tasks.spawn(async move {
            tokio::time::sleep(wait).await;
            let Arguments { network, credentials, offer, .. } = &arguments;
            let message = match connection::connect(network.as_ref(), credentials, offer).await {
                Ok(up) => Message::Up(Box::new(up)),
                Err(refused) => Message::Failed {
                    text: refused.to_string(),
                    for_good: refused.for_good().cloned(),
                },
            };
            let _ = me.cast(message);
        });
    }

    fn up(&mut self, myself: &ActorRef<Message>, up: Up) {
        let Up { connection, sender, receiver, welcome } = up;
        let peer = connection.peer();
        tracing::info!(
            target: "rebuilder",
            "connected to {} ({}, key {peer})", self.arguments.credentials.address, welcome.software
        );
        self.failures = 0;
        self.last_failure.clear();
        self.arguments.credentials.pin = Some(peer);
        let (writer, frames) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(write(sender, frames));
        let (reports, report_frames) = mpsc::unbounded_channel();
        tasks.spawn(write_reports(connection.clone_handle(), report_frames));
        tasks.spawn(read(receiver, connection.clone_handle(), myself.clone()));
        let (handle, me) = (connection.clone_handle(), myself.clone());
        tasks.spawn(async move {
            let reason = handle.closed().await;
            let _ = me.cast(Message::Down(reason));
        });
        self.live = Some(Live { connection, writer, reports, tasks });
        let (free_memory, free_disk) = (self.arguments.measure)();
        self.decide(myself, Event::Measured { free_memory, free_disk });
        self.decide(myself, Event::Condition((self.arguments.condition)()));
        self.decide(myself, Event::Connected);
    }

    fn failed(&mut self, myself: &ActorRef<Message>, reason: String) {
        self.failures += 1;
        let wait = BACK_OFF.after(self.failures);
        if self.last_failure != reason {
            let secs = wait.as_secs_f32();
            tracing::warn!(target: "rebuilder", "not connected: {reason}; next try in {secs:.1} s");
            self.last_failure = reason;
        }
        self.tasks.abort_all();
        self.tasks = JoinSet::new();
        self.connect(myself, wait);
    }

    fn down(&mut self, myself: &ActorRef<Message>, reason: &CloseReason) {
        self.live = None;
        self.uploading.clear();
        if connection::is_for_good(reason) {
            return self.refused(reason.clone());
        }
        tracing::warn!(target: "rebuilder", "connection lost: {reason}; builds go on");
        self.decide(myself, Event::Disconnected);
        self.failures += 1;
        let refused = reason.code == CloseCode::Duplicate as u32;
        let least = if refused { DUPLICATE_WAIT } else { Duration::ZERO };
        let wait = BACK_OFF.after(self.failures).max(least);
        self.tasks = JoinSet::new();
        self.connect(myself, wait);
    }

    /// What the builds make can no longer be reported, and every further try would only fill logs.
    /// Reports in the spool stay: they are this key's, and count again if it gets its rights back.
    fn refused(&mut self, reason: CloseReason) {
        tracing::error!(target: "rebuilder", "refused by the coordinator: {reason}; builds end");
        self.tasks = JoinSet::new();
        let _ = self.arguments.tree.send_message(Refused(reason));
    }

    fn tick(&mut self, myself: &ActorRef<Message>) {
        let (free_memory, free_disk) = (self.arguments.measure)();
        for (attempt, log) in self.logs.clone() {
            self.decide(myself, Event::LogGrew(attempt, log.length()));
        }
        self.decide(myself, Event::Measured { free_memory, free_disk });
        self.decide(myself, Event::Condition((self.arguments.condition)()));
        self.decide(myself, Event::Ticked);
    }

    fn decide(&mut self, myself: &ActorRef<Message>, event: Event) {
        let now = self.arguments.clock.monotonic();
        let Some(machine) = self.machine.as_mut() else { return };
        let effects = machine.handle(now, event);
        let deadline = machine.next_deadline();
        for effect in effects {
            self.carry_out(myself, effect);
        }
        if let Some(at) = deadline {
            self.alarm.set_no_later(myself, now, at.since(now), Message::Tick);
        }
    }

    fn carry_out(&mut self, myself: &ActorRef<Message>, effect: Effect) {
        match effect {
            Effect::Send(message) => {
                if let Some(live) = &self.live {
                    let stream = match &message {
                        ToCoordinator::Status(_)
                        | ToCoordinator::Condition(_)
                        | ToCoordinator::Capabilities(_) => &live.writer,
                        ToCoordinator::Report(_) => &live.reports,
                    };
                    let _ = stream.send(wire::encode(&message));
                }
            }
            Effect::Start(assignment) => self.tell(Order::Start(assignment)),
            Effect::Stop(attempt, _) => self.tell(Order::Stop(attempt)),
            Effect::Forget(attempt, accepted) => {
                let _ = self.arguments.spool.cast(spool::Message::Remove(attempt));
                self.logs.remove(&attempt);
                let discard = log::with(&self.arguments.logs, |l| l.discard(&log::part(attempt)));
                if let Err(error) = discard {
                    tracing::warn!(target: "rebuilder", "{error}");
                }
                self.tell(Order::Answered(attempt, accepted));
            }
            Effect::Upload(attempt) => self.upload(myself, attempt),
            Effect::Notice(text) => tracing::info!(target: "rebuilder", "{text}"),
        }
    }

    fn tell(&self, order: Order) {
        if let Some(runners) = &self.runners {
            let _ = runners.cast(order);
        }
    }

    fn uploaded(&mut self, attempt: AttemptId, result: Result<(), String>) -> Result<(), String> {
        self.uploading.remove(&attempt);
        result
    }

    /// What earlier runners ran is gone with them: nobody may wait for it.
    fn runners_are_new(&mut self, myself: &ActorRef<Message>) {
        let lost = self.machine.as_ref().map(Machine::running).unwrap_or_default();
        for attempt in lost {
            tracing::warn!(target: "rebuilder", "attempt {attempt} is gone with its runner");
            if let Some(log) = self.logs.remove(&attempt) {
                let _ = log.finish();
            }
            self.decide(myself, Event::Ended(attempt));
        }
    }

    /// Unless a new connection has begun it already, or the report was answered.
    fn upload_again(&mut self, myself: &ActorRef<Message>, attempt: AttemptId) {
        let waiting = self.machine.as_ref().is_some_and(|m| m.waits_for_log(attempt));
        if waiting && !self.uploading.contains(&attempt) {
            self.upload(myself, attempt);
        }
    }

    /// Starts sending a log. One that has not begun yet is sent when it does.
    fn upload(&mut self, myself: &ActorRef<Message>, attempt: AttemptId) {
        let Some(live) = &mut self.live else { return };
        let Some(log) = self.logs.get(&attempt).cloned() else { return };
        if !self.uploading.insert(attempt) {
            return;
        }
        let (connection, me) = (live.connection.clone_handle(), myself.clone());
        live.tasks.spawn(async move {
            let result = match upload::log(connection, attempt, log).await {
                // Without a wish for the log there is an answer to the report: it is asked for.
                Err(upload::UploadError::Refused(reason)) => {
                    tracing::debug!("log of attempt {attempt} is not wanted: {reason}");
                    Ok(())
                }
                result => result.map_err(|error| error.to_string()),
            };
            let _ = me.cast(Message::Uploaded(attempt, result));
        });
        while live.tasks.try_join_next().is_some() {}
    }
}

async fn write(mut sender: Box<dyn FrameSend>, mut frames: mpsc::UnboundedReceiver<Bytes>) {
    while let Some(frame) = frames.recv().await {
        if sender.send(frame).await.is_err() {
            return;
        }
    }
}

/// As [`write`], on a stream of its own.
async fn write_reports(connection: Box<dyn Connection>, frames: mpsc::UnboundedReceiver<Bytes>) {
    if let Ok(sender) = connection.open_one_way().await {
        write(sender, frames).await;
    }
}

/// Passes the coordinator's messages on; a breach of the protocol closes the connection.
async fn read(
    mut receiver: Box<dyn FrameReceive>,
    connection: Box<dyn Connection>,
    link: ActorRef<Message>,
) {
    let text = loop {
        match receiver.receive().await {
            Ok(Some(frame)) => match wire::decode::<FromCoordinator>(&frame) {
                Ok(message) => {
                    if link.cast(Message::Event(Event::Received(message))).is_err() {
                        return;
                    }
                }
                Err(error) => break format!("a control frame cannot be read: {error}"),
            },
            Ok(None) => break "the control stream ended".to_owned(),
            Err(error) => break error.to_string(),
        }
    };
    connection.close(CloseReason { code: CloseCode::Protocol as u32, text });
}
