//! What the queue sends to whoever speaks for a worker.

use core::time::Duration;
use ractor::DerivedActorRef;

use crate::protocol::Sha256;
use crate::protocol::wire::CloseCode;
use crate::protocol::wire::v1::coordinator::Message as ToWorker;

/// Whoever speaks for one worker: an actor that takes these messages beside its own. The queue
/// knows it by the number of its session, and neither how the worker is connected nor which
/// protocol it speaks.
pub type Receiver = DerivedActorRef<Message>;

/// To a receiver.
#[derive(Debug)]
pub enum Message {
    /// Pass this on to the worker, after what was sent before.
    Tell(ToWorker),
    /// The worker may work: its messages are taken from here on.
    Admit {
        /// The coordinator's own proof; `None`: the worker needs none.
        proof: Option<Sha256>,
    },
    /// Ask the worker for a sign of life, and report to the queue whether one came.
    Probe {
        /// Time for it.
        within: Duration,
    },
    /// End the session, and say why.
    Close {
        /// For programs.
        code: CloseCode,
        /// For people.
        reason: String,
    },
}

#[cfg(test)]
#[path = "receiver_test.rs"]
mod tests;
