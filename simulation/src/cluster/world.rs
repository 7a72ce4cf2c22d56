use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rebuilder_actors::domain::queue::Settings;
use rebuilder_actors::protocol::wire::BootId;
use rebuilder_actors::protocol::{Sha256, UtcMillis};
use tokio::sync::{Notify, mpsc};

use super::datagrams::Datagrams;
use super::event::ClusterEvent;
use super::options::Options;
use super::property::{self, Property};
use super::random_stream::RandomStream;
use super::time::{ms, now};
use super::trouble::Trouble;
use crate::observation::{End, Observation};
use crate::plan::{Failure, Plan};
use crate::witness::Witness;

/// Who.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    /// The world itself.
    Cluster,
    /// The coordinator.
    Coordinator,
    /// One worker.
    Worker(usize),
    /// One client of an operator or reader.
    Ctl(usize),
    /// One that means no good.
    Hostile(usize),
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster => f.pad("world"),
            Self::Coordinator => f.pad("coordinator"),
            Self::Worker(number) => f.pad(&format!("worker-{number}")),
            Self::Ctl(number) => f.pad(&format!("ctl-{number}")),
            Self::Hostile(number) => f.pad(&format!("hostile-{number}")),
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

/// What was broken first, the digest of the trace, the trace.
pub(super) type Finished = (Option<Failure>, Option<Sha256>, Vec<String>);

/// What every part of the world shares.
pub(super) struct Cluster {
    pub(super) seed: u64,
    pub(super) options: Options,
    pub(super) settings: Settings,
    zero: tokio::time::Instant,
    trouble: AtomicBool,
    latest_utc: AtomicI64,
    book: Mutex<Book>,
    /// Workers' processes that run now.
    processes: Mutex<BTreeMap<usize, BootId>>,
    director: mpsc::UnboundedSender<Call>,
}

struct Book {
    witness: Witness,
    properties: Vec<Box<dyn Property>>,
    datagrams: Datagrams,
    events: u64,
}

impl Cluster {
    pub(super) fn new(
        plan: &Plan,
        options: Options,
        settings: Settings,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Call>) {
        let (director, calls) = mpsc::unbounded_channel();
        let book = Book {
            witness: Witness::new(plan, &settings),
            properties: property::all(),
            datagrams: Datagrams::default(),
            events: 0,
        };
        let world = Self {
            seed: plan.seed,
            options,
            settings,
            zero: now(),
            trouble: AtomicBool::new(true),
            latest_utc: AtomicI64::new(0),
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
    pub(super) fn random(&self, name: &str) -> RandomStream {
        RandomStream::new(self.seed, name)
    }

    /// True when there is trouble of this kind, now.
    pub(super) fn has(&self, fault: Trouble) -> bool {
        self.trouble.load(Ordering::Relaxed) && self.options.has(fault)
    }

    /// True until everything heals.
    pub(super) fn in_trouble(&self) -> bool {
        self.trouble.load(Ordering::Relaxed)
    }

    pub(super) fn heal(&self) {
        self.trouble.store(false, Ordering::Relaxed);
        self.observe(&Observation::Healed);
    }

    /// Something that happened, for the trace.
    pub(super) fn event(&self, node: Node, text: &str) {
        self.line(node, || text.to_owned());
    }

    /// As [`Cluster::event`]; `text` is made only when somebody wants it.
    pub(super) fn line(&self, node: Node, text: impl FnOnce() -> String) {
        let now = ms(self.age());
        let mut book = self.book();
        book.events += 1;
        book.witness.note(now, node, text);
    }

    pub(super) fn datagram(&self, from: u64, to: u64, bytes: &[u8]) {
        let at = self.age();
        self.book().datagrams.sent(at, from, to, bytes);
    }

    /// Shows the checkers what the coordinator's own state says.
    pub(super) fn observe(&self, observation: &Observation) {
        let now = ms(self.age());
        let mut book = self.book();
        let Book { witness, properties, events, .. } = &mut *book;
        *events += 1;
        witness.observe(now, observation);
        for property in properties {
            if let Err(broken) = property.observe(observation) {
                witness.fail(now, property.name(), broken);
            }
        }
        self.look(book);
    }

    /// Shows the cluster's own checkers what only they can see.
    pub(super) fn see(&self, node: Node, event: &ClusterEvent) {
        self.line(node, || format!("{event:?}"));
        self.see_often(event);
    }

    /// As [`Cluster::see`], for what has a line already.
    pub(super) fn see_often(&self, event: &ClusterEvent) {
        let now = ms(self.age());
        let mut book = self.book();
        let Book { witness, properties, .. } = &mut *book;
        for property in properties {
            if let Err(broken) = property.see(event) {
                witness.fail(now, property.name(), broken);
            }
        }
        self.look(book);
    }

    /// The coordinator holds so much of something: too much is told.
    pub(super) fn hold(&self, what: &'static str, amount: u64, limit: u64) {
        if amount > limit {
            self.observe(&Observation::Holds { node: "coordinator", what, amount, limit });
        }
    }

    /// A property is broken: the first one counts.
    pub(super) fn fail(&self, checker: &'static str, what: String) {
        let now = ms(self.age());
        let mut book = self.book();
        book.witness.fail(now, checker, what);
        self.look(book);
    }

    fn look(&self, book: MutexGuard<'_, Book>) {
        if book.witness.has_failed() {
            drop(book);
            self.call(Call::Broken);
        }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.book().witness.has_failed()
    }

    /// Shows the end to every checker.
    pub(super) fn finish(&self, plan: &Plan, end: &End) -> (u64, Finished) {
        let now = ms(self.age());
        let mut book = self.book();
        let datagrams = book.datagrams.to_string();
        book.witness.note(now, "world", || datagrams);
        let events = book.events + book.datagrams.count();
        let empty = Witness::new(plan, &self.settings);
        let witness = core::mem::replace(&mut book.witness, empty);
        (events, witness.finish(now, end))
    }

    /// The latest that the coordinator's wall clock ever showed, and shows `now`.
    pub(super) fn latest_utc(&self, now: UtcMillis) -> UtcMillis {
        let before = self.latest_utc.fetch_max(now.0, Ordering::Relaxed);
        UtcMillis(before.max(now.0))
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
pub(super) struct ProcessScope {
    pub(super) node: Node,
    /// Which process of the node.
    pub(super) number: u32,
    dead: AtomicBool,
    ended: Notify,
}

impl ProcessScope {
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
