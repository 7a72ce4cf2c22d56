//! One connection: lets its peer in, passes its messages on, and closes it.

use bytes::Bytes;
use core::time::Duration;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::super::caught::caught;
use super::house::House;
use super::{queue, reader, report, request, upload};
use crate::domain::queue::{Event, Join, SessionId};
use crate::domain::report::KnownKey;
use crate::port::{CloseReason, Connection, FrameReceive, FrameSend};
use crate::protocol::Sha256;
use crate::protocol::wire::v1::coordinator::Message as ToWorker;
use crate::protocol::wire::v1::worker::{Message as FromWorker, Report};
use crate::protocol::wire::{self, CloseCode, Hello, Role, SOFTWARE, Welcome};

/// To a session.
pub enum Message {
    /// The peer said who it is.
    Hello(Box<Hello>, Box<dyn FrameSend>, Box<dyn FrameReceive>),
    /// A frame on the control stream; the reader waits while too many are under way.
    Frame(Bytes, reader::Permit),
    /// Tell the worker.
    Tell(ToWorker),
    /// The worker is in.
    Admit {
        /// The coordinator's own proof.
        proof: Option<Sha256>,
    },
    /// Close, and say why.
    Close {
        /// For programs.
        code: CloseCode,
        /// For people.
        reason: String,
    },
    /// The connection is gone.
    Ended(CloseReason),
}

/// What it is given.
pub struct Arguments {
    /// Its number in this process.
    pub id: SessionId,
    /// The connection.
    pub connection: Box<dyn Connection>,
    /// The others.
    pub house: House,
}

/// The actor.
pub struct SessionActor;

/// What one connection has.
pub struct State {
    id: SessionId,
    connection: Box<dyn Connection>,
    house: House,
    /// Everything that runs for this connection; it ends with the actor.
    tasks: JoinSet<()>,
    /// Frames to the worker; `None` before it said hello.
    writer: Option<mpsc::UnboundedSender<Bytes>>,
    receiver: Option<Box<dyn FrameReceive>>,
    is_worker: bool,
    /// The peer's key, by which its reports are verified.
    key: Arc<KnownKey>,
}

/// Attempts in a status that wait for their answer; a worker has no more than it was granted.
const SPOOLED_MAX: usize = 4_096;
/// Time for a peer to say hello.
pub(super) const HELLO: Duration = Duration::from_secs(10);

impl Actor for SessionActor {
    type Msg = Message;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let Arguments { id, connection, house } = arguments;
        let mut tasks = JoinSet::new();
        let handle = connection.clone_handle();
        let me = myself.clone();
        tasks.spawn(async move {
            let reason = handle.closed().await;
            let _ = me.cast(Message::Ended(reason));
        });
        tasks.spawn(reader::hello(connection.clone_handle(), myself));
        let key = Arc::new(KnownKey::new(&connection.peer()));
        let (writer, receiver, is_worker) = (None, None, false);
        Ok(State { id, connection, house, tasks, writer, receiver, is_worker, key })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Hello(hello, sender, receiver) => {
                state.hello(&myself, *hello, sender, receiver);
            }
            Message::Frame(frame, permit) => state.frame(&myself, &frame, permit),
            Message::Tell(message) => state.tell(&message),
            Message::Admit { proof } => state.admit(&myself, proof),
            Message::Close { code, reason } => state.close(code, reason),
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
            let _ = state.house.queue.cast(queue::Message::Event(left));
        }
        state.tasks.abort_all();
        let text = "the coordinator ends this session".into();
        state.connection.close(CloseReason { code: CloseCode::Stopping as u32, text });
        Ok(())
    }
}

impl State {
    fn hello(
        &mut self,
        myself: &ActorRef<Message>,
        hello: Hello,
        sender: Box<dyn FrameSend>,
        receiver: Box<dyn FrameReceive>,
    ) {
        if let Err(text) = wire::agree(&hello) {
            tracing::warn!(target: "rebuilder", "{}: {text}", self.connection.remote_address());
            return self.close(CloseCode::Version, text);
        }
        let (writer, frames) = mpsc::unbounded_channel();
        self.tasks.spawn(write(sender, frames));
        self.writer = Some(writer);
        self.receiver = Some(receiver);
        let Role::Worker { offer, enrolment } = hello.role else {
            let admin = self.is_admin();
            self.welcome(None, admin);
            self.tasks.spawn(request::accept(
                self.connection.clone_handle(),
                self.house.clone(),
                admin,
            ));
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
        let _ = self.house.queue.cast(queue::Message::Join(Box::new(join), myself.clone()));
    }

    fn is_admin(&self) -> bool {
        self.house.admins.contains(&self.connection.peer())
    }

    fn welcome(&self, proof: Option<Sha256>, admin: bool) {
        let (version, boot) = (wire::VERSION_MAX, self.house.boot);
        let welcome = Welcome { version, software: SOFTWARE.into(), boot, proof, admin };
        self.write(wire::encode(&welcome));
    }

    /// From here on the worker's messages are taken.
    fn admit(&mut self, myself: &ActorRef<Message>, proof: Option<Sha256>) {
        self.welcome(proof, false);
        if let Some(receiver) = self.receiver.take() {
            self.tasks.spawn(reader::frames(receiver, myself.clone()));
        }
        self.tasks.spawn(reader::reports(self.connection.clone_handle(), myself.clone()));
        let handle = self.connection.clone_handle();
        self.tasks.spawn(upload::accept(handle, self.house.clone(), self.id));
    }

    fn frame(&mut self, myself: &ActorRef<Message>, frame: &[u8], permit: reader::Permit) {
        match wire::decode(frame) {
            Ok(FromWorker::Status(mut status)) => {
                status.spooled.truncate(SPOOLED_MAX);
                let told = Box::new(Event::Told(self.id, status));
                let _ = self.house.queue.cast(queue::Message::Paced(told, permit));
            }
            Ok(FromWorker::Report(report)) => self.report(myself, report, permit),
            Err(error) => {
                let reason = format!("a control frame cannot be read: {error}");
                tracing::warn!(target: "rebuilder", "worker {}: {reason}", self.connection.peer());
                self.close(CloseCode::Protocol, reason);
            }
        }
        while self.tasks.try_join_next().is_some() {}
    }

    /// Verifies a report in a task of its own; one that makes it panic costs its connection.
    fn report(&mut self, myself: &ActorRef<Message>, report: Report, permit: reader::Permit) {
        let key = self.key.clone();
        let task = report::take(self.house.clone(), self.id, key, report, permit);
        let (writer, me) = (self.writer.clone(), myself.clone());
        self.tasks.spawn(async move {
            match (writer, caught(task).await) {
                (Some(writer), Ok(Some(message))) => {
                    let _ = writer.send(wire::encode(&message));
                }
                (_, Err(panicked)) => {
                    let reason = format!("a report could not be verified: {panicked}");
                    let _ = me.cast(Message::Close { code: CloseCode::Internal, reason });
                }
                _ => {}
            }
        });
    }

    fn tell(&self, message: &ToWorker) {
        self.write(wire::encode(message));
    }

    fn write(&self, frame: Bytes) {
        if let Some(writer) = &self.writer {
            let _ = writer.send(frame);
        }
    }

    fn close(&self, code: CloseCode, text: String) {
        self.connection.close(CloseReason { code: code as u32, text });
    }
}

/// Label of the exporter to which enrolment proofs are bound.
pub const EXPORTER: &[u8] = b"EXPORTER-rebuilder-enrol";

/// Sends frames in order. What waits here is bounded by what the domain grants: one assignment for
/// a slot, one answer for a report.
async fn write(mut sender: Box<dyn FrameSend>, mut frames: mpsc::UnboundedReceiver<Bytes>) {
    while let Some(frame) = frames.recv().await {
        if sender.send(frame).await.is_err() {
            return;
        }
    }
}
