//! Logs, differences and kept outputs: one owner of the files.

use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tokio::sync::oneshot;

use crate::actor::owned::{Owned, Returned};
use crate::port::{BlobError, Blobs, Blocking};
use crate::protocol::{AttemptId, Sha256};

/// Work on the blobs, done in order.
pub type Work = Box<dyn FnOnce(&mut dyn Blobs) -> Result<(), BlobError> + Send>;

/// To the blobs.
pub enum Message {
    /// Do this.
    Do(Work),
    /// Append, and wake those who wait for more.
    Append {
        /// The part.
        part: String,
        /// Where.
        offset: u64,
        /// What.
        bytes: bytes::Bytes,
        /// How it went.
        reply: oneshot::Sender<Result<(), BlobError>>,
    },
    /// Make a part a blob, and wake those who wait for its end.
    Seal {
        /// The part.
        part: String,
        /// Its digest.
        digest: Sha256,
        /// Its length, bytes.
        length: u64,
        /// How it went.
        reply: oneshot::Sender<Result<(), BlobError>>,
    },
    /// Tell when a part changes: a byte more, sealed, or gone.
    Watch(String, oneshot::Sender<()>),
    /// Work ended that changed this part, if it changed one.
    Back(Returned<dyn Blobs, Option<String>>),
}

/// What it is given.
pub struct Arguments {
    /// The files.
    pub blobs: Box<dyn Blobs>,
    /// Where it may block.
    pub blocking: Arc<dyn Blocking>,
}

/// The part that receives an attempt's log.
pub fn log_part(attempt: AttemptId) -> String {
    format!("log-{attempt}")
}

/// The actor.
pub struct BlobsActor;

/// One piece of work at a time, in order.
pub struct State {
    blobs: Owned<dyn Blobs, (Work, Option<String>)>,
    watchers: BTreeMap<String, Vec<oneshot::Sender<()>>>,
}

impl Actor for BlobsActor {
    type Msg = Message;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        _myself: ActorRef<Message>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let Arguments { blobs, blocking } = arguments;
        Ok(State { blobs: Owned::new(blobs, blocking), watchers: BTreeMap::new() })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Do(work) => state.blobs.waiting.push_back((work, None)),
            Message::Append { part, offset, bytes, reply } => {
                let name = part.clone();
                let work: Work = Box::new(move |blobs| {
                    let _ = reply.send(blobs.append(&part, offset, &bytes));
                    Ok(())
                });
                state.blobs.waiting.push_back((work, Some(name)));
            }
            Message::Seal { part, digest, length, reply } => {
                let name = part.clone();
                let work: Work = Box::new(move |blobs| {
                    let _ = reply.send(blobs.seal(&part, digest, length));
                    Ok(())
                });
                state.blobs.waiting.push_back((work, Some(name)));
            }
            Message::Watch(part, reply) => {
                let waiting = state.watchers.entry(part).or_default();
                waiting.retain(|watcher| !watcher.is_closed());
                waiting.push(reply);
            }
            Message::Back(returned) => {
                let part = state.blobs.take_back(returned, "the blobs")?;
                let woken = part.and_then(|part| state.watchers.remove(&part));
                woken.into_iter().flatten().for_each(|watcher| {
                    let _ = watcher.send(());
                });
            }
        }
        state.blobs.work(&myself, VecDeque::pop_front, carry_out, Message::Back);
        Ok(())
    }
}

/// One piece of work, and the part that it changes.
fn carry_out(blobs: &mut dyn Blobs, work: Option<(Work, Option<String>)>) -> Option<String> {
    let (work, part) = work?;
    if let Err(error) = work(blobs) {
        tracing::error!(%error, "blobs");
    }
    part
}
