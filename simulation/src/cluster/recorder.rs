//! Reads along, in plain text, what one process sends and receives over the real connections.

use core::net::SocketAddr;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use rebuilder_actors::port::{
    BoxFuture, CloseReason, ConnectError, Connection, FrameReceive, FrameSend, FrameStreams,
    Network, StreamError,
};
use rebuilder_actors::protocol::wire::CloseCode;
use rebuilder_actors::protocol::wire::v1::coordinator::Message as FromCoordinator;
use rebuilder_actors::protocol::wire::v1::upload::{Resume, Start};
use rebuilder_actors::protocol::wire::v1::worker::Message as FromWorker;
use rebuilder_actors::protocol::{AttemptId, PublicKey, wire};

use super::blobs::BlobDisk;
use super::event::ClusterEvent;
use super::world::{Cluster, ProcessScope, lock};
use crate::observation::Observation;

/// Bytes of one log that were received and are not written yet: flow control holds the rest back at
/// the worker.
const HELD_BYTES_MAX: u64 = 4 * (64 << 10);

/// Requests of one connection that are taken in at a time, for a key that may only read.
const REQUESTS_MAX: u64 = 4;

/// What is read along.
pub(super) enum Subject {
    /// The coordinator's: who its workers are, and where their logs go.
    Coordinator(Arc<BTreeMap<PublicKey, usize>>, Arc<Mutex<BlobDisk>>),
    /// A worker's.
    Worker(usize),
}

/// The port of a process, whose frames are recorded.
pub(super) struct RecordedNetwork {
    inner: Arc<dyn Network>,
    recorder: Arc<Recorder>,
}

pub(super) struct Recorder {
    world: Arc<Cluster>,
    scope: Arc<ProcessScope>,
    subject: Subject,
}

impl RecordedNetwork {
    pub(super) fn new(
        inner: Arc<dyn Network>,
        world: &Arc<Cluster>,
        scope: &Arc<ProcessScope>,
        subject: Subject,
    ) -> Self {
        Self {
            inner,
            recorder: Arc::new(Recorder { world: world.clone(), scope: scope.clone(), subject }),
        }
    }

    fn wrap(&self, inner: Box<dyn Connection>) -> Box<dyn Connection> {
        let (streams, asked) = (Arc::default(), Arc::default());
        Box::new(RecordedConnection { inner, recorder: self.recorder.clone(), streams, asked })
    }
}

impl Network for RecordedNetwork {
    fn accept(&self) -> BoxFuture<'_, Option<Box<dyn Connection>>> {
        Box::pin(async move { Some(self.wrap(self.inner.accept().await?)) })
    }

    fn connect<'a>(
        &'a self,
        address: &'a str,
        expect: Option<PublicKey>,
    ) -> BoxFuture<'a, Result<Box<dyn Connection>, ConnectError>> {
        Box::pin(async move { Ok(self.wrap(self.inner.connect(address, expect).await?)) })
    }

    fn local_address(&self) -> Option<SocketAddr> {
        self.inner.local_address()
    }

    fn close(&self, reason: CloseReason) -> BoxFuture<'_, ()> {
        self.inner.close(reason)
    }
}

/// A connection that is read along.
struct RecordedConnection {
    inner: Box<dyn Connection>,
    recorder: Arc<Recorder>,
    /// Streams so far; the first one is the control stream.
    streams: Arc<AtomicU32>,
    /// Requests that are under way, of a peer that is no worker.
    asked: Arc<AtomicU64>,
}

impl RecordedConnection {
    fn streams(&self, (send, receive): FrameStreams) -> FrameStreams {
        let first = self.streams.fetch_add(1, Ordering::Relaxed) == 0;
        let peer = self.inner.peer();
        let stream = match &self.recorder.subject {
            Subject::Worker(worker) if first => Stream::WorkerControl(*worker),
            Subject::Coordinator(workers, _) => match workers.get(&peer) {
                Some(worker) if first => Stream::CoordinatorControl(*worker),
                Some(_) => Stream::Upload(Mutex::default()),
                None if first => return (send, receive),
                None => return self.asked(send, receive),
            },
            Subject::Worker(_) => return (send, receive),
        };
        let recorder = Arc::new(StreamRecorder {
            recorder: self.recorder.clone(),
            stream,
            sent: AtomicU32::new(0),
        });
        (
            Box::new(Sender { inner: send, recorder: recorder.clone() }),
            Box::new(Receiver { inner: receive, recorder }),
        )
    }
}

impl RecordedConnection {
    /// A request begins to be taken in; it is under way until both directions are gone.
    fn asked(&self, send: Box<dyn FrameSend>, receive: Box<dyn FrameReceive>) -> FrameStreams {
        let under_way = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        self.recorder.world.hold("requests of one connection", under_way, REQUESTS_MAX);
        let asked = Arc::new(Asked(self.asked.clone()));
        let answer = Answer { inner: send, _asked: asked.clone() };
        (Box::new(answer), Box::new(Question { inner: receive, _asked: asked }))
    }
}

/// One request under way.
struct Asked(Arc<AtomicU64>);

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Answer {
    inner: Box<dyn FrameSend>,
    _asked: Arc<Asked>,
}

impl FrameSend for Answer {
    fn send(&mut self, frame: Bytes) -> BoxFuture<'_, Result<(), StreamError>> {
        self.inner.send(frame)
    }

    fn stopped(&self) -> BoxFuture<'static, ()> {
        self.inner.stopped()
    }

    fn finish(&mut self) -> Result<(), StreamError> {
        self.inner.finish()
    }
}

struct Question {
    inner: Box<dyn FrameReceive>,
    _asked: Arc<Asked>,
}

impl FrameReceive for Question {
    fn receive(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, StreamError>> {
        self.inner.receive()
    }

    fn set_limit(&mut self, limit: usize) {
        self.inner.set_limit(limit);
    }
}

impl Connection for RecordedConnection {
    fn clone_handle(&self) -> Box<dyn Connection> {
        let (inner, recorder) = (self.inner.clone_handle(), self.recorder.clone());
        Box::new(Self { inner, recorder, streams: self.streams.clone(), asked: self.asked.clone() })
    }

    fn peer(&self) -> PublicKey {
        self.inner.peer()
    }

    fn remote_address(&self) -> SocketAddr {
        self.inner.remote_address()
    }

    fn exporter(&self, label: &[u8], context: &[u8]) -> [u8; 32] {
        self.inner.exporter(label, context)
    }

    fn open(&self, limit: usize) -> BoxFuture<'_, Result<FrameStreams, StreamError>> {
        Box::pin(async move { Ok(self.streams(self.inner.open(limit).await?)) })
    }

    fn accept(&self, limit: usize) -> BoxFuture<'_, Result<FrameStreams, StreamError>> {
        Box::pin(async move { Ok(self.streams(self.inner.accept(limit).await?)) })
    }

    fn open_one_way(&self) -> BoxFuture<'_, Result<Box<dyn FrameSend>, StreamError>> {
        self.inner.open_one_way()
    }

    fn accept_one_way(
        &self,
        limit: usize,
    ) -> BoxFuture<'_, Result<Box<dyn FrameReceive>, StreamError>> {
        self.inner.accept_one_way(limit)
    }

    fn widen(&self) {
        self.inner.widen();
    }

    fn alive(&self) -> BoxFuture<'_, ()> {
        self.inner.alive()
    }

    fn close(&self, reason: CloseReason) {
        let Recorder { world, scope, subject } = &*self.recorder;
        world.line(scope.node, || format!("closes a connection: {reason}"));
        if let Subject::Coordinator(workers, _) = subject
            && reason.code == CloseCode::Busy as u32
            && let Some(worker) = workers.get(&self.inner.peer())
            && !scope.is_over()
        {
            world.see(scope.node, &ClusterEvent::TurnedAway(*worker));
        }
        self.inner.close(reason);
    }

    fn closed(&self) -> BoxFuture<'_, CloseReason> {
        self.inner.closed()
    }
}

/// Both directions of one stream.
struct StreamRecorder {
    recorder: Arc<Recorder>,
    stream: Stream,
    /// Frames sent and received so far.
    sent: AtomicU32,
}

enum Stream {
    WorkerControl(usize),
    CoordinatorControl(usize),
    Upload(Mutex<Upload>),
}

#[derive(Default)]
struct Upload {
    /// Whose log; `None`: not known yet, or no log.
    attempt: Option<AttemptId>,
    /// Where what was received ends; `None`: not begun.
    end: Option<u64>,
}

impl StreamRecorder {
    fn sends(&self, frame: &Bytes) {
        let Recorder { world, scope, .. } = &*self.recorder;
        if scope.is_over() {
            return;
        }
        let first = self.sent.fetch_add(1, Ordering::Relaxed) == 0;
        match &self.stream {
            Stream::CoordinatorControl(worker) if !first => {
                let Ok(message) = wire::decode::<FromCoordinator>(frame) else { return };
                world.line(scope.node, || format!("to worker-{worker}: {}", told(&message)));
                match message {
                    FromCoordinator::Assign { assignment, .. } => {
                        world.see(scope.node, &ClusterEvent::AssignLeft(assignment.attempt));
                    }
                    FromCoordinator::Answer { attempt, answer } => {
                        world.see(scope.node, &ClusterEvent::AnswerLeft(attempt, answer));
                    }
                    FromCoordinator::Cancel { .. } | FromCoordinator::LogWanted { .. } => {}
                }
            }
            // The first frame says hello.
            Stream::WorkerControl(worker) if first => {
                world.see(scope.node, &ClusterEvent::Occupied(*worker, Vec::new()));
            }
            Stream::WorkerControl(worker) => {
                let Ok(message) = wire::decode::<FromWorker>(frame) else { return };
                world.line(scope.node, || says(&message));
                if let FromWorker::Status(status) = message {
                    let running = status.running.iter().map(|r| r.attempt).collect();
                    world.see_often(&ClusterEvent::Occupied(*worker, running));
                }
            }
            Stream::Upload(upload) => {
                if let Ok(Resume::From(offset)) = wire::decode(frame) {
                    lock(upload).end.get_or_insert(offset);
                }
            }
            Stream::CoordinatorControl(_) => {}
        }
    }

    fn receives(&self, frame: &Bytes) {
        let Recorder { world, scope, subject } = &*self.recorder;
        if scope.is_over() {
            return;
        }
        match (&self.stream, subject) {
            (Stream::WorkerControl(worker), _) => {
                let worker = *worker;
                // The welcome is no message, and reads as none.
                match wire::decode(frame) {
                    Ok(FromCoordinator::Answer { attempt, answer }) => {
                        world.observe(&Observation::Answered { attempt, worker, answer });
                    }
                    Ok(FromCoordinator::Assign { assignment, .. }) => {
                        let event = ClusterEvent::AssignArrived(worker, assignment.attempt);
                        world.see(scope.node, &event);
                    }
                    _ => {}
                }
            }
            (Stream::Upload(upload), Subject::Coordinator(_, disk)) => {
                let mut upload = lock(upload);
                let (Some(attempt), Some(end)) = (upload.attempt, upload.end.as_mut()) else {
                    if let Ok(Start::Log { attempt }) = wire::decode(frame) {
                        upload.attempt = Some(attempt);
                    }
                    return;
                };
                *end += frame.len() as u64;
                let written = lock(disk).length(&format!("log-{attempt}"));
                if written > 0 && *end > written {
                    let held = *end - written;
                    drop(upload);
                    world.hold("bytes of a log", held, HELD_BYTES_MAX);
                }
            }
            _ => {}
        }
    }
}

fn told(message: &FromCoordinator) -> String {
    match message {
        FromCoordinator::Assign { number, assignment } => {
            format!("assign {} as grant {}", assignment.attempt, number.0)
        }
        FromCoordinator::Cancel { attempt, reason } => format!("cancel {attempt}: {reason}"),
        FromCoordinator::Answer { attempt, answer } => format!("answer {attempt}: {answer:?}"),
        FromCoordinator::LogWanted { attempt, length } => {
            format!("log of {attempt} wanted from {length}")
        }
    }
}

fn says(message: &FromWorker) -> String {
    match message {
        FromWorker::Status(status) => {
            let running = status.running.iter();
            let running: Vec<String> =
                running.map(|r| format!("{} {} {}", r.attempt, r.stage, r.log_bytes)).collect();
            let spooled = status.spooled.iter().map(ToString::to_string);
            let spooled: Vec<String> = spooled.collect();
            format!(
                "status: seen {}, running [{}], spooled [{}]",
                status.seen.0,
                running.join(", "),
                spooled.join(", ")
            )
        }
        FromWorker::Report(report) => format!("report of {}", report.attempt),
        FromWorker::Condition(told) => format!("{told:?}"),
        FromWorker::Capabilities(told) => format!("{told:?}"),
    }
}

struct Sender {
    inner: Box<dyn FrameSend>,
    recorder: Arc<StreamRecorder>,
}

impl FrameSend for Sender {
    fn send(&mut self, frame: Bytes) -> BoxFuture<'_, Result<(), StreamError>> {
        self.recorder.sends(&frame);
        self.inner.send(frame)
    }

    fn stopped(&self) -> BoxFuture<'static, ()> {
        self.inner.stopped()
    }

    fn finish(&mut self) -> Result<(), StreamError> {
        self.inner.finish()
    }
}

struct Receiver {
    inner: Box<dyn FrameReceive>,
    recorder: Arc<StreamRecorder>,
}

impl FrameReceive for Receiver {
    fn receive(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, StreamError>> {
        Box::pin(async move {
            let frame = self.inner.receive().await?;
            if let Some(frame) = &frame {
                self.recorder.receives(frame);
            }
            Ok(frame)
        })
    }

    fn set_limit(&mut self, limit: usize) {
        self.inner.set_limit(limit);
    }
}
