use core::time::Duration;
use std::sync::Arc;

use super::entry::Job;
use super::event::{RequestId, SessionId};
use super::told::{Progress, Pulse, WorkerTold};
use crate::port::Batch;
use crate::protocol::stored::{DifferenceRecord, ProfileRecord, ReportRecord, StoredPlace};
use crate::protocol::wire::CloseCode;
use crate::protocol::wire::v1::coordinator::Message;
use crate::protocol::wire::v1::ctl::Response;
use crate::protocol::{
    AttemptId, BuildId, Epoch, Fault, InputId, PublicKey, Sha256, UtcMillis, WorkerId,
};

/// What an event leads to. Nothing but `batch` may happen before `batch` is durable.
#[derive(Debug, Default)]
pub struct Effects {
    /// Writes, atomic.
    pub batch: Batch,
    /// What leaves the actor.
    pub sends: Vec<Send>,
    /// What readers follow.
    pub facts: Vec<Fact>,
    /// What the terminal shows.
    pub notices: Vec<Notice>,
}

impl Effects {
    /// True when there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.batch.is_empty()
            && self.sends.is_empty()
            && self.facts.is_empty()
            && self.notices.is_empty()
    }
}

/// What leaves the actor.
#[derive(Clone, Debug, PartialEq)]
pub enum Send {
    /// A message to a worker.
    Worker(SessionId, Message),
    /// Let a worker in.
    Admit {
        /// Its connection.
        session: SessionId,
        /// The coordinator's own proof, where an enrolment was asked for.
        proof: Option<Sha256>,
    },
    /// Close a worker's connection.
    Close {
        /// Which.
        session: SessionId,
        /// For programs.
        code: CloseCode,
        /// For people.
        reason: String,
    },
    /// A key may not work any more: whatever knows keys by their standing forgets it.
    Revoked(PublicKey),
    /// Ask the peer of a worker's connection for a sign of life;
    /// [`Event::Probed`](super::Event::Probed) follows, or the connection ends.
    Probe {
        /// Which.
        session: SessionId,
        /// Time for the answer.
        within: Duration,
    },
    /// Answer to an upload: the build that a difference belongs to, or why not.
    Upload(RequestId, Result<Option<BuildId>, String>),
    /// Answer to ctl.
    Reply(RequestId, Vec<Response>),
}

/// What readers follow.
#[derive(Clone, Debug)]
pub enum Fact {
    /// A job is new, or wanted otherwise than before.
    Job(Arc<Job>),
    /// A job moved.
    Placed(InputId, Stand),
    /// A report was accepted.
    Accepted(Arc<ReportRecord>, u64),
    /// A difference is kept.
    Difference(BuildId, Box<str>, DifferenceRecord),
    /// A profile was synced.
    Synced(Box<str>, ProfileRecord),
    /// A worker is new, or otherwise than before.
    Worker(Box<WorkerTold>),
    /// A worker gave a sign of life.
    Pulse(WorkerId, Pulse),
    /// A running attempt went on.
    Progress(AttemptId, Progress),
}

/// Where a job is, with all that a row of the queue shows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stand {
    /// As stored.
    pub place: StoredPlace,
    /// Number of the newest attempt; 0: there was none.
    pub epoch: Epoch,
    /// Faults in a row, of the attempts since the last verdict.
    pub faults: u32,
    /// The last of these; `None`: there is none, or it was before the coordinator's start, and an
    /// accepted report may tell of it.
    pub fault: Option<Arc<Fault>>,
}

impl Stand {
    /// Where the job is, without the times.
    pub fn job_place(&self) -> JobPlace {
        match &self.place {
            StoredPlace::Queued { .. } => JobPlace::Waiting,
            StoredPlace::Leased { .. } => JobPlace::Running(self.epoch.0),
            StoredPlace::Parked { fault, .. } => JobPlace::Parked(fault.clone()),
            StoredPlace::Decided => JobPlace::Decided,
            StoredPlace::Dropped => JobPlace::Dropped,
        }
    }
}

/// Where a job is, as readers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobPlace {
    /// In the queue, due or not.
    Waiting,
    /// With a worker, with this attempt's number.
    Running(u32),
    /// Not tried until something changes.
    Parked(Fault),
    /// Nothing more to do.
    Decided,
    /// Taken out by an operator.
    Dropped,
}

/// One state change, for the terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// When.
    pub at: UtcMillis,
    /// True when somebody should look.
    pub warning: bool,
    /// Readable by a person.
    pub text: String,
    /// The worker whose report is refused: it can send as many as it likes, so such notices are
    /// counted. `None`: the line stands for itself.
    pub refused: Option<PublicKey>,
}
