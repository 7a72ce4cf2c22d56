//! Finished reports without a final answer; survives a kill.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef};

use crate::actor::owned::{Owned, Returned};
use crate::planted::{self, Bug};
use crate::port::{Blocking, Spool, SpoolError};
use crate::protocol::AttemptId;
use crate::protocol::stored::{self, SpoolEntry, Spooled};

/// Called when something is kept, or not.
pub type Done = Box<dyn FnOnce(Result<(), SpoolError>) + Send>;

/// To the spool.
pub enum Message {
    /// Keep this; `done` is called once it is durable.
    Keep(AttemptId, Box<Spooled>, Done),
    /// The report had its final answer.
    Remove(AttemptId),
    /// Everything that is kept.
    Entries(Box<dyn FnOnce(BTreeMap<AttemptId, Spooled>) + Send>),
    /// The names of everything that is kept, also of what cannot be read.
    Names(Box<dyn FnOnce(Vec<String>) + Send>),
    /// A group of work ended; an error means that what is kept cannot be read.
    Back(Returned<dyn Spool, Result<(), SpoolError>>),
}

/// What it is given.
pub struct Arguments {
    /// The files.
    pub spool: Box<dyn Spool>,
    /// Where they may block.
    pub blocking: Arc<dyn Blocking>,
}

/// The actor.
pub struct SpoolActor;

/// An error means that nobody knows what is kept: the tree restarts, and looks again.
type Work = Box<dyn FnOnce(&mut dyn Spool) -> Result<(), SpoolError> + Send>;

/// One group of work at a time, in order.
pub struct State {
    spool: Owned<dyn Spool, Work>,
}

impl Actor for SpoolActor {
    type Msg = Message;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        _myself: ActorRef<Message>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let Arguments { spool, blocking } = arguments;
        Ok(State { spool: Owned::new(spool, blocking) })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let work: Work = match message {
            Message::Keep(attempt, spooled, done) => Box::new(move |spool| {
                let content = stored::write(&SpoolEntry { attempt, spooled: *spooled });
                done(spool.keep(&name(attempt), &content));
                Ok(())
            }),
            Message::Remove(attempt) => Box::new(move |spool| {
                if let Err(error) = spool.remove(&name(attempt)) {
                    tracing::warn!(target: "rebuilder", "{error}");
                }
                Ok(())
            }),
            Message::Entries(reply) if planted::is(Bug::SpoolNotRead) => Box::new(move |_| {
                reply(BTreeMap::new());
                Ok(())
            }),
            Message::Entries(reply) => Box::new(move |spool| {
                let found = entries(spool);
                if planted::is(Bug::UnreadableSpoolEmpty) {
                    reply(found.unwrap_or_default());
                } else {
                    reply(found?);
                }
                Ok(())
            }),
            Message::Names(reply) => Box::new(move |spool| {
                reply(spool.entries()?.into_iter().map(|(name, _)| name).collect());
                Ok(())
            }),
            Message::Back(returned) => {
                state.spool.take_back(returned, "the spool")??;
                state.work(&myself);
                return Ok(());
            }
        };
        state.spool.waiting.push_back(work);
        state.work(&myself);
        Ok(())
    }
}

impl State {
    fn work(&mut self, myself: &ActorRef<Message>) {
        let carry_out = |spool: &mut dyn Spool, group: VecDeque<Work>| {
            group.into_iter().try_for_each(|work| work(spool))
        };
        self.spool.work(myself, core::mem::take, carry_out, Message::Back);
    }
}

/// Begins the names of reports.
pub(super) const REPORT: &str = "report-";

fn name(attempt: AttemptId) -> String {
    format!("{REPORT}{attempt}")
}

/// What can be read; what cannot stays where it is and is told.
fn entries(spool: &mut dyn Spool) -> Result<BTreeMap<AttemptId, Spooled>, SpoolError> {
    let mut entries = BTreeMap::new();
    for (name, content) in spool.entries()? {
        match stored::read(&content) {
            Ok(SpoolEntry { attempt, spooled }) => {
                entries.insert(attempt, spooled);
            }
            Err(error) => {
                tracing::error!(target: "rebuilder", "spool: {name} cannot be read: {error}");
            }
        }
    }
    Ok(entries)
}
