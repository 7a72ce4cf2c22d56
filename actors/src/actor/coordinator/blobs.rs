//! Logs, differences and kept outputs: one owner of the files.

use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use tokio::sync::oneshot;

use crate::actor::owned::{Owned, Returned};
use crate::planted::{self, Bug};
use crate::port::{self, BlobError, BlobName, Blobs, Blocking, Slice};
use crate::protocol::{AttemptId, Sha256};

/// Work on the blobs, done in order.
pub type Work = Box<dyn FnOnce(&mut Blobs) -> Result<(), BlobError> + Send>;

/// True for what a collection keeps.
pub type Keep = Arc<dyn Fn(BlobName<'_>) -> bool + Send + Sync>;

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
    /// Remove the parts and contents that are not to be kept: all parts at once, contents a slice
    /// at a time, between which other work has its turn. Nothing that is sealed after this message
    /// goes.
    Collect(Keep),
    /// A slice of a collection ended.
    Collected(Result<Slice, BlobError>),
    /// Tell when a part changes: a byte more, sealed, or gone.
    Watch(String, oneshot::Sender<()>),
    /// Work ended that changed this part, if it changed one.
    Back(Returned<Blobs, Option<String>>),
}

/// What it is given.
pub struct Arguments {
    /// The files.
    pub blobs: Box<Blobs>,
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
    blobs: Owned<Blobs, (Work, Option<String>)>,
    watchers: BTreeMap<String, Vec<oneshot::Sender<()>>>,
    /// `None`: none is under way.
    collection: Option<Collection>,
}

/// A collection under way.
struct Collection {
    keep: Keep,
    /// Sealed since it began. `keep` was made before and does not know who names them.
    sealed: BTreeSet<Sha256>,
    removed: u64,
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
        let blobs = Owned::new(blobs, blocking);
        Ok(State { blobs, watchers: BTreeMap::new(), collection: None })
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
                    let _ = reply.send(blobs.parts.append(&part, offset, &bytes));
                    Ok(())
                });
                state.blobs.waiting.push_back((work, Some(name)));
            }
            Message::Seal { part, digest, length, reply } => {
                let spared = !planted::is(Bug::CollectionTakesNewLogs);
                if let Some(collection) = state.collection.as_mut().filter(|_| spared) {
                    collection.sealed.insert(digest);
                }
                let name = part.clone();
                let work: Work = Box::new(move |blobs| {
                    let _ = reply.send(blobs.seal(&part, digest, length));
                    Ok(())
                });
                state.blobs.waiting.push_back((work, Some(name)));
            }
            Message::Collect(keep) => {
                let (sealed, removed) = (BTreeSet::new(), 0);
                state.collection = Some(Collection { keep, sealed, removed });
                state.collect_slice(&myself, None);
            }
            Message::Collected(slice) => state.collected(&myself, slice),
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

impl State {
    /// Puts the slice after `after` behind all work that waits.
    fn collect_slice(&mut self, myself: &ActorRef<Message>, after: Option<Sha256>) {
        let Some(Collection { keep, sealed, .. }) = &self.collection else { return };
        // A content that is sealed from here on is sealed behind this slice, so that the slice
        // cannot remove it, and the next one knows it.
        let (keep, sealed, myself) = (keep.clone(), sealed.clone(), myself.clone());
        let work: Work = Box::new(move |blobs| {
            let _ = myself.cast(Message::Collected(carry_out_slice(blobs, after, &keep, &sealed)));
            Ok(())
        });
        self.blobs.waiting.push_back((work, None));
    }

    fn collected(&mut self, myself: &ActorRef<Message>, slice: Result<Slice, BlobError>) {
        let Some(collection) = &mut self.collection else { return };
        match slice {
            Ok(Slice { removed, next }) => {
                collection.removed += removed;
                if next.is_some() {
                    return self.collect_slice(myself, next);
                }
            }
            // The rest stays until the next start, as after a kill.
            Err(error) => tracing::error!(%error, "blobs: not collected to the end"),
        }
        let removed = collection.removed;
        if removed > 0 {
            let text = "logs and differences that belong to nothing";
            tracing::info!(target: "rebuilder", "removed {removed} {text}");
        }
        self.collection = None;
    }
}

/// The first slice has all parts too: nobody writes to one of them before the collection begins.
fn carry_out_slice(
    blobs: &mut Blobs,
    after: Option<Sha256>,
    keep: &Keep,
    sealed: &BTreeSet<Sha256>,
) -> Result<Slice, BlobError> {
    let parts = match after {
        None => port::collect_parts(&mut *blobs.parts, &|part| keep(BlobName::Part(part)))?,
        Some(_) => 0,
    };
    let keep = |digest: &Sha256| sealed.contains(digest) || keep(BlobName::Sealed(*digest));
    let slice = port::collect_slice(&mut *blobs.contents, after, SLICE, &keep)?;
    Ok(Slice { removed: parts + slice.removed, ..slice })
}

/// Contents in one slice: some ten milliseconds for a disk that has to remove all of them, for
/// which an upload or a reader waits.
const SLICE: usize = 256;

/// One piece of work, and the part that it changes.
fn carry_out(blobs: &mut Blobs, work: Option<(Work, Option<String>)>) -> Option<String> {
    let (work, part) = work?;
    if let Err(error) = work(blobs) {
        tracing::error!(%error, "blobs");
    }
    part
}
