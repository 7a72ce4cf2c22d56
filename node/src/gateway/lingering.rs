use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::runtime::Handle;

/// A request's body that is taken to its end where a handler leaves some of it. A peer that still
/// sends when its connection is closed sees a reset, and not the 403 or 413 that it was sent.
pub(super) struct Lingering {
    /// `None`: it was left, and is being taken.
    inner: Option<Incoming>,
    bytes_max: u64,
    time: Duration,
}

impl Lingering {
    /// At most `bytes_max` more bytes are taken, in at most `time`.
    pub(super) fn new(inner: Incoming, bytes_max: u64, time: Duration) -> Self {
        Self { inner: Some(inner), bytes_max, time }
    }
}

impl Body for Lingering {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.inner {
            Some(inner) => Pin::new(inner).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take().filter(|inner| !inner.is_end_stream()) else { return };
        // Without a runtime the process ends, and its connections with it.
        if let Ok(runtime) = Handle::try_current() {
            let (bytes_max, time) = (self.bytes_max, self.time);
            runtime.spawn(async move {
                // Closed by then, whatever still comes.
                let _ = tokio::time::timeout(time, discard(inner, bytes_max)).await;
            });
        }
    }
}

async fn discard(mut body: Incoming, bytes_max: u64) {
    let mut taken = 0;
    while taken <= bytes_max {
        // An error: the peer is gone, or its connection.
        let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await else {
            return;
        };
        taken += frame.data_ref().map_or(0, |data| data.len() as u64);
    }
}
