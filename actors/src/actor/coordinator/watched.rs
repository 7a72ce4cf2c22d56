//! A connection whose peer must read what it is sent, and a stranger's must ask something.

use bytes::Bytes;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::sync::Arc;
use tokio::sync::Notify;

use crate::port::{
    BoxFuture, CloseReason, Connection, FrameReceive, FrameSend, FrameStreams, StreamError,
};
use crate::protocol::PublicKey;
use crate::protocol::wire::CloseCode;

/// Longest time for one frame to be taken by the peer's flow control: the largest, 256 KiB, passes
/// at 4.4 kB/s. A peer that does not read any more holds memory for no longer.
pub const UNREAD_MAX: Duration = Duration::from_secs(60);
/// A stranger that has no question open for so long is closed.
pub const IDLE_MAX: Duration = Duration::from_secs(60);

/// Streams that the peer opened and that are not done.
#[derive(Debug, Default)]
pub struct Activity {
    open: AtomicUsize,
    /// A stream was opened, or is done. One task waits for it.
    changed: Notify,
}

impl Activity {
    fn begin(self: &Arc<Self>) -> Arc<Busy> {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.changed.notify_one();
        Arc::new(Busy(self.clone()))
    }

    /// Waits until the peer had no stream open for [`IDLE_MAX`].
    pub async fn idle(&self) {
        loop {
            let changed = self.changed.notified();
            if self.open.load(Ordering::Relaxed) > 0 {
                changed.await;
            } else if tokio::time::timeout(IDLE_MAX, changed).await.is_err() {
                return;
            }
        }
    }
}

/// One stream that is not done: both its halves hold it.
struct Busy(Arc<Activity>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        self.0.changed.notify_one();
    }
}

/// See the module.
pub struct Watched {
    inner: Arc<dyn Connection>,
    activity: Arc<Activity>,
}

impl Watched {
    /// Streams that the peer opens on it are counted in `activity`.
    pub fn new(inner: Box<dyn Connection>, activity: Arc<Activity>) -> Self {
        Self { inner: inner.into(), activity }
    }

    fn streams(&self, (sender, receiver): FrameStreams) -> FrameStreams {
        let busy = self.activity.begin();
        let sender = Sender { inner: sender, connection: self.inner.clone(), _busy: busy.clone() };
        (Box::new(sender), Box::new(Receiver { inner: receiver, _busy: busy }))
    }
}

impl Connection for Watched {
    fn clone_handle(&self) -> Box<dyn Connection> {
        Box::new(Self { inner: self.inner.clone(), activity: self.activity.clone() })
    }

    fn peer(&self) -> PublicKey {
        self.inner.peer()
    }

    fn remote_address(&self) -> SocketAddr {
        self.inner.remote_address()
    }

    fn exporter(&self, label: &[u8], context: &[u8]) -> [u8; 32] {
        self.inner.exporter(label, context)
    }

    fn open(&self, limit: usize) -> BoxFuture<'_, Result<FrameStreams, StreamError>> {
        self.inner.open(limit)
    }

    fn accept(&self, limit: usize) -> BoxFuture<'_, Result<FrameStreams, StreamError>> {
        Box::pin(async move { Ok(self.streams(self.inner.accept(limit).await?)) })
    }

    fn open_one_way(&self) -> BoxFuture<'_, Result<Box<dyn FrameSend>, StreamError>> {
        self.inner.open_one_way()
    }

    fn accept_one_way(
        &self,
        limit: usize,
    ) -> BoxFuture<'_, Result<Box<dyn FrameReceive>, StreamError>> {
        self.inner.accept_one_way(limit)
    }

    fn widen(&self) {
        self.inner.widen();
    }

    fn alive(&self) -> BoxFuture<'_, ()> {
        self.inner.alive()
    }

    fn close(&self, reason: CloseReason) {
        self.inner.close(reason);
    }

    fn closed(&self) -> BoxFuture<'_, CloseReason> {
        self.inner.closed()
    }
}

struct Sender {
    inner: Box<dyn FrameSend>,
    connection: Arc<dyn Connection>,
    _busy: Arc<Busy>,
}

impl FrameSend for Sender {
    fn send(&mut self, frame: Bytes) -> BoxFuture<'_, Result<(), StreamError>> {
        Box::pin(async move {
            let sent = tokio::time::timeout(UNREAD_MAX, self.inner.send(frame)).await;
            sent.unwrap_or_else(|_| {
                let reason = unread();
                self.connection.close(reason.clone());
                Err(StreamError::Closed(reason))
            })
        })
    }

    fn stopped(&self) -> BoxFuture<'static, ()> {
        self.inner.stopped()
    }

    fn finish(&mut self) -> Result<(), StreamError> {
        self.inner.finish()
    }
}

struct Receiver {
    inner: Box<dyn FrameReceive>,
    _busy: Arc<Busy>,
}

impl FrameReceive for Receiver {
    fn receive(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, StreamError>> {
        self.inner.receive()
    }

    fn set_limit(&mut self, limit: usize) {
        self.inner.set_limit(limit);
    }
}

/// Why a peer that does not read is closed.
pub(super) fn unread() -> CloseReason {
    let text = format!("what was sent was not read for {} s", UNREAD_MAX.as_secs());
    CloseReason { code: CloseCode::Unread as u32, text }
}

#[cfg(test)]
#[path = "watched_test.rs"]
mod tests;
