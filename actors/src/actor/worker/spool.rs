//! Finished reports without a final answer; survives a kill.

use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::domain::worker::Spooled;
use crate::planted::{self, Bug};
use crate::port::{Blocking, Spool, SpoolError};
use crate::protocol::{AttemptId, Epoch, InputId, stored};

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
    /// The spool came back from its work.
    Back(Box<dyn Spool>),
    /// The work panicked, and the spool is lost; or what is kept cannot be read.
    Broken(String),
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

/// One piece of work at a time, in order.
pub struct State {
    spool: Option<Box<dyn Spool>>,
    blocking: Arc<dyn Blocking>,
    waiting: VecDeque<Work>,
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
        Ok(State { spool: Some(spool), blocking, waiting: VecDeque::new() })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let work: Work = match message {
            Message::Keep(attempt, spooled, done) => Box::new(move |spool| {
                let content = stored::write(&(attempt, *spooled));
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
            Message::Back(spool) => {
                state.spool = Some(spool);
                state.work(&myself);
                return Ok(());
            }
            Message::Broken(reason) => return Err(reason.into()),
        };
        state.waiting.push_back(work);
        state.work(&myself);
        Ok(())
    }
}

impl State {
    fn work(&mut self, myself: &ActorRef<Message>) {
        if self.waiting.is_empty() {
            return;
        }
        let Some(mut spool) = self.spool.take() else { return };
        let waiting = core::mem::take(&mut self.waiting);
        let myself = myself.clone();
        self.blocking.run(Box::new(move || {
            let work = AssertUnwindSafe(move || {
                match waiting.into_iter().try_for_each(|work| work(spool.as_mut())) {
                    Ok(()) => Message::Back(spool),
                    Err(error) => Message::Broken(error.to_string()),
                }
            });
            let message = catch_unwind(work)
                .unwrap_or_else(|_| Message::Broken("the spool panicked: see above".into()));
            let _ = myself.cast(message);
        }));
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
        match stored::read::<((InputId, Epoch), Spooled)>(&content) {
            Ok(((job, epoch), spooled)) => {
                entries.insert(AttemptId { job, epoch }, spooled);
            }
            Err(error) => {
                tracing::error!(target: "rebuilder", "spool: {name} cannot be read: {error}");
            }
        }
    }
    Ok(entries)
}
