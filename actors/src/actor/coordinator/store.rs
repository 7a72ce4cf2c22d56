//! The only owner of the database: durable batches, grouped, answered in order.

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef};

use crate::actor::owned::{Owned, Returned};
use crate::port::{Batch, Blocking, Store, StoreError, StoreOwner, StoreRead};
use crate::protocol::stored::{self, Record};

/// Reads; an error means that the store failed.
pub type Read = Box<dyn FnOnce(&dyn StoreRead) -> Result<(), StoreError> + Send>;

/// To the store.
pub enum Message {
    /// Write this; `done` is called once it is durable, in the order of the messages.
    Commit {
        /// Atomic.
        batch: Batch,
        /// Never called when the store fails: then the tree restarts.
        done: Box<dyn FnOnce() + Send>,
    },
    /// Read, after all writes before it.
    Read(Read),
    /// A group of work ended.
    Back(Returned<StoreOwner<Box<dyn Store>>, Result<(), StoreError>>),
    /// The pause between two groups is over.
    Go,
}

impl core::fmt::Debug for Message {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Commit { .. } => "Commit",
            Self::Read(_) => "Read",
            Self::Back(..) => "Back",
            Self::Go => "Go",
        })
    }
}

/// What it is given.
pub struct Arguments {
    /// The database, taken over.
    pub store: StoreOwner<Box<dyn Store>>,
    /// Where it may block.
    pub blocking: Arc<dyn Blocking>,
}

/// The actor.
pub struct StoreActor;

/// While one group is being made durable, what arrives is collected for the next, and where one
/// group follows another for [`PAUSE`] longer: a commit costs the disk and the processor about the
/// same whatever it holds. A commit that finds the store idle never waits.
pub struct State {
    store: Owned<StoreOwner<Box<dyn Store>>, Work>,
    paused: bool,
}

/// Between two commits under load. Twelve times less than an assignment may take.
const PAUSE: Duration = Duration::from_millis(4);

enum Work {
    Commit(Batch, Box<dyn FnOnce() + Send>),
    Read(Read),
}

impl Actor for StoreActor {
    type Msg = Message;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        _myself: ActorRef<Message>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let Arguments { store, blocking } = arguments;
        Ok(State { store: Owned::new(Box::new(store), blocking), paused: false })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Commit { batch, done } => {
                state.store.waiting.push_back(Work::Commit(batch, done));
            }
            Message::Read(read) => state.store.waiting.push_back(Work::Read(read)),
            Message::Back(returned) => {
                // Nothing is known about what failed: the tree restarts from what is durable.
                state.store.take_back(returned, "the store")??;
                if state.store.waiting.iter().any(|work| matches!(work, Work::Commit(..))) {
                    state.paused = true;
                    myself.send_after(PAUSE, || Message::Go);
                }
            }
            Message::Go => state.paused = false,
        }
        state.work(&myself);
        Ok(())
    }
}

impl State {
    fn work(&mut self, myself: &ActorRef<Message>) {
        if !self.paused {
            self.store.work(myself, core::mem::take, carry_out, Message::Back);
        }
    }
}

/// Commits runs of batches together; a read sees all that came before it.
fn carry_out(
    store: &mut StoreOwner<Box<dyn Store>>,
    group: VecDeque<Work>,
) -> Result<(), StoreError> {
    let mut batches = Vec::new();
    let mut dones = Vec::new();
    let flush = |store: &mut StoreOwner<Box<dyn Store>>,
                 batches: &mut Vec<Batch>,
                 dones: &mut Vec<Box<dyn FnOnce() + Send>>| {
        if !batches.is_empty() {
            store.commit(batches)?;
            batches.clear();
        }
        dones.drain(..).for_each(|done| done());
        Ok::<(), StoreError>(())
    };
    for work in group {
        match work {
            Work::Commit(batch, done) => {
                if !batch.is_empty() {
                    batches.push(batch);
                }
                dones.push(done);
            }
            Work::Read(read) => {
                flush(store, &mut batches, &mut dones)?;
                read(store)?;
            }
        }
    }
    flush(store, &mut batches, &mut dones)
}

/// Shows every record of one kind.
///
/// # Errors
/// Those of the medium; `Damaged` at the first record that cannot be read, with its key.
pub fn scan_records<R: Record>(
    store: &dyn StoreRead,
    mut take: impl FnMut(R::Key, R),
) -> Result<(), StoreError> {
    scan_table(store, R::TABLE, |key, value| {
        stored::entry(key, value).map(|(identity, record)| take(identity, record))
    })
}

/// Shows every record of a table, by its key and value.
///
/// # Errors
/// Those of the medium; `Damaged` at the first record that `take` refuses, with its key.
pub fn scan_table<E: core::fmt::Display>(
    store: &dyn StoreRead,
    table: u8,
    mut take: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
) -> Result<(), StoreError> {
    let mut refused = None;
    store.scan(&[table], &[table], &mut |key, value| match take(key, value) {
        Ok(()) => true,
        Err(error) => {
            refused = Some(format!("record {}: {error}", hex::encode(key)));
            false
        }
    })?;
    refused.map_or(Ok(()), |reason| {
        let path = format!("{} (table {})", store.place(), char::from(table));
        Err(StoreError::Damaged { path, reason })
    })
}

#[cfg(test)]
#[path = "store_test.rs"]
mod tests;
