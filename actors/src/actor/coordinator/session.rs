//! One connection: lets its peer in, passes its messages on, and closes it.

use bytes::Bytes;
use core::time::Duration;
use ractor::{Actor, ActorProcessingErr, ActorRef, DerivedActorRef};
use std::sync::Arc;
use tokio::task::{AbortHandle, JoinSet};

use super::outbox::Outbox;
use super::refusals::{Kind, Refusals};
use super::services::Services;
use super::watched::{Activity, IDLE_MAX, Watched};
use super::{queue, reader, receiver, report, request, upload};
use crate::actor::catch_panic::catch_panic;
use crate::actor::derived::accepts;
use crate::domain::places::Standing;
use crate::domain::queue::{Event, Join, SessionId};
use crate::domain::report::KnownKey;
use crate::port::{CloseReason, Connection, FrameReceive, FrameSend};
use crate::protocol::Sha256;
use crate::protocol::wire::v1::worker::{Message as FromWorker, Report};
use crate::protocol::wire::{
    self, CONTROL_FRAME_BYTES_MAX, CloseCode, EXPORTER, Hello, RUNNING_MAX, Role, SOFTWARE,
    SPOOLED_MAX, Welcome,
};

/// To a session.
pub enum Message {
    /// What the peer sent.
    Read(reader::Message),
    /// What the queue sends to the worker.
    Receive(receiver::Message),
    /// The connection is gone.
    Ended(CloseReason),
}

accepts!(Message, Read, reader::Message);
accepts!(Message, Receive, receiver::Message);

/// To whoever gives places: the worker of this session proved that it may work.
pub struct Enrolled(pub SessionId);

/// What it is given.
pub struct Arguments {
    /// Its number in this process.
    pub id: SessionId,
    /// The connection.
    pub connection: Box<dyn Connection>,
    /// What the peer's key is.
    pub standing: Standing,
    /// Whoever gives places.
    pub sessions: DerivedActorRef<Enrolled>,
    /// The others.
    pub services: Services,
}

/// The actor.
pub struct SessionActor;

/// What one connection has.
pub struct State {
    id: SessionId,
    connection: Box<dyn Connection>,
    services: Services,
    /// Everything that runs for this connection; it ends with the actor.
    tasks: JoinSet<()>,
    /// Frames to the worker; `None` before it said hello.
    writer: Option<Outbox>,
    receiver: Option<Box<dyn FrameReceive>>,
    is_worker: bool,
    sessions: DerivedActorRef<Enrolled>,
    /// Streams that the peer has open.
    activity: Arc<Activity>,
    /// Closes a stranger that asks nothing; `None` for known keys.
    idle: Option<AbortHandle>,
    /// The peer's key, by which its reports are verified.
    key: Arc<KnownKey>,
}

impl Actor for SessionActor {
    type Msg = Message;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let Arguments { id, connection, standing, sessions, services } = arguments;
        let mut tasks = JoinSet::new();
        let handle = connection.clone_handle();
        let reader = myself.get_derived();
        tasks.spawn(async move {
            let reason = handle.closed().await;
            let _ = myself.cast(Message::Ended(reason));
        });
        let refusals = services.refusals.clone();
        tasks.spawn(reader::hello(connection.clone_handle(), reader, refusals.clone()));
        let activity = Arc::<Activity>::default();
        let idle = (standing == Standing::Stranger).then(|| {
            let handle = connection.clone_handle();
            tasks.spawn(close_idle(handle, activity.clone(), refusals))
        });
        let key = Arc::new(KnownKey::new(&connection.peer()));
        let (writer, receiver, is_worker) = (None, None, false);
        Ok(State {
            id,
            connection,
            services,
            tasks,
            writer,
            receiver,
            is_worker,
            sessions,
            activity,
            idle,
            key,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Read(message) => state.read(&myself, message),
            Message::Receive(message) => state.receive(&myself, message),
            Message::Ended(reason) => {
                tracing::debug!(peer = %state.connection.peer(), %reason, "connection ended");
                myself.stop(None);
            }
        }
        Ok(())
    }

    async fn post_stop(
        &self,
        _myself: ActorRef<Message>,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        if state.is_worker {
            let left = Box::new(Event::Left(state.id));
            let _ = state.services.queue.cast(queue::Message::Event(left));
        }
        state.tasks.abort_all();
        let text = "the coordinator ends this session".into();
        state.connection.close(CloseReason { code: CloseCode::Stopping as u32, text });
        Ok(())
    }
}

impl State {
    fn read(&mut self, myself: &ActorRef<Message>, message: reader::Message) {
        match message {
            reader::Message::Hello(hello, sender, receiver) => {
                self.hello(myself, *hello, sender, receiver);
            }
            reader::Message::Frame(frame, permit) => self.frame(myself, &frame, permit),
            reader::Message::Failed(reason) => self.breach(reason),
        }
    }

    fn receive(&mut self, myself: &ActorRef<Message>, message: receiver::Message) {
        match message {
            receiver::Message::Tell(message) => self.write(wire::encode(&message)),
            receiver::Message::Admit { proof } => self.admit(myself, proof),
            receiver::Message::Probe { within } => self.probe(within),
            receiver::Message::Close { code, reason } => self.close(code, reason),
        }
    }

    fn hello(
        &mut self,
        myself: &ActorRef<Message>,
        hello: Hello,
        sender: Box<dyn FrameSend>,
        receiver: Box<dyn FrameReceive>,
    ) {
        if let Err(text) = wire::agree(&hello) {
            let address = self.connection.remote_address();
            self.services.refusals.say(Kind::Version, || format!("{address}: {text}"));
            return self.close(CloseCode::Version, text);
        }
        let (writer, task) = Outbox::new(sender, self.connection.clone_handle());
        self.tasks.spawn(task);
        self.writer = Some(writer);
        self.receiver = Some(receiver);
        let Role::Worker { offer, enrolment } = hello.role else {
            let admin = self.is_admin();
            self.welcome(None, admin);
            self.tasks.spawn(request::accept(self.watched(), self.services.clone(), admin));
            return;
        };
        self.is_worker = true;
        let join = Join {
            session: self.id,
            worker: self.connection.peer(),
            address: self.connection.remote_address().to_string(),
            boot: hello.boot,
            offer,
            enrolment,
            exporter: self.connection.exporter(EXPORTER, b""),
        };
        let _ =
            self.services.queue.cast(queue::Message::Join(Box::new(join), myself.get_derived()));
    }

    /// The connection for streams that the peer opens.
    fn watched(&self) -> Box<dyn Connection> {
        Box::new(Watched::new(self.connection.clone_handle(), self.activity.clone()))
    }

    fn is_admin(&self) -> bool {
        self.services.admins.contains(&self.connection.peer())
    }

    fn welcome(&self, proof: Option<Sha256>, admin: bool) {
        let (version, boot) = (wire::VERSION_MAX, self.services.boot);
        let welcome = Welcome { version, software: SOFTWARE.into(), boot, proof, admin };
        self.write(wire::encode(&welcome));
    }

    /// From here on the worker's messages are taken.
    fn admit(&mut self, myself: &ActorRef<Message>, proof: Option<Sha256>) {
        self.services.standings.enrol(self.connection.peer());
        let _ = self.sessions.send_message(Enrolled(self.id));
        if let Some(idle) = self.idle.take() {
            idle.abort();
        }
        self.connection.widen();
        self.welcome(proof, false);
        if let Some(mut receiver) = self.receiver.take() {
            receiver.set_limit(CONTROL_FRAME_BYTES_MAX);
            let clock = self.services.clock.clone();
            self.tasks.spawn(reader::control(receiver, myself.get_derived(), clock));
        }
        self.tasks.spawn(reader::reports(self.connection.clone_handle(), myself.get_derived()));
        self.tasks.spawn(upload::accept(self.watched(), self.services.clone(), self.id));
    }

    fn frame(&mut self, myself: &ActorRef<Message>, frame: &[u8], permit: reader::Permit) {
        match wire::decode(frame) {
            Ok(FromWorker::Status(status))
                if status.spooled.len() > SPOOLED_MAX || status.running.len() > RUNNING_MAX =>
            {
                let (running, spooled) = (status.running.len(), status.spooled.len());
                self.breach(format!(
                    "a status of {running} running and {spooled} finished attempts: at most \
                     {RUNNING_MAX} and {SPOOLED_MAX} are allowed"
                ));
            }
            Ok(FromWorker::Status(status)) => {
                let event = Box::new(Event::StatusReceived(self.id, status));
                let _ = self.services.queue.cast(queue::Message::Paced(event, permit));
            }
            Ok(FromWorker::Report(report)) => self.report(myself, report, permit),
            Ok(FromWorker::Condition(condition)) => {
                let event = Box::new(Event::Condition(self.id, condition));
                let _ = self.services.queue.cast(queue::Message::Paced(event, permit));
            }
            Ok(FromWorker::Capabilities(received)) => {
                let event = Box::new(Event::Capabilities(self.id, received));
                let _ = self.services.queue.cast(queue::Message::Paced(event, permit));
            }
            Err(error) => self.breach(format!("a control frame cannot be read: {error}")),
        }
        while self.tasks.try_join_next().is_some() {}
    }

    /// The worker does not keep to the protocol.
    fn breach(&self, reason: String) {
        let peer = self.connection.peer();
        self.services.refusals.say(Kind::Protocol, || format!("worker {peer}: {reason}"));
        self.close(CloseCode::Protocol, reason);
    }

    /// Verifies a report in a task of its own; one that makes it panic costs its connection.
    fn report(&mut self, myself: &ActorRef<Message>, report: Report, permit: reader::Permit) {
        let key = self.key.clone();
        let task = report::take(self.services.clone(), self.id, key, report, permit);
        let (writer, me) = (self.writer.clone(), myself.get_derived());
        self.tasks.spawn(async move {
            match (writer, catch_panic(task).await) {
                (Some(writer), Ok(Some(message)))
                    if writer.push(wire::encode(&message)).is_err() =>
                {
                    let reason = "its answers are not read".to_owned();
                    let _ = me
                        .send_message(receiver::Message::Close { code: CloseCode::Unread, reason });
                }
                (_, Err(panicked)) => {
                    let reason = format!("a report could not be verified: {panicked}");
                    let _ = me.send_message(receiver::Message::Close {
                        code: CloseCode::Internal,
                        reason,
                    });
                }
                _ => {}
            }
        });
    }

    /// A task: whoever waits for the outcome is told also when the connection ends, as that ends
    /// this session.
    fn probe(&mut self, within: Duration) {
        let (handle, queue) = (self.connection.clone_handle(), self.services.queue.clone());
        let session = self.id;
        self.tasks.spawn(async move {
            let answered = tokio::time::timeout(within, handle.alive()).await.is_ok();
            let probed = Box::new(Event::Probed { session, answered });
            let _ = queue.cast(queue::Message::Event(probed));
        });
    }

    fn write(&self, frame: Bytes) {
        if let Some(writer) = &self.writer
            && let Err(overrun) = writer.push(frame)
        {
            let (peer, reason) = (self.connection.peer(), CloseReason::from(overrun));
            self.services.refusals.say(Kind::Unread, || format!("worker {peer} closed: {reason}"));
            self.connection.close(reason);
        }
    }

    fn close(&self, code: CloseCode, text: String) {
        if self.is_worker && !self.is_admitted() {
            let (peer, address) = (self.connection.peer(), self.connection.remote_address());
            self.services.refusals.say(Kind::Worker(code), || {
                format!("worker {peer} from {address} refused: {text}")
            });
        }
        self.connection.close(CloseReason { code: code as u32, text });
    }

    /// A worker whose messages are taken.
    fn is_admitted(&self) -> bool {
        self.is_worker && self.receiver.is_none()
    }
}

/// Closes a stranger's connection once nothing was asked on it for long.
async fn close_idle(
    connection: Box<dyn Connection>,
    activity: Arc<Activity>,
    refusals: Arc<Refusals>,
) {
    activity.idle().await;
    let (peer, address) = (connection.peer(), connection.remote_address());
    let text = format!("nothing was asked for {} s", IDLE_MAX.as_secs());
    refusals.say(Kind::Idle, || format!("connection of {peer} from {address} closed: {text}"));
    connection.close(CloseReason { code: CloseCode::Idle as u32, text });
}
