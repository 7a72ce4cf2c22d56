//! Follows what is durable and answers readers: reads never block the queue.

use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::sync::Arc;
use tokio::sync::oneshot;

use super::{queue, store};
use crate::domain::filter::FilterError;
use crate::domain::queue::Fact;
use crate::domain::results::{LogPlace, PackagePage, ReadModel, SyncState};
use crate::protocol::stored::key::table;
use crate::protocol::stored::v1::{DifferenceRecord, ReportRecord};
use crate::protocol::stored::{self, RecordError};
use crate::protocol::wire::v1::ctl::{PackageFilter, PackageStatus, Profile};
use crate::protocol::{BuildId, InputId};

/// To the results.
pub enum Message {
    /// These became durable, in this order.
    Facts(Vec<Fact>),
    /// How a profile's sync goes.
    Sync(Box<str>, SyncState),
    /// A page of artifacts.
    Packages {
        /// Which.
        filter: PackageFilter,
        /// After this job.
        after: Option<InputId>,
        /// About so many rows.
        limit: usize,
        /// The page.
        reply: oneshot::Sender<Result<PackagePage, FilterError>>,
    },
    /// Artifacts by shown status.
    Counts(oneshot::Sender<Vec<(PackageStatus, u32)>>),
    /// All profiles.
    Profiles(oneshot::Sender<Vec<Profile>>),
    /// Where the newest log of a job is.
    Log(InputId, oneshot::Sender<Option<LogPlace>>),
    /// The difference kept for an artifact of a build.
    Difference(BuildId, String, oneshot::Sender<Option<DifferenceRecord>>),
    /// Number of the report that is shown for a job.
    Shown(InputId, oneshot::Sender<Option<u64>>),
}

/// What it is given.
#[derive(Clone)]
pub struct Arguments {
    /// Where reports are kept.
    pub store: ActorRef<store::Message>,
    /// Whom to follow.
    pub queue: ActorRef<queue::Message>,
}

/// The actor.
pub struct ResultsActor;

impl Actor for ResultsActor {
    type Msg = Message;
    type State = ReadModel;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        arguments: Arguments,
    ) -> Result<ReadModel, ActorProcessingErr> {
        // Live facts first, then what is stored: folding one twice changes nothing.
        arguments.queue.cast(queue::Message::Follow(myself.clone()))?;
        arguments.store.cast(store::Message::Read(Box::new(move |store| {
            let mut facts = Vec::new();
            store::scan_table(store, table::REPORT, |key, value| {
                report(key, value).map(|fact| facts.push(fact))
            })?;
            store::scan_table(store, table::DIFFERENCE, |key, value| {
                difference(key, value).map(|fact| facts.push(fact))
            })?;
            let _ = myself.cast(Message::Facts(facts));
            Ok(())
        })))?;
        Ok(ReadModel::default())
    }

    async fn handle(
        &self,
        _myself: ActorRef<Message>,
        message: Message,
        model: &mut ReadModel,
    ) -> Result<(), ActorProcessingErr> {
        // A reader that went away is no error.
        match message {
            Message::Facts(facts) => facts.into_iter().for_each(|fact| model.follow(fact)),
            Message::Sync(profile, state) => model.sync_state(profile, state),
            Message::Packages { filter, after, limit, reply } => {
                let _ = reply.send(model.packages(&filter, after, limit));
            }
            Message::Counts(reply) => drop(reply.send(model.counts())),
            Message::Profiles(reply) => drop(reply.send(model.profiles())),
            Message::Log(job, reply) => drop(reply.send(model.log(job))),
            Message::Difference(build, file, reply) => {
                let _ = reply.send(model.difference(build, &file).cloned());
            }
            Message::Shown(job, reply) => drop(reply.send(model.shown_report(job))),
        }
        Ok(())
    }
}

fn report(key: &[u8], value: &[u8]) -> Result<Fact, RecordError> {
    let sequence = key.get(1..).and_then(|k| k.try_into().ok()).map(u64::from_be_bytes);
    let record: ReportRecord = stored::read(value)?;
    Ok(Fact::Accepted(Arc::new(record), sequence.ok_or_else(malformed)?))
}

fn difference(key: &[u8], value: &[u8]) -> Result<Fact, RecordError> {
    let (build, file) = key.get(1..).and_then(|k| k.split_at_checked(4)).ok_or_else(malformed)?;
    let build = BuildId(i32::from_be_bytes(build.try_into().map_err(|_| malformed())?));
    let file = core::str::from_utf8(file).map_err(|_| malformed())?;
    Ok(Fact::Difference(build, file.into(), stored::read(value)?))
}

fn malformed() -> RecordError {
    RecordError::Malformed("key".into())
}
