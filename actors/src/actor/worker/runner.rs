//! One attempt: build, sign, spool; then its differences.

use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::log::{self, Log, Logs};
use super::{link, spool, upload};
use crate::actor::catch_panic::catch_panic;
use crate::domain::report::{self, AttemptReport, Judgement};
use crate::domain::worker::Event;
use crate::port::{Backend, BlobError, BoxFuture, Difference, Progress, Signer};
use crate::protocol::stored::Spooled;
use crate::protocol::wire::SOFTWARE;
use crate::protocol::{
    Assignment, AttemptId, Attempted, Ending, Fault, FaultKind, SignerKind, Stage, Verdict,
};

/// To a runner.
pub enum Message {
    /// End the attempt, without a report.
    Stop,
    /// The backend is done.
    Attempted(Box<Attempted>),
    /// The backend panicked.
    Panicked(String),
    /// Try again to keep the report.
    Keep(Box<Spooled>),
    /// The report is durable in the spool, or the spool failed.
    Kept(Box<Spooled>, Result<(), String>),
    /// The report had its final answer; true: it was accepted.
    Answered(bool),
    /// Nothing is left to do.
    Done,
}

/// What every runner is given.
#[derive(Clone)]
pub struct Shared {
    /// Rebuilds.
    pub backend: Arc<dyn Backend>,
    /// The worker's key.
    pub signer: Arc<dyn Signer>,
    /// Where reports are kept.
    pub spool: ActorRef<spool::Message>,
    /// Whom to tell.
    pub link: ActorRef<link::Message>,
    /// Bytes of one log that this worker keeps.
    pub log_bytes_max: u64,
    /// One difference at a time: it must not take the machine from builds.
    pub differences: Arc<Semaphore>,
    pub(super) logs: Logs,
}

/// What one runner is given.
pub struct Arguments {
    /// What to do.
    pub assignment: Box<Assignment>,
    /// What every runner is given.
    pub shared: Shared,
}

/// Wait before the spool is asked again to keep a report.
const KEEP_AGAIN: core::time::Duration = core::time::Duration::from_secs(10);

/// The actor.
pub struct RunnerActor;

/// One attempt.
pub struct State {
    assignment: Arc<Assignment>,
    shared: Shared,
    log: Arc<Log>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    answered: Option<oneshot::Sender<bool>>,
    wait_answer: Option<oneshot::Receiver<bool>>,
}

impl Actor for RunnerActor {
    type Msg = Message;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let Arguments { assignment, shared } = arguments;
        let attempt = assignment.attempt;
        let max = shared.log_bytes_max.min(assignment.limits.log_bytes_max);
        let log = Arc::new(Log::begin(attempt, shared.logs.clone(), max));
        shared.link.cast(link::Message::Log(attempt, log.clone()))?;
        let stop = CancellationToken::new();
        let progress =
            Follow { attempt, log: log.clone(), link: shared.link.clone(), stop: stop.clone() };
        let assignment: Arc<Assignment> = Arc::from(assignment);
        let mut tasks = JoinSet::new();
        let (work, backend) = (assignment.clone(), shared.backend.clone());
        tasks.spawn(async move {
            let message = match catch_panic(backend.attempt(&work, &progress)).await {
                Ok(attempted) => Message::Attempted(Box::new(attempted)),
                Err(panicked) => Message::Panicked(panicked.to_string()),
            };
            let _ = myself.cast(message);
        });
        let (answered, wait_answer) = oneshot::channel();
        let (answered, wait_answer) = (Some(answered), Some(wait_answer));
        Ok(State { assignment, shared, log, stop, tasks, answered, wait_answer })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Stop => state.stop.cancel(),
            Message::Panicked(reason) => {
                tracing::error!(target: "rebuilder", "the backend: {reason}");
                state.end_without_report(&myself)?;
            }
            Message::Keep(spooled) => state.keep(&myself, spooled)?,
            Message::Attempted(attempted) => state.attempted(&myself, *attempted)?,
            Message::Kept(spooled, result) => state.kept(&myself, *spooled, result)?,
            Message::Answered(accepted) => {
                if let Some(answered) = state.answered.take() {
                    let _ = answered.send(accepted);
                }
            }
            Message::Done => myself.stop(None),
        }
        Ok(())
    }
}

impl State {
    /// Signs what was found out and gives it to the spool; nothing is reported of a stopped
    /// attempt.
    fn attempted(
        &mut self,
        myself: &ActorRef<Message>,
        mut attempted: Attempted,
    ) -> Result<(), ActorProcessingErr> {
        let attempt = self.assignment.attempt;
        if self.stop.is_cancelled() {
            return self.end_without_report(myself);
        }
        let event = Event::StageEntered(attempt, Stage::Sign);
        self.shared.link.cast(link::Message::Event(event))?;
        let (log, failed) = self.log.finish();
        if let Some(error) = failed {
            // What cannot be shown is not claimed: a full disk here says nothing about the package.
            let full = matches!(error, BlobError::Full { .. });
            let kind = if full { FaultKind::DiskFull } else { FaultKind::WorkerFailed };
            let detail = format!("the log could not be written: {error}");
            attempted.ending = Ending::Fault(Fault { kind, detail });
        }
        let report = AttemptReport {
            attempt,
            key: self.assignment.key.clone(),
            artifact_set: self.assignment.artifact_set(),
            index: self.assignment.index,
            index_sha256: self.assignment.index_sha256,
            attempted,
            log,
            worker_version: SOFTWARE.into(),
            signer: SignerKind::WorkerKey,
        };
        let input =
            Some(&*self.assignment.key.input).filter(|_| report.attempted.input_sha256.is_some());
        let artifacts = &self.assignment.artifacts;
        let signed = report::sign(&report, artifacts, input, self.shared.signer.as_ref());
        self.explain(myself, &report);
        self.keep(myself, Box::new(Spooled { signed, log_bytes: report.log.size }))
    }

    fn keep(
        &mut self,
        myself: &ActorRef<Message>,
        spooled: Box<Spooled>,
    ) -> Result<(), ActorProcessingErr> {
        let attempt = self.assignment.attempt;
        let (me, kept) = (myself.clone(), spooled.clone());
        let done: spool::Done = Box::new(move |result| {
            let result = result.map_err(|error| error.to_string());
            let _ = me.cast(Message::Kept(kept, result));
        });
        Ok(self.shared.spool.cast(spool::Message::Keep(attempt, spooled, done))?)
    }

    fn kept(
        &mut self,
        myself: &ActorRef<Message>,
        spooled: Spooled,
        result: Result<(), String>,
    ) -> Result<(), ActorProcessingErr> {
        match result {
            Ok(()) => {
                let event = Event::Kept(self.assignment.attempt, spooled);
                Ok(self.shared.link.cast(link::Message::Event(event))?)
            }
            Err(error) => {
                // A signed report is not thrown away: again, until there is room.
                tracing::error!(target: "rebuilder", "{error}; again in 10 s");
                let spooled = Box::new(spooled);
                myself.send_after(KEEP_AGAIN, move || Message::Keep(spooled));
                Ok(())
            }
        }
    }

    /// The status that follows tells the coordinator that the attempt is gone.
    fn end_without_report(&mut self, myself: &ActorRef<Message>) -> Result<(), ActorProcessingErr> {
        let attempt = self.assignment.attempt;
        let _ = self.log.finish();
        if let Err(error) = log::with(&self.shared.logs, |logs| logs.discard(&log::part(attempt))) {
            tracing::warn!(target: "rebuilder", "{error}");
        }
        let (shared, me) = (self.shared.clone(), myself.clone());
        self.tasks.spawn(async move {
            shared.backend.release(attempt).await;
            let _ = shared.link.cast(link::Message::Event(Event::Ended(attempt)));
            let _ = me.cast(Message::Done);
        });
        Ok(())
    }

    /// Explains what differs, when the verdict is signed, and sends it once the report is accepted.
    fn explain(&mut self, myself: &ActorRef<Message>, report: &AttemptReport) {
        let differing: Vec<String> = match report::judge(report, &self.assignment.artifacts) {
            Ok(Judgement::Verdicts(verdicts)) => {
                let rows = verdicts.into_iter().filter(|(_, v)| *v == Verdict::Differs);
                rows.map(|(file, _)| file.into()).collect()
            }
            _ => Vec::new(),
        };
        let explain = Explain {
            attempt: self.assignment.attempt,
            shared: self.shared.clone(),
            stop: self.stop.clone(),
        };
        let (me, wait) = (myself.clone(), self.wait_answer.take());
        self.tasks.spawn(async move {
            if let Err(panicked) = catch_panic(explain.run(differing, wait)).await {
                tracing::error!(target: "rebuilder", "a difference: {panicked}");
            }
            explain.shared.backend.release(explain.attempt).await;
            let _ = me.cast(Message::Done);
        });
    }
}

/// The work after the verdict.
struct Explain {
    attempt: AttemptId,
    shared: Shared,
    stop: CancellationToken,
}

impl Explain {
    async fn run(&self, differing: Vec<String>, wait: Option<oneshot::Receiver<bool>>) {
        let mut found: Vec<(String, Difference)> = Vec::new();
        for file in differing {
            let Ok(_turn) = self.shared.differences.acquire().await else { return };
            let quiet = Quiet { stop: self.stop.clone() };
            let difference = self.shared.backend.difference(self.attempt, &file, &quiet).await;
            found.extend(difference.map(|difference| (file, difference)));
        }
        let Some(wait) = wait else { return };
        if wait.await != Ok(true) {
            return;
        }
        for (file, difference) in found {
            let (reply, connection) = oneshot::channel();
            let _ = self.shared.link.cast(link::Message::Connection(reply));
            let Ok(Some(connection)) = connection.await else { return };
            let connection = connection.as_ref();
            if let Err(error) =
                upload::difference(connection, self.attempt, &file, &difference).await
            {
                tracing::warn!(target: "rebuilder", "difference of {file} not sent: {error}");
            }
        }
    }
}

/// What the backend tells while it works.
struct Follow {
    attempt: AttemptId,
    log: Arc<Log>,
    link: ActorRef<link::Message>,
    stop: CancellationToken,
}

impl Progress for Follow {
    fn stage(&self, stage: Stage) {
        let _ = self.link.cast(link::Message::Event(Event::StageEntered(self.attempt, stage)));
    }

    fn log(&self, bytes: &[u8]) {
        self.log.push(bytes);
    }

    fn is_cancelled(&self) -> bool {
        self.stop.is_cancelled()
    }

    fn cancelled(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.stop.cancelled())
    }
}

/// For what runs after the log is closed.
struct Quiet {
    stop: CancellationToken,
}

impl Progress for Quiet {
    fn stage(&self, _stage: Stage) {}

    fn log(&self, _bytes: &[u8]) {}

    fn is_cancelled(&self) -> bool {
        self.stop.is_cancelled()
    }

    fn cancelled(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.stop.cancelled())
    }
}
