use ractor::ActorRef;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::session::{HELLO, Message};
use crate::port::{CloseReason, Connection, FrameReceive, StreamError};
use crate::protocol::wire::{self, CONTROL_FRAME_BYTES_MAX, CloseCode, Hello};

/// Held while a frame is being handled.
pub type Permit = OwnedSemaphorePermit;

/// Frames of one stream that may be under way at a time; flow control holds the rest back.
const FRAMES_MAX: usize = 16;

/// Waits for the first frame of the first stream.
pub(super) async fn hello(connection: Box<dyn Connection>, session: ActorRef<Message>) {
    let greeting = async {
        let (sender, mut receiver) =
            connection.accept(CONTROL_FRAME_BYTES_MAX).await.map_err(|e| e.to_string())?;
        let frame = receiver.receive().await.map_err(|e| e.to_string())?;
        let frame = frame.ok_or("the first stream ended before its first frame")?;
        let hello: Hello = wire::decode(&frame).map_err(|e| format!("hello: {e}"))?;
        Ok::<_, String>((hello, sender, receiver))
    };
    let reason = match tokio::time::timeout(HELLO, greeting).await {
        Ok(Ok((hello, sender, receiver))) => {
            let _ = session.cast(Message::Hello(Box::new(hello), sender, receiver));
            return;
        }
        Ok(Err(reason)) => reason,
        Err(_) => format!("no hello within {} s", HELLO.as_secs()),
    };
    let address = connection.remote_address();
    tracing::warn!(target: "rebuilder", "connection from {address} refused: {reason}");
    connection.close(CloseReason { code: CloseCode::Protocol as u32, text: reason });
}

/// Waits for the stream of reports, of which a connection has one, and passes its frames on.
pub(super) async fn reports(connection: Box<dyn Connection>, session: ActorRef<Message>) {
    if let Ok(receiver) = connection.accept_one_way(CONTROL_FRAME_BYTES_MAX).await {
        frames(receiver, session).await;
    }
}

/// Passes the frames of a stream of messages on, at most [`FRAMES_MAX`] at a time.
pub(super) async fn frames(mut receiver: Box<dyn FrameReceive>, session: ActorRef<Message>) {
    let permits = Arc::new(Semaphore::new(FRAMES_MAX));
    let reason = loop {
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        match receiver.receive().await {
            Ok(Some(frame)) => {
                if session.cast(Message::Frame(frame, permit)).is_err() {
                    return;
                }
            }
            Ok(None) => break "a stream of messages ended".to_owned(),
            Err(StreamError::Closed(_)) => return,
            Err(error) => break error.to_string(),
        }
    };
    tracing::warn!(target: "rebuilder", "a worker's stream failed: {reason}");
    let _ = session.cast(Message::Close { code: CloseCode::Protocol, reason });
}
