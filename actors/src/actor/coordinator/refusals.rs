use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

use crate::domain::places::{Refusal, SAID_EVERY, Tally};
use crate::port::Clock;
use crate::protocol::PublicKey;
use crate::protocol::wire::CloseCode;

/// The log's lines about what is refused: one of each kind in some seconds, with a count.
pub struct Refusals {
    clock: Arc<dyn Clock>,
    tally: Mutex<Tally<Kind>>,
    /// Something waits to be said. One task waits for it.
    waiting: Notify,
}

/// What was refused; each has its own line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// No place for a connection, by the reason.
    Place(Refusal),
    /// A stranger's connection ended for a known key's.
    Evicted,
    /// No hello, or one that cannot be read.
    Hello,
    /// No version in common.
    Version,
    /// A worker that is not let in, by the reason.
    Worker(CloseCode),
    /// A stranger asked for nothing.
    Idle,
    /// An order of a key that may only read.
    Order,
    /// A peer did not read.
    Unread,
    /// A worker broke the protocol.
    Protocol,
    /// A report of this worker: another one's are not hidden behind it.
    Report(PublicKey),
    /// A log or a difference of this worker.
    Upload(PublicKey),
}

impl Refusals {
    /// Nothing was refused.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, tally: Mutex::default(), waiting: Notify::new() }
    }

    /// Counts one, and says it unless one of its kind was said just before.
    pub fn say(&self, kind: Kind, text: impl FnOnce() -> String) {
        match self.lock().count(self.clock.monotonic(), kind, text) {
            Some(line) => tracing::warn!(target: "rebuilder", "{line}"),
            None => self.waiting.notify_one(),
        }
    }

    /// Says what a flood left, for as long as its task lives.
    pub async fn say_rest(self: Arc<Self>) {
        loop {
            self.waiting.notified().await;
            loop {
                tokio::time::sleep(SAID_EVERY).await;
                let mut tally = self.lock();
                for line in tally.due(self.clock.monotonic()) {
                    tracing::warn!(target: "rebuilder", "{line}");
                }
                if tally.next_due().is_none() {
                    break;
                }
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Tally<Kind>> {
        // A panic while the lock is held cannot leave a tally half changed.
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
