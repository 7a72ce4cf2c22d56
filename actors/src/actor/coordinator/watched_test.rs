use std::sync::Mutex;

use super::super::outbox::{Outbox, WAITING_BYTES_MAX, WAITING_MAX};
use super::*;
use crate::protocol::wire::CONTROL_FRAME_BYTES_MAX;

/// A connection whose peer opens streams and takes none of what is sent: flow control as it is
/// against a peer that does not read.
#[derive(Clone, Default)]
struct Deaf {
    closed: Arc<Mutex<Option<CloseReason>>>,
    /// How long it takes for one frame; `None`: it takes none.
    slow: Option<Duration>,
}

impl Deaf {
    fn code(&self) -> Option<u32> {
        self.closed.lock().unwrap().as_ref().map(|reason| reason.code)
    }
}

impl Connection for Deaf {
    fn clone_handle(&self) -> Box<dyn Connection> {
        Box::new(self.clone())
    }

    fn peer(&self) -> PublicKey {
        PublicKey([7; 32])
    }

    fn remote_address(&self) -> SocketAddr {
        ([192, 0, 2, 1], 7).into()
    }

    fn exporter(&self, _label: &[u8], _context: &[u8]) -> [u8; 32] {
        [0; 32]
    }

    fn open(&self, _limit: usize) -> BoxFuture<'_, Result<FrameStreams, StreamError>> {
        Box::pin(core::future::pending())
    }

    fn accept(&self, _limit: usize) -> BoxFuture<'_, Result<FrameStreams, StreamError>> {
        Box::pin(async { Ok((Box::new(Full(self.slow)) as _, Box::new(Silent) as _)) })
    }

    fn open_one_way(&self) -> BoxFuture<'_, Result<Box<dyn FrameSend>, StreamError>> {
        Box::pin(core::future::pending())
    }

    fn accept_one_way(
        &self,
        _limit: usize,
    ) -> BoxFuture<'_, Result<Box<dyn FrameReceive>, StreamError>> {
        Box::pin(core::future::pending())
    }

    fn widen(&self) {}

    fn alive(&self) -> BoxFuture<'_, ()> {
        Box::pin(core::future::pending())
    }

    fn close(&self, reason: CloseReason) {
        self.closed.lock().unwrap().get_or_insert(reason);
    }

    fn closed(&self) -> BoxFuture<'_, CloseReason> {
        Box::pin(core::future::pending())
    }
}

/// Takes a frame in this time; `None`: nothing.
struct Full(Option<Duration>);

impl FrameSend for Full {
    fn send(&mut self, _frame: Bytes) -> BoxFuture<'_, Result<(), StreamError>> {
        Box::pin(async {
            match self.0 {
                Some(time) => tokio::time::sleep(time).await,
                None => core::future::pending().await,
            }
            Ok(())
        })
    }

    fn stopped(&self) -> BoxFuture<'static, ()> {
        Box::pin(core::future::pending())
    }

    fn finish(&mut self) -> Result<(), StreamError> {
        Ok(())
    }
}

/// Gives nothing.
struct Silent;

impl FrameReceive for Silent {
    fn receive(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, StreamError>> {
        Box::pin(core::future::pending())
    }

    fn set_limit(&mut self, _limit: usize) {}
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_read_ends_the_connection_after_a_minute() {
    let (deaf, activity) = (Deaf::default(), Arc::<Activity>::default());
    let watched = Watched::new(Box::new(deaf.clone()), activity);
    let (mut sender, _receiver) = watched.accept(10).await.unwrap();
    let sending = tokio::spawn(async move { sender.send(Bytes::from_static(b"x")).await });
    tokio::time::sleep(UNREAD_MAX - Duration::from_secs(1)).await;
    assert_eq!(deaf.code(), None);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(deaf.code(), Some(CloseCode::Unread as u32));
    assert!(matches!(sending.await.unwrap(), Err(StreamError::Closed(_))));
}

/// A slow reader keeps its connection as long as it takes something each minute, and its own
/// stream only.
#[tokio::test(start_paused = true)]
async fn a_slow_reader_has_a_minute_for_each_frame() {
    for (secs, stays) in [(1, true), (59, true), (61, false)] {
        let slow = Deaf { slow: Some(Duration::from_secs(secs)), ..Deaf::default() };
        let watched = Watched::new(Box::new(slow.clone()), Arc::default());
        let (mut sender, _receiver) = watched.accept(10).await.unwrap();
        for _ in 0..100 {
            if sender.send(Bytes::from_static(b"x")).await.is_err() {
                break;
            }
        }
        let closed = (!stays).then_some(CloseCode::Unread as u32);
        assert_eq!(slow.code(), closed, "{secs} s for a frame");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stranger_is_idle_a_minute_after_its_last_question() {
    let activity = Arc::<Activity>::default();
    let watched = Watched::new(Box::new(Deaf::default()), activity.clone());
    let idle = tokio::spawn(async move { activity.idle().await });
    tokio::time::sleep(Duration::from_secs(50)).await;
    let (sender, receiver) = watched.accept(10).await.unwrap();
    // A question that takes long is no idleness, whichever half is still there.
    tokio::time::sleep(Duration::from_secs(500)).await;
    drop(sender);
    tokio::time::sleep(Duration::from_secs(500)).await;
    assert!(!idle.is_finished());
    drop(receiver);
    tokio::time::sleep(IDLE_MAX - Duration::from_secs(1)).await;
    assert!(!idle.is_finished());
    let ended = tokio::time::timeout(Duration::from_secs(2), idle).await;
    ended.expect("idle for a minute").unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_does_not_read_is_overrun() {
    for (frame, most) in [
        (Bytes::from(vec![0; 40]), WAITING_MAX),
        (Bytes::from(vec![0; 64 << 10]), WAITING_BYTES_MAX / (64 << 10)),
        (
            Bytes::from(vec![0; CONTROL_FRAME_BYTES_MAX]),
            WAITING_BYTES_MAX / CONTROL_FRAME_BYTES_MAX,
        ),
    ] {
        let deaf = Deaf::default();
        let (outbox, task) = Outbox::new(Box::new(Full(None)), deaf.clone_handle());
        let task = tokio::spawn(task);
        let mut pushed = 0;
        while outbox.push(frame.clone()).is_ok() {
            pushed += 1;
            assert!(pushed <= most);
        }
        assert_eq!(pushed, most);
        // Whether or not anything more comes for it.
        tokio::time::sleep(UNREAD_MAX + Duration::from_secs(1)).await;
        assert_eq!(deaf.code(), Some(CloseCode::Unread as u32));
        task.await.unwrap();
    }
}
