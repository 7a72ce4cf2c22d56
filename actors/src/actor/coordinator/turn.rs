//! How much is done at a time for those who ask. Any key may ask, so what one of them can take is
//! bounded here: turns, memory and time.

use core::time::Duration;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::places::Pace;
use crate::planted::{self, Bug};
use crate::port::Clock;

/// Requests of one connection that are taken in at a time, for a key that may only read; the others
/// wait in the peer. ctl sends one.
const REQUESTS_MAX: usize = 4;
/// The same for an admin's key, whose programs may ask many things at once.
const ADMIN_REQUESTS_MAX: usize = 16;
/// Pieces of answers that are made at a time for all keys that may only read: an admin waits behind
/// so many at most, each about a millisecond of work.
pub(super) const READING_MAX: usize = 4;
/// Pieces that are made in a second for all of these together, after as many at once: with what it
/// takes to send them, less than a third of a processor, so that whoever asks without end leaves
/// the rest to workers. The list of a whole release takes some seconds then.
const PIECES_A_SECOND: u32 = 100;
/// Time for a request to arrive whole after its stream was opened.
pub(super) const ARRIVAL: Duration = Duration::from_secs(10);

/// What all who may only read share.
pub struct Reading {
    /// Pieces that are being made.
    turns: Arc<Semaphore>,
    pace: Mutex<Pace>,
    clock: Arc<dyn Clock>,
}

impl Reading {
    /// Before anybody reads; `clock` measures the pace.
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let turns = Arc::new(Semaphore::new(READING_MAX));
        Self { turns, pace: Mutex::new(Pace::new(PIECES_A_SECOND)), clock }
    }

    /// Waits until one more piece may be made.
    async fn pass(&self) {
        loop {
            let now = self.clock.monotonic();
            let wait = {
                // A panic cannot leave a pace half changed.
                let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
                if pace.pass(now) {
                    return;
                }
                pace.wait(now)
            };
            tokio::time::sleep(wait.max(Duration::from_millis(1))).await;
        }
    }
}

/// One connection of those who ask.
#[derive(Clone)]
pub(super) struct Reader {
    is_admin: bool,
    /// Requests that are taken in.
    requests: Arc<Semaphore>,
    /// Its one piece of an answer, made and sent.
    own: Arc<Semaphore>,
    /// Pieces of all readers.
    all: Arc<Reading>,
}

impl Reader {
    /// `all` is shared by all connections.
    pub(super) fn new(is_admin: bool, all: Arc<Reading>) -> Self {
        let most = if is_admin { ADMIN_REQUESTS_MAX } else { REQUESTS_MAX };
        let most = if planted::is(Bug::ReadersUnbounded) { Semaphore::MAX_PERMITS } else { most };
        let (requests, own) = (Arc::new(Semaphore::new(most)), Arc::new(Semaphore::new(1)));
        Self { is_admin, requests, own, all }
    }

    /// True for a key that may order.
    pub(super) fn is_admin(&self) -> bool {
        self.is_admin
    }

    /// A place for one more request; `None`: there never is one again.
    pub(super) async fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.requests.clone().acquire_owned().await.ok()
    }

    /// A turn to make one piece of an answer: at once for an admin, else after those who asked
    /// before.
    pub(super) async fn turn(&self) -> Turn {
        if self.is_admin || planted::is(Bug::ReadersUnbounded) {
            return Turn { own: None, all: None };
        }
        // First its own, so that one connection waits for one turn at a time: with that the turns
        // go round among the connections, however much each asks for.
        let own = self.own.clone().acquire_owned().await.ok();
        self.all.pass().await;
        Turn { own, all: self.all.turns.clone().acquire_owned().await.ok() }
    }
}

/// A turn of a reader. Until it is dropped, no other piece is made for the same connection: so at
/// most one is in memory for each.
#[must_use = "a turn ends when it is dropped"]
pub(super) struct Turn {
    #[expect(dead_code, reason = "held, not read")]
    own: Option<OwnedSemaphorePermit>,
    all: Option<OwnedSemaphorePermit>,
}

impl Turn {
    /// The piece is made: others have their turn while it is sent.
    pub(super) fn made(&mut self) {
        self.all = None;
    }
}

#[cfg(test)]
mod tests {
    use core::pin::pin;
    use core::task::{Context, Poll, Waker};

    use super::*;
    use crate::port::Monotonic;
    use crate::protocol::UtcMillis;

    /// Time that stands still.
    struct Still;

    impl Clock for Still {
        fn monotonic(&self) -> Monotonic {
            Monotonic(Duration::from_secs(60))
        }

        fn utc(&self) -> UtcMillis {
            UtcMillis(0)
        }
    }

    fn reading() -> Arc<Reading> {
        Arc::new(Reading::new(Arc::new(Still)))
    }

    fn poll<T>(future: core::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        match poll(pin!(future)) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_connection_has_four_requests_and_one_turn() {
        let reader = Reader::new(false, reading());
        let places: Vec<_> = (0..REQUESTS_MAX).map(|_| now(reader.place()).unwrap()).collect();
        assert!(now(reader.place()).is_none());
        drop(places);
        let mut turn = now(reader.turn()).unwrap();
        assert!(now(reader.turn()).is_none());
        turn.made();
        assert!(now(reader.turn()).is_none(), "what was made is not taken yet");
        drop(turn);
        assert!(now(reader.turn()).is_some());
    }

    #[test]
    fn all_readers_together_have_four_turns_and_an_admin_needs_none() {
        let all = reading();
        let reader = || Reader::new(false, all.clone());
        let mut turns: Vec<_> = (0..READING_MAX).map(|_| now(reader().turn()).unwrap()).collect();
        let one_more = reader();
        let mut waits = pin!(one_more.turn());
        assert!(poll(waits.as_mut()).is_pending());
        assert!(now(Reader::new(true, all.clone()).turn()).is_some());
        turns[0].made();
        assert!(poll(waits.as_mut()).is_ready(), "the next one begins while the first is sent");
    }

    #[tokio::test(start_paused = true)]
    async fn all_readers_together_have_a_hundred_pieces_a_second() {
        let all = reading();
        for number in 0..PIECES_A_SECOND {
            // As in a task of its own.
            tokio::task::yield_now().await;
            let reader = Reader::new(false, all.clone());
            assert!(now(reader.turn()).is_some(), "piece {number}");
        }
        assert!(now(Reader::new(false, all.clone()).turn()).is_none());
        assert!(now(Reader::new(true, all).turn()).is_some(), "an admin waits for nobody");
    }
}
