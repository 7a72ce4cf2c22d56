//! Follows what is durable and answers readers: reads never block the queue. Each answer is a page
//! that costs about a millisecond, whatever was asked for, so that no reader blocks another for
//! longer.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;

use super::feed::{Facts, Now};
use super::{queue, store};
use crate::actor::derived::accepts;
use crate::domain::filter::FilterError;
use crate::domain::queue::{Fact, Moment};
use crate::domain::results::{
    FaultPage, JobPage, LogPlace, PackagePage, QueuePage, QueuePosition, ReadModel, SyncState,
};
use crate::port::{Clock, Monotonic};
use crate::protocol::stored::{DifferenceRecord, ReportRecord};
use crate::protocol::wire::v1::ctl::{PackageFilter, Profile, Status, Trouble};
use crate::protocol::{AttemptId, BuildId, InputId};

/// To the results.
pub enum Message {
    /// What became durable.
    Facts(Facts),
    /// How a profile's sync goes.
    Sync(Box<str>, SyncState),
    /// A page of artifacts.
    Packages {
        /// Which; any of them.
        filters: Arc<[PackageFilter]>,
        /// After this job.
        after: Option<InputId>,
        /// About so many rows.
        limit: usize,
        /// The page.
        reply: oneshot::Sender<Result<PackagePage, FilterError>>,
    },
    /// A page of jobs.
    Jobs {
        /// Which; any of them.
        filters: Arc<[PackageFilter]>,
        /// After this job.
        after: Option<InputId>,
        /// The page, or the part of the filter that means nothing.
        reply: oneshot::Sender<Result<JobPage, FilterError>>,
    },
    /// How the workers are, as of a moment that is not older than asked for.
    Moment {
        /// Zero: not before now.
        age_max: Duration,
        /// Shared by all who ask within that time.
        reply: oneshot::Sender<Arc<Moment>>,
    },
    /// The queue's answer: how the workers are now.
    Now(Now),
    /// How the coordinator is, with what its workers told at that moment.
    Status(Arc<Moment>, oneshot::Sender<Status>),
    /// A page of the queue.
    Queue {
        /// Also those that are not due, and parked ones.
        planned: bool,
        /// Behind this place.
        after: Option<QueuePosition>,
        /// At most so many rows.
        limit: usize,
        /// The page.
        reply: oneshot::Sender<QueuePage>,
    },
    /// A page of jobs whose last attempts ended in faults.
    Faults {
        /// The jobs that are told of.
        filter: PackageFilter,
        /// After this job.
        after: Option<InputId>,
        /// The page.
        reply: oneshot::Sender<Result<FaultPage, FilterError>>,
    },
    /// What is wrong with profiles.
    Troubles(oneshot::Sender<Vec<Trouble>>),
    /// All profiles.
    Profiles(oneshot::Sender<Vec<Profile>>),
    /// Where the newest log of a job is.
    Log(InputId, oneshot::Sender<Option<LogPlace>>),
    /// Answered when the place of a job changes, or an attempt at it is reported.
    Watch(InputId, oneshot::Sender<()>),
    /// How an attempt ended, in one line.
    Ending(AttemptId, oneshot::Sender<Option<String>>),
    /// The accepted reports of a job that are listed: their numbers, newest first.
    History(InputId, oneshot::Sender<Vec<u64>>),
    /// The difference kept for an artifact of a build.
    Difference(BuildId, String, oneshot::Sender<Option<DifferenceRecord>>),
    /// Number of the report that is shown for a job.
    Shown(InputId, oneshot::Sender<Option<u64>>),
}

accepts!(Message, Facts, Facts);
accepts!(Message, Now, Now);

/// What it is given.
#[derive(Clone)]
pub struct Arguments {
    /// Where reports are kept.
    pub store: ActorRef<store::Message>,
    /// Whom to follow.
    pub queue: ActorRef<queue::Message>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// The seed by which the queue shuffles.
    pub seed: u64,
}

/// What readers are shown, and what the queue was asked for.
pub struct State {
    model: ReadModel,
    arguments: Arguments,
    /// The newest one, and when it came.
    moment: Option<(Monotonic, Arc<Moment>)>,
    /// Who waits for the next one. The queue was asked once for all of them, so nothing waits in
    /// its mailbox but that one message.
    waiting: Vec<oneshot::Sender<Arc<Moment>>>,
    /// Readers that follow a log: one for each job that a stream of theirs is about.
    watchers: BTreeMap<InputId, Vec<oneshot::Sender<()>>>,
}

/// Facts that are folded in before others have their turn.
const FACTS_MAX: usize = 1_000;

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
        // Live facts first, then what is stored: folding one twice changes nothing.
        arguments.queue.cast(queue::Message::Follow(myself.get_derived()))?;
        arguments.store.cast(store::Message::Read(Box::new(move |store| {
            let mut facts = Vec::new();
            store::scan_records(store, |sequence, report: ReportRecord| {
                facts.push(Fact::Accepted(Arc::new(report), sequence));
            })?;
            store::scan_records(store, |(build, file), difference: DifferenceRecord| {
                facts.push(Fact::Difference(build, file, difference));
            })?;
            let _ = myself.cast(Message::Facts(Facts(facts)));
            Ok(())
        })))?;
        let model = ReadModel::new(arguments.seed);
        Ok(State { model, arguments, moment: None, waiting: Vec::new(), watchers: BTreeMap::new() })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let now = state.arguments.clock.utc();
        let model = &mut state.model;
        // A reader that went away is no error.
        match message {
            Message::Facts(Facts(facts)) => {
                let mut moved = BTreeSet::new();
                for (number, fact) in facts.into_iter().enumerate() {
                    if number % FACTS_MAX == FACTS_MAX - 1 {
                        tokio::task::yield_now().await;
                    }
                    let job = match &fact {
                        Fact::Placed(job, _) => Some(*job),
                        Fact::Accepted(record, _) => Some(record.attempt.job),
                        _ => None,
                    };
                    moved.extend(job.filter(|job| state.watchers.contains_key(job)));
                    model.follow(fact);
                }
                // Only when all of them are folded in: a report and the place that follows from it
                // come together.
                for watcher in moved.iter().filter_map(|job| state.watchers.remove(job)).flatten() {
                    let _ = watcher.send(());
                }
            }
            Message::Sync(profile, sync) => model.sync_state(profile, sync),
            Message::Packages { filters, after, limit, reply } => {
                let _ = reply.send(model.packages(&filters, after, limit));
                // A page is a millisecond of work: others are not to wait for several.
                tokio::task::yield_now().await;
            }
            Message::Jobs { filters, after, reply } => {
                let _ = reply.send(model.matching_jobs(&filters, after));
                tokio::task::yield_now().await;
            }
            Message::Moment { age_max, reply } => state.moment(&myself, age_max, reply)?,
            Message::Now(Now(moment)) => state.now_is(Arc::new(*moment)),
            Message::Status(moment, reply) => drop(reply.send(model.status(now, &moment))),
            Message::Queue { planned, after, limit, reply } => {
                let _ = reply.send(model.queue(now, planned, after, limit));
                tokio::task::yield_now().await;
            }
            Message::Faults { filter, after, reply } => {
                let _ = reply.send(model.faults(&filter, after));
                tokio::task::yield_now().await;
            }
            Message::Troubles(reply) => drop(reply.send(model.troubles())),
            Message::Profiles(reply) => drop(reply.send(model.profiles())),
            Message::Log(job, reply) => drop(reply.send(model.log(job, now))),
            Message::Watch(job, reply) => {
                let watchers = state.watchers.entry(job).or_default();
                watchers.retain(|watcher| !watcher.is_closed());
                watchers.push(reply);
            }
            Message::Ending(attempt, reply) => drop(reply.send(model.ending(attempt))),
            Message::History(job, reply) => drop(reply.send(model.history(job))),
            Message::Difference(build, file, reply) => {
                let _ = reply.send(model.difference(build, &file).cloned());
            }
            Message::Shown(job, reply) => drop(reply.send(model.shown_report(job))),
        }
        Ok(())
    }
}

impl State {
    fn moment(
        &mut self,
        me: &ActorRef<Message>,
        age_max: Duration,
        reply: oneshot::Sender<Arc<Moment>>,
    ) -> Result<(), ActorProcessingErr> {
        let now = self.arguments.clock.monotonic();
        if let Some((at, moment)) = &self.moment
            && now.since(*at) < age_max
        {
            let _ = reply.send(moment.clone());
            return Ok(());
        }
        self.waiting.retain(|waiting| !waiting.is_closed());
        let asked = !self.waiting.is_empty();
        self.waiting.push(reply);
        // Whoever joins a question under way is answered with what is true after it asked: the
        // queue sends its answer here before that of any later order.
        if !asked {
            self.arguments.queue.cast(queue::Message::Moment(me.get_derived()))?;
        }
        Ok(())
    }

    fn now_is(&mut self, moment: Arc<Moment>) {
        for waiting in self.waiting.drain(..) {
            let _ = waiting.send(moment.clone());
        }
        self.moment = Some((self.arguments.clock.monotonic(), moment));
    }
}
