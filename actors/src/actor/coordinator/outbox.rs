//! What waits for a worker on its control stream, in bounds.

use bytes::Bytes;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use tokio::sync::mpsc;

use super::watched::{UNREAD_MAX, unread};
use crate::planted::{self, Bug};
use crate::port::{CloseReason, Connection, FrameSend};
use crate::protocol::wire::CloseCode;

/// Bytes that wait for one worker: its 256 slots' assignments with 32 KiB each. A larger frame is
/// taken when nothing waits.
pub const WAITING_BYTES_MAX: usize = 8 << 20;
/// Messages that wait for one worker: an answer for each of the 4,096 reports that it may keep, and
/// as many orders.
pub const WAITING_MAX: usize = 8_192;

/// The sending end; clones share it.
#[derive(Clone)]
pub struct Outbox {
    frames: mpsc::UnboundedSender<Bytes>,
    waiting: Arc<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    frames: AtomicUsize,
    bytes: AtomicUsize,
}

/// The worker does not read: too much waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overrun {
    frames: usize,
    bytes: usize,
}

impl From<Overrun> for CloseReason {
    fn from(overrun: Overrun) -> Self {
        let Overrun { frames, bytes } = overrun;
        let text = format!("{frames} messages of {bytes} bytes wait to be read");
        Self { code: CloseCode::Unread as u32, text }
    }
}

impl Outbox {
    /// Starts with nothing; the second is to be run as a task, which closes `connection` when its
    /// peer does not read.
    pub fn new(
        sender: Box<dyn FrameSend>,
        connection: Box<dyn Connection>,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (frames, queue) = mpsc::unbounded_channel();
        let waiting = Arc::<Waiting>::default();
        let task = write(sender, connection, queue, waiting.clone());
        (Self { frames, waiting }, task)
    }

    /// One more frame, after those that wait.
    ///
    /// # Errors
    /// So much waits that the worker cannot be reading; nothing was added.
    pub fn push(&self, frame: Bytes) -> Result<(), Overrun> {
        let Waiting { frames, bytes } = &*self.waiting;
        let (count, waiting) = (frames.load(Ordering::Relaxed), bytes.load(Ordering::Relaxed));
        let full = count >= WAITING_MAX || waiting + frame.len() > WAITING_BYTES_MAX;
        if count > 0 && full && !planted::is(Bug::DeafWorkerKept) {
            return Err(Overrun { frames: count, bytes: waiting });
        }
        frames.fetch_add(1, Ordering::Relaxed);
        bytes.fetch_add(frame.len(), Ordering::Relaxed);
        // The task ends only with the connection.
        let _ = self.frames.send(frame);
        Ok(())
    }
}

/// Sends frames in order, for as long as the peer takes them.
async fn write(
    mut sender: Box<dyn FrameSend>,
    connection: Box<dyn Connection>,
    mut queue: mpsc::UnboundedReceiver<Bytes>,
    waiting: Arc<Waiting>,
) {
    while let Some(frame) = queue.recv().await {
        let length = frame.len();
        let sent = if planted::is(Bug::DeafWorkerKept) {
            Ok(sender.send(frame).await)
        } else {
            tokio::time::timeout(UNREAD_MAX, sender.send(frame)).await
        };
        match sent {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return,
            Err(_) => return connection.close(unread()),
        }
        waiting.frames.fetch_sub(1, Ordering::Relaxed);
        waiting.bytes.fetch_sub(length, Ordering::Relaxed);
    }
}
