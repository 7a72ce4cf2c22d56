use bytes::Bytes;
use core::time::Duration;
use ractor::DerivedActorRef;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::refusals::{Kind, Refusals};
use crate::domain::places::Pace;
use crate::planted::{self, Bug};
use crate::port::{Clock, CloseReason, Connection, FrameReceive, FrameSend, StreamError};
use crate::protocol::wire::{
    self, CONTROL_FRAME_BYTES_MAX, CloseCode, HELLO_FRAME_BYTES_MAX, Hello, STATUS_FRAME_BYTES_MAX,
};

/// From the tasks that read a connection, to its session.
pub enum Message {
    /// The peer said who it is.
    Hello(Box<Hello>, Box<dyn FrameSend>, Box<dyn FrameReceive>),
    /// A frame on the control stream; the reader waits while too many are under way.
    Frame(Bytes, Permit),
    /// A stream of the worker's messages failed.
    Failed(String),
}

/// The session of a connection, as its readers know it.
pub type Session = DerivedActorRef<Message>;

/// Time for a peer to say hello.
const HELLO: Duration = Duration::from_secs(10);

/// Held while a frame is being handled.
pub type Permit = OwnedSemaphorePermit;

/// Frames of one stream that may be under way at a time; flow control holds the rest back.
const FRAMES_MAX: usize = 16;
/// Bytes of those; the largest frame is taken when nothing else is under way.
const BYTES_MAX: usize = CONTROL_FRAME_BYTES_MAX;
/// Bytes for which one permit stands.
const PERMIT_BYTES: usize = BYTES_MAX / FRAMES_MAX;

/// Statuses of one worker that are handled in a second: only the newest counts, so those between
/// are left out unread, and the newest waits for its turn.
pub const STATUSES_A_SECOND: u32 = 10;

/// Waits for the first frame of the first stream.
pub(super) async fn hello(
    connection: Box<dyn Connection>,
    session: Session,
    refusals: Arc<Refusals>,
) {
    let greeting = async {
        let (sender, mut receiver) =
            connection.accept(HELLO_FRAME_BYTES_MAX).await.map_err(|e| e.to_string())?;
        let frame = receiver.receive().await.map_err(|e| e.to_string())?;
        let frame = frame.ok_or("the first stream ended before its first frame")?;
        let hello: Hello = wire::decode(&frame).map_err(|e| format!("hello: {e}"))?;
        Ok::<_, String>((hello, sender, receiver))
    };
    let reason = match tokio::time::timeout(HELLO, greeting).await {
        Ok(Ok((hello, sender, receiver))) => {
            let _ = session.send_message(Message::Hello(Box::new(hello), sender, receiver));
            return;
        }
        Ok(Err(reason)) => reason,
        Err(_) => format!("no hello within {} s", HELLO.as_secs()),
    };
    let address = connection.remote_address();
    refusals.say(Kind::Hello, || format!("connection from {address} refused: {reason}"));
    connection.close(CloseReason { code: CloseCode::Protocol as u32, text: reason });
}

/// Waits for the stream of reports, of which a connection has one, and passes its frames on.
pub(super) async fn reports(connection: Box<dyn Connection>, session: Session) {
    if let Ok(receiver) = connection.accept_one_way(CONTROL_FRAME_BYTES_MAX).await {
        frames(receiver, session).await;
    }
}

/// Passes the frames of the control stream on, of statuses the newest in each tenth of a second.
pub(super) async fn control(
    mut receiver: Box<dyn FrameReceive>,
    session: Session,
    clock: Arc<dyn Clock>,
) {
    let passing = Passing::new(session);
    let mut pace = Pace::new(STATUSES_A_SECOND);
    let mut machine = Pace::new(STATUSES_A_SECOND);
    let mut newest: Option<Bytes> = None;
    loop {
        let received = match &newest {
            None => Some(receiver.receive().await),
            Some(_) => {
                let wait = pace.wait(clock.monotonic()).max(TURN);
                tokio::time::timeout(wait, receiver.receive()).await.ok()
            }
        };
        match received {
            Some(Ok(Some(frame))) if is_status(&frame) => {
                if frame.len() > STATUS_FRAME_BYTES_MAX {
                    let text = format!(
                        "a status of {} bytes is over the limit of {STATUS_FRAME_BYTES_MAX}",
                        frame.len()
                    );
                    return passing.failed(text);
                }
                newest = Some(frame);
            }
            Some(Ok(Some(frame)))
                if is_of_machine(&frame) && frame.len() > STATUS_FRAME_BYTES_MAX =>
            {
                let text = format!(
                    "what is said of a machine has {} bytes, over the limit of \
                     {STATUS_FRAME_BYTES_MAX}",
                    frame.len()
                );
                return passing.failed(text);
            }
            Some(Ok(Some(frame))) => {
                // Each is a state of its own, and honest ones are rare: the peer waits.
                let wait = machine.wait(clock.monotonic());
                if is_of_machine(&frame) && !wait.is_zero() {
                    tokio::time::sleep(wait.max(TURN)).await;
                }
                let _passed = is_of_machine(&frame) && machine.pass(clock.monotonic());
                let is_heard = passing.pass(frame).await;
                if !is_heard {
                    return;
                }
            }
            Some(received) => return passing.ended(received),
            None => {}
        }
        let may =
            newest.is_some() && (pace.pass(clock.monotonic()) || planted::is(Bug::StatusesUnpaced));
        if may
            && let Some(status) = newest.take()
            && !passing.pass(status).await
        {
            return;
        }
    }
}

/// Passes the frames of a stream of messages on.
pub(super) async fn frames(mut receiver: Box<dyn FrameReceive>, session: Session) {
    let passing = Passing::new(session);
    loop {
        match receiver.receive().await {
            Ok(Some(frame)) => {
                if !passing.pass(frame).await {
                    return;
                }
            }
            received => return passing.ended(received),
        }
    }
}

/// Frames on their way to a session, in bounds.
struct Passing {
    permits: Arc<Semaphore>,
    session: Session,
}

impl Passing {
    fn new(session: Session) -> Self {
        Self { permits: Arc::new(Semaphore::new(FRAMES_MAX)), session }
    }

    /// Waits while too much is under way; false: the session is gone.
    async fn pass(&self, frame: Bytes) -> bool {
        let permits = frame.len().div_ceil(PERMIT_BYTES).clamp(1, FRAMES_MAX);
        let permits = u32::try_from(permits).unwrap_or(1);
        let Ok(permit) = self.permits.clone().acquire_many_owned(permits).await else {
            return false;
        };
        self.session.send_message(Message::Frame(frame, permit)).is_ok()
    }

    /// What came was no frame.
    fn ended(&self, received: Result<Option<Bytes>, StreamError>) {
        match received {
            Err(StreamError::Closed(_)) => {}
            Err(error) => self.failed(error.to_string()),
            Ok(_) => self.failed("a stream of messages ended".to_owned()),
        }
    }

    fn failed(&self, reason: String) {
        let _ = self.session.send_message(Message::Failed(reason));
    }
}

/// True for a frame that is a status by its first byte: the number of the variant of
/// [`FromWorker`](crate::protocol::wire::v1::worker::Message).
fn is_status(frame: &Bytes) -> bool {
    frame.first() == Some(&0)
}

/// The same for what a worker says of its machine: a condition, or its capabilities.
fn is_of_machine(frame: &Bytes) -> bool {
    matches!(frame.first(), Some(2 | 3))
}

/// Shortest wait for a status' turn.
const TURN: Duration = Duration::from_millis(1);
