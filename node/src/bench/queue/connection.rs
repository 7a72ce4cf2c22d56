//! One worker whose builds take no time of the processor: the real state machine of a worker over a
//! real connection, reports signed for real, the spool in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use rebuilder_actors::domain::report::{self, AttemptReport, LogDigest};
use rebuilder_actors::domain::worker::{Effect, Event, Machine};
use rebuilder_actors::port::Clock as _;
use rebuilder_actors::port::Network as _;
use rebuilder_actors::port::{CloseReason, Connection, FrameReceive, FrameSend, Monotonic};
use rebuilder_actors::protocol::stored::Spooled;
use rebuilder_actors::protocol::wire::v1::coordinator::{Answer, Message as FromCoordinator};
use rebuilder_actors::protocol::wire::v1::worker::Message;
use rebuilder_actors::protocol::wire::{
    self, BootId, CONTROL_FRAME_BYTES_MAX, Hello, Offer, Role, SOFTWARE, VERSION_MAX, VERSION_MIN,
};
use rebuilder_actors::protocol::{
    Assignment, Attempted, Ending, EnvironmentKnowledge, FileDigest, Isolation, Rebuilt, Sha256,
    Sha512, SignerKind, UtcMillis,
};
use rebuilder_transport::{Identity, Limits, system};
use tokio::sync::{Notify, mpsc};

use super::load::Load;
use crate::clock::SystemClock;

/// How far all workers are together.
pub(in super::super) struct Progress {
    left: AtomicUsize,
    done: Notify,
}

impl Progress {
    pub(in super::super) fn new(jobs: usize) -> Self {
        Self { left: AtomicUsize::new(jobs), done: Notify::new() }
    }

    /// It is enough, whatever is left.
    pub(in super::super) fn end(&self) {
        self.left.store(0, Ordering::Release);
        self.done.notify_waiters();
    }

    fn answered(&self) {
        let one_less = |left: usize| left.checked_sub(1);
        let before = self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_less);
        if before == Ok(1) {
            self.done.notify_waiters();
        }
    }

    async fn all(&self) {
        loop {
            let notified = self.done.notified();
            let mut notified = core::pin::pin!(notified);
            notified.as_mut().enable();
            if self.left.load(Ordering::Acquire) == 0 {
                return;
            }
            notified.await;
        }
    }
}

pub(in super::super) struct Worker {
    pub(in super::super) name: String,
    /// What it offers.
    pub(in super::super) backend: &'static str,
    pub(in super::super) identity: Identity,
    pub(in super::super) address: String,
    pub(in super::super) slots: u16,
    pub(in super::super) build: Duration,
    /// Builds take from half to one and a half of that: slots that began together do not stay so.
    pub(in super::super) is_spread: bool,
    /// A slot is free when its report is kept; otherwise when that is answered.
    pub(in super::super) ahead: bool,
    pub(in super::super) progress: std::sync::Arc<Progress>,
}

impl Worker {
    pub(in super::super) async fn run(self) -> Result<Load, String> {
        let text = |e: &dyn core::fmt::Display| format!("worker {}: {e}", self.name);
        let network = system::client(self.identity.clone(), Limits::default());
        let network = network.map_err(|e| text(&e))?;
        let connection = network.connect(&self.address, None).await.map_err(|e| text(&e))?;
        let streams = self.greet(connection.as_ref()).await.map_err(|e| text(&e))?;
        let (sender, receiver) = streams;
        let mut stream = connection.open_one_way().await.map_err(|e| text(&e))?;
        let (reports, mut frames) = mpsc::unbounded_channel();
        // As in a worker: what waits here is in its spool as well.
        let writer = tokio::spawn(async move {
            while let Some(frame) = frames.recv().await {
                if stream.send(frame).await.is_err() {
                    return;
                }
            }
        });
        let (built, builds) = mpsc::unbounded_channel();
        let mut work = Work {
            clock: SystemClock::new(),
            machine: Machine::new(self.slots, BTreeMap::new()),
            sender,
            reports,
            free: VecDeque::new(),
            early: 0,
            taken: 0,
            seen: Load::default(),
            worker: &self,
            built,
        };
        let ended = work.run(receiver, builds).await;
        let text = ended.map_err(|e| text(&e)).map(|()| work.seen);
        writer.abort();
        connection.close(CloseReason { code: 0, text: "measured".into() });
        network.close(CloseReason { code: 0, text: "measured".into() }).await;
        text
    }

    async fn greet(
        &self,
        connection: &dyn Connection,
    ) -> Result<(Box<dyn FrameSend>, Box<dyn FrameReceive>), String> {
        let offer = Offer {
            name: self.name.clone(),
            backends: vec![self.backend.into()],
            architectures: vec!["*".into()],
            tags: Vec::new(),
            slots: self.slots,
        };
        let boot = BootId(*self.identity.public_key().0.first_chunk().expect("32 bytes"));
        let hello = Hello {
            version_min: VERSION_MIN,
            version_max: VERSION_MAX,
            software: SOFTWARE.into(),
            boot,
            role: Role::Worker { offer, enrolment: None },
        };
        let opened = connection.open(CONTROL_FRAME_BYTES_MAX).await;
        let (mut sender, mut receiver) = opened.map_err(|e| e.to_string())?;
        sender.send(wire::encode(&hello)).await.map_err(|e| e.to_string())?;
        receiver.receive().await.map_err(|e| e.to_string())?.ok_or("no welcome")?;
        Ok((sender, receiver))
    }
}

/// A worker at work.
struct Work<'a> {
    clock: SystemClock,
    machine: Machine,
    sender: Box<dyn FrameSend>,
    reports: mpsc::UnboundedSender<Bytes>,
    /// Since when each free slot waits for work, oldest first.
    free: VecDeque<Monotonic>,
    /// Assignments that overtook the answer which frees their slot.
    early: usize,
    /// Slots that were taken at least once.
    taken: usize,
    seen: Load,
    worker: &'a Worker,
    built: mpsc::UnboundedSender<Box<Assignment>>,
}

impl Work<'_> {
    async fn run(
        &mut self,
        mut receiver: Box<dyn FrameReceive>,
        mut builds: mpsc::UnboundedReceiver<Box<Assignment>>,
    ) -> Result<(), String> {
        self.event(Event::Connected).await?;
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        loop {
            let event = tokio::select! {
                biased;
                frame = receiver.receive() => {
                    let frame = frame.map_err(|e| e.to_string())?.ok_or("the stream ended")?;
                    self.received(wire::decode(&frame).map_err(|e| e.to_string())?)
                }
                Some(assignment) = builds.recv() => self.finish(&assignment),
                _ = tick.tick() => Event::Ticked,
                () = self.worker.progress.all() => return Ok(()),
            };
            self.event(event).await?;
        }
    }

    /// Notes what the figures need of a message.
    fn received(&mut self, message: FromCoordinator) -> Event {
        match &message {
            FromCoordinator::Assign { .. } => {
                let now = self.clock.monotonic();
                let since = self.free.pop_front();
                // The first ones fill slots that were never taken.
                if since.is_none() && self.taken == usize::from(self.worker.slots) {
                    self.early += 1;
                    self.seen.waits.push(Duration::ZERO);
                } else {
                    self.taken += usize::from(since.is_none());
                    self.seen.waits.extend(since.map(|since| now.since(since)));
                }
            }
            FromCoordinator::Answer { answer, .. } => {
                match answer {
                    Answer::Accepted => self.seen.accepted += 1,
                    _ => self.seen.failed += 1,
                }
                if !self.worker.ahead {
                    self.freed();
                }
                self.worker.progress.answered();
            }
            FromCoordinator::Cancel { .. } | FromCoordinator::LogWanted { .. } => {
                self.seen.failed += 1;
            }
        }
        Event::Received(message)
    }

    /// A finished build: signed, and kept in memory.
    fn finish(&self, assignment: &Assignment) -> Event {
        let report = reproduced(assignment);
        let signed = report::sign(&report, &assignment.artifacts, None, &self.worker.identity);
        Event::Kept(assignment.attempt, Spooled { signed, log_bytes: 0 })
    }

    async fn event(&mut self, event: Event) -> Result<(), String> {
        let kept = matches!(event, Event::Kept(..));
        // A build without duration needs no status that it began, nor a slot that is held until the
        // answer one that it is kept: what follows says it all.
        let told_later = match &event {
            Event::Received(_) => self.worker.build.is_zero(),
            _ => kept && !self.worker.ahead,
        };
        let effects = self.machine.handle(self.clock.monotonic(), event);
        if kept && self.worker.ahead {
            self.freed();
        }
        for effect in effects {
            match effect {
                Effect::Send(Message::Status(_)) if told_later => {}
                Effect::Send(message) => {
                    let frame = wire::encode(&message);
                    if matches!(message, Message::Report(_)) {
                        let _ = self.reports.send(frame);
                        continue;
                    }
                    self.sender.send(frame).await.map_err(|e| e.to_string())?;
                }
                Effect::Start(assignment) => self.build(assignment),
                Effect::Stop(..) | Effect::Forget(..) | Effect::Upload(_) | Effect::Notice(_) => {}
            }
        }
        Ok(())
    }
}

impl Work<'_> {
    /// A slot is free.
    fn freed(&mut self) {
        if self.early > 0 {
            self.early -= 1;
        } else {
            self.free.push_back(self.clock.monotonic());
        }
    }

    /// Builds: waits as long as it is to take.
    fn build(&self, assignment: Box<Assignment>) {
        let (built, mut build) = (self.built.clone(), self.worker.build);
        if self.worker.is_spread {
            build = build / 2 + build * share(&assignment) / SHARES;
        }
        if build.is_zero() {
            let _ = built.send(assignment);
            return;
        }
        tokio::spawn(async move {
            tokio::time::sleep(build).await;
            let _ = built.send(assignment);
        });
    }
}

const SHARES: u32 = 256;

/// By chance below [`SHARES`], the same for the same job.
fn share(assignment: &Assignment) -> u32 {
    Sha256::of(&assignment.attempt.job.0.to_le_bytes()).0[0].into()
}

/// A report that every file came out as it is published.
fn reproduced(assignment: &Assignment) -> AttemptReport {
    let rebuilt = |artifact: &rebuilder_actors::protocol::Artifact| Rebuilt {
        file: artifact.file.clone(),
        output: artifact.sha256.map(|sha256| FileDigest {
            size: artifact.size.unwrap_or(0),
            sha256,
            sha512: Sha512([0x5a; 64]),
        }),
        published: None,
    };
    AttemptReport {
        attempt: assignment.attempt,
        key: assignment.key.clone(),
        artifact_set: assignment.artifact_set(),
        index: assignment.index,
        index_sha256: assignment.index_sha256,
        attempted: Attempted {
            ending: Ending::Built(assignment.artifacts.iter().map(rebuilt).collect()),
            environment: EnvironmentKnowledge::Suite,
            isolation: Isolation::Full,
            sandbox: None,
            input_sha256: None,
            input_sha512: None,
            source_sha256: assignment.source.as_ref().and_then(|source| source.sha256),
            environment_sha256: Some(Sha256([0x3c; 32])),
            started_at: UtcMillis(1_768_046_400_000),
            finished_at: UtcMillis(1_768_046_400_500),
        },
        log: LogDigest { sha256: Sha256::of(b""), size: 0, truncated: false },
        worker_version: SOFTWARE.into(),
        signer: SignerKind::WorkerKey,
    }
}
