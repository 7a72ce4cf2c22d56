//! Follows what is durable and folds it into what readers look at (`views`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;

use super::feed::Facts;
use super::views::Fold;
use super::{queue, store};
use crate::actor::derived::accepts;
use crate::domain::queue::Fact;
use crate::domain::results::SyncState;
use crate::port::{Blocking, StoreError, StoreRead, StoreReader};
use crate::protocol::InputId;
use crate::protocol::stored::{DifferenceRecord, ReportRecord};

/// To the results.
pub enum Message {
    /// What became durable.
    Facts(Facts),
    /// What the store holds of reports, or why that cannot be read.
    Stored(Result<Vec<Fact>, String>),
    /// How a profile's sync goes.
    Sync(Box<str>, SyncState),
    /// Answered when the place of a job changes, or an attempt at it is reported.
    Watch(InputId, oneshot::Sender<()>),
}

accepts!(Message, Facts, Facts);

/// What it is given.
#[derive(Clone)]
pub struct Arguments {
    /// Reads what is kept of reports.
    pub reader: StoreReader,
    /// Where that may block.
    pub blocking: Arc<dyn Blocking>,
    /// Whom to follow.
    pub queue: ActorRef<queue::Message>,
    /// What readers look at.
    pub fold: Fold,
}

/// What is followed.
pub struct State {
    arguments: Arguments,
    /// True once all that the queue knew came.
    has_all: bool,
    /// True once the store's reports came.
    has_stored: bool,
    /// Of the newest facts.
    number: u64,
    /// Readers that follow a log: one for each job that a stream of theirs is about.
    watchers: BTreeMap<InputId, Vec<oneshot::Sender<()>>>,
}

/// Facts that are folded in before those who look have their turn.
const FACTS_MAX: usize = 200;

/// The actor.
pub struct ResultsActor;

impl Actor for ResultsActor {
    type Msg = Message;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        arguments.queue.cast(queue::Message::Follow(myself.get_derived()))?;
        Ok(State {
            arguments,
            has_all: false,
            has_stored: false,
            number: 0,
            watchers: BTreeMap::new(),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Facts(Facts { facts, number, is_all }) => {
                if is_all && !state.has_all {
                    // Only now, when every later fact comes: what was durable before is stored, and
                    // a fact that comes both ways changes nothing the second time.
                    state.read_stored(myself);
                }
                let moved = state.watched(&facts);
                state.fold(facts).await;
                state.number = state.number.max(number);
                state.has_all |= is_all;
                state.caught_up();
                // Only when all of them can be looked at: a report and the place that follows from
                // it come together.
                for watcher in moved.iter().filter_map(|job| state.watchers.remove(job)).flatten() {
                    let _ = watcher.send(());
                }
            }
            Message::Stored(facts) => {
                state.fold(facts?).await;
                state.has_stored = true;
                state.caught_up();
            }
            Message::Sync(profile, sync) => {
                state.arguments.fold.change(|model| model.sync_state(profile, sync));
            }
            Message::Watch(job, reply) => {
                let watchers = state.watchers.entry(job).or_default();
                watchers.retain(|watcher| !watcher.is_closed());
                watchers.push(reply);
            }
        }
        Ok(())
    }
}

/// Reports, and the differences of their builds.
fn stored(store: &dyn StoreRead) -> Result<Vec<Fact>, StoreError> {
    let mut facts = Vec::new();
    store::scan_records(store, |sequence, report: ReportRecord| {
        facts.push(Fact::Accepted(Arc::new(report), sequence));
    })?;
    store::scan_records(store, |(build, file), difference: DifferenceRecord| {
        facts.push(Fact::Difference(build, file, difference));
    })?;
    Ok(facts)
}

impl State {
    /// Reads what is stored beside the store's owner, where uploads and reports have begun already.
    fn read_stored(&self, myself: ActorRef<Message>) {
        let (reply, answer) = oneshot::channel();
        let reader = self.arguments.reader.clone();
        self.arguments.blocking.run(Box::new(move || {
            let _ = reply.send(stored(&*reader));
        }));
        tokio::spawn(async move {
            let facts = match answer.await {
                Ok(facts) => facts.map_err(|error| error.to_string()),
                Err(_) => Err("reading the stored reports panicked".to_owned()),
            };
            let _ = myself.cast(Message::Stored(facts));
        });
    }

    /// Jobs that somebody watches and of which one of these tells.
    fn watched(&self, facts: &[Fact]) -> BTreeSet<InputId> {
        let jobs = facts.iter().filter_map(|fact| match fact {
            Fact::Placed(job, _) => Some(*job),
            Fact::Accepted(record, _) => Some(record.attempt.job),
            _ => None,
        });
        jobs.filter(|job| self.watchers.contains_key(job)).collect()
    }

    async fn fold(&mut self, facts: Vec<Fact>) {
        let mut facts = facts.into_iter().peekable();
        while facts.peek().is_some() {
            self.arguments.fold.change(|model| {
                facts.by_ref().take(FACTS_MAX).for_each(|fact| model.follow(fact));
            });
            tokio::task::yield_now().await;
        }
    }

    /// Reports come from the store, all else from the queue: before both were there, a reader would
    /// take for unbuilt what was built.
    fn caught_up(&self) {
        if self.has_all && self.has_stored {
            self.arguments.fold.caught_up(self.number);
        }
    }
}
