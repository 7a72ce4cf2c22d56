use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rebuilder_actors::domain::queue::Settings;
use rebuilder_actors::protocol::wire::BootId;
use tokio::sync::{Notify, mpsc};

use super::fault::Fault;
use super::judge::Judge;
use super::plan::{Options, Plan};
use super::random::Random;
use super::sight::Sight;
use super::time::{START_MS, ms, now};
use super::trace::Trace;
use crate::core::Observation;

/// Who.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    /// The world itself.
    World,
    /// The coordinator.
    Coordinator,
    /// One worker.
    Worker(usize),
    /// One client of an operator or reader.
    Ctl(usize),
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::World => f.pad("world"),
            Self::Coordinator => f.pad("coordinator"),
            Self::Worker(number) => f.pad(&format!("worker-{number}")),
            Self::Ctl(number) => f.pad(&format!("ctl-{number}")),
        }
    }
}

/// What somebody inside the world asks its director for.
#[derive(Debug)]
pub(super) enum Call {
    /// The power of this node's machine went, in this process of it.
    PowerCut(Node, u32),
    /// This process of a node ended by itself.
    Ended(Node, u32, String),
    /// A property is broken: look.
    Broken,
}

/// What every part of the world shares.
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) options: Options,
    pub(super) settings: Settings,
    zero: tokio::time::Instant,
    trouble: AtomicBool,
    readable: bool,
    book: Mutex<Book>,
    /// Workers' processes that run now.
    processes: Mutex<BTreeMap<usize, BootId>>,
    director: mpsc::UnboundedSender<Call>,
}

struct Book {
    trace: Trace,
    judge: Judge,
    failure: Option<String>,
}

impl World {
    pub(super) fn new(
        plan: &Plan,
        options: Options,
        settings: Settings,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Call>) {
        let (director, calls) = mpsc::unbounded_channel();
        let book = Book { trace: Trace::new(plan.trace), judge: Judge::new(), failure: None };
        let world = Self {
            seed: plan.seed,
            options,
            settings,
            zero: now(),
            trouble: AtomicBool::new(true),
            readable: plan.trace,
            book: Mutex::new(book),
            processes: Mutex::default(),
            director,
        };
        (Arc::new(world), calls)
    }

    /// Virtual time since the world began.
    pub(super) fn age(&self) -> Duration {
        now().duration_since(self.zero)
    }

    /// Start of virtual time.
    pub(super) fn zero(&self) -> tokio::time::Instant {
        self.zero
    }

    /// A stream of chance of its own.
    pub(super) fn random(&self, name: &str) -> Random {
        Random::new(self.seed, name)
    }

    /// True when there is trouble of this kind, now.
    pub(super) fn has(&self, fault: Fault) -> bool {
        self.trouble.load(Ordering::Relaxed) && self.options.has(fault)
    }

    /// True until everything heals.
    pub(super) fn in_trouble(&self) -> bool {
        self.trouble.load(Ordering::Relaxed)
    }

    pub(super) fn heal(&self) {
        self.trouble.store(false, Ordering::Relaxed);
        self.event(Node::World, "everything heals");
    }

    /// True when somebody reads lines.
    pub(super) fn is_readable(&self) -> bool {
        self.readable
    }

    /// Something that happened, for the trace and its number.
    pub(super) fn event(&self, node: Node, text: &str) {
        let at = self.age();
        self.book().trace.event(at, &node, text);
    }

    /// Something for a reader of the trace only.
    pub(super) fn line(&self, node: Node, text: impl FnOnce() -> String) {
        if self.readable {
            let (at, text) = (self.age(), text());
            self.book().trace.line(at, &node, &text);
        }
    }

    pub(super) fn datagram(&self, from: u64, to: u64, bytes: &[u8]) {
        let at = self.age();
        self.book().trace.datagram(at, from, to, bytes);
    }

    /// Shows the checkers what the coordinator's own state says.
    pub(super) fn observe(&self, observation: &Observation) {
        let at = self.age();
        let mut book = self.book();
        let text = format!("{observation:?}");
        book.trace.event(at, &Node::World, &text);
        let broken = book.judge.observe(START_MS + ms(at), &self.settings, observation);
        drop(book);
        self.found(broken);
    }

    /// Shows the cluster's own checkers what only they can see.
    pub(super) fn see(&self, node: Node, sight: &Sight) {
        let at = self.age();
        let mut book = self.book();
        let text = format!("{sight:?}");
        book.trace.event(at, &node, &text);
        let broken = book.judge.see(at, node, sight);
        drop(book);
        self.found(broken);
    }

    fn found(&self, broken: Result<(), String>) {
        if let Err(broken) = broken {
            self.fail(&broken);
        }
    }

    /// A property is broken: the first one counts.
    pub(super) fn fail(&self, what: &str) {
        let at = self.age();
        let mut book = self.book();
        if book.failure.is_none() {
            book.failure = Some(format!("after {:.3} s: {what}", at.as_secs_f64()));
            book.trace.event(at, &Node::World, &format!("BROKEN: {what}"));
        }
        drop(book);
        self.call(Call::Broken);
    }

    pub(super) fn failure(&self) -> Option<String> {
        self.book().failure.clone()
    }

    /// The process of this worker that runs now; `None`: none does.
    pub(super) fn process(&self, worker: usize) -> Option<BootId> {
        lock(&self.processes).get(&worker).copied()
    }

    /// A process of this worker begins, or is gone.
    pub(super) fn set_process(&self, worker: usize, boot: Option<BootId>) {
        let mut processes = lock(&self.processes);
        match boot {
            Some(boot) => processes.insert(worker, boot),
            None => processes.remove(&worker),
        };
    }

    pub(super) fn call(&self, call: Call) {
        // Nobody listens any more once the world ended.
        let _ = self.director.send(call);
    }

    pub(super) fn with_judge<T>(&self, work: impl FnOnce(&mut Judge) -> T) -> T {
        work(&mut self.book().judge)
    }

    pub(super) fn with_trace<T>(&self, work: impl FnOnce(&mut Trace) -> T) -> T {
        work(&mut self.book().trace)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        lock(&self.book)
    }
}

/// Takes a lock over: what it guards is whole between two calls.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One process of a node. When it ends, every seam of it ends at once: nothing that is left of it
/// can write, send, or be seen.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) node: Node,
    /// Which process of the node.
    pub(super) number: u32,
    dead: AtomicBool,
    ended: Notify,
}

impl Life {
    pub(super) fn begin(node: Node, number: u32) -> Arc<Self> {
        Arc::new(Self { node, number, dead: AtomicBool::new(false), ended: Notify::new() })
    }

    pub(super) fn is_over(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    pub(super) fn end(&self) {
        self.dead.store(true, Ordering::Relaxed);
        self.ended.notify_waiters();
    }

    /// Waits until this process is gone.
    pub(super) async fn over(&self) {
        let ended = self.ended.notified();
        let mut ended = core::pin::pin!(ended);
        ended.as_mut().enable();
        if !self.is_over() {
            ended.await;
        }
    }

    /// Runs `work` as long as the process lives; `None`: it ended first.
    pub(super) async fn run<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut over = core::pin::pin!(self.over());
        let mut work = core::pin::pin!(work);
        core::future::poll_fn(|cx| {
            if over.as_mut().poll(cx).is_ready() {
                return core::task::Poll::Ready(None);
            }
            work.as_mut().poll(cx).map(Some)
        })
        .await
    }
}
