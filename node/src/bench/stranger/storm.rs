use core::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::{noise, peers};

/// Strangers at full speed, in threads of their own so that those who are measured do not wait for
/// them in a queue of tasks.
pub(super) struct Storm {
    over: Arc<Notify>,
    tally: Arc<Tally>,
    thread: JoinHandle<Result<(), String>>,
}

/// Threads of the strangers: as many as keep a small machine busy.
const THREADS: usize = 2;
/// Tasks of each kind.
const READERS: u16 = 16;
const DIALERS: u16 = 16;
const STREAMERS: u16 = 16;

/// What the strangers did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Questions that were answered to the end.
    pub answers: u64,
    /// Connections on which a hello was answered.
    pub greeted: u64,
    /// Connections that were refused or closed.
    pub refused: u64,
    /// Streams that were opened and never used as they should.
    pub streams: u64,
    /// Datagrams that nobody asked for.
    pub datagrams: u64,
    /// First datagrams of connections that are never made.
    pub half_open: u64,
}

/// [`Counts`] while they grow.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) answers: AtomicU64,
    pub(super) greeted: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) streams: AtomicU64,
    pub(super) datagrams: AtomicU64,
    pub(super) half_open: AtomicU64,
}

/// One more of what `counter` counts; order with other counters is not kept.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Storm {
    /// Begins with those kinds that are named.
    pub(super) fn begin(address: &str, kinds: &[String]) -> Result<Self, String> {
        let (over, tally) = (Arc::<Notify>::default(), Arc::<Tally>::default());
        let (until, counts) = (over.clone(), tally.clone());
        let (address, kinds) = (address.to_owned(), kinds.to_vec());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .enable_all()
            .build()
            .map_err(|e| format!("start the strangers: {e}"))?;
        let thread =
            std::thread::spawn(move || runtime.block_on(rage(address, kinds, counts, until)));
        Ok(Self { over, tally, thread })
    }

    /// Ends all of it, and tells what was done.
    pub(super) fn end(self) -> Result<Counts, String> {
        self.over.notify_one();
        let ended = self.thread.join().map_err(|_| "the strangers panicked".to_owned())?;
        ended?;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Ok(Counts {
            answers: get(&self.tally.answers),
            greeted: get(&self.tally.greeted),
            refused: get(&self.tally.refused),
            streams: get(&self.tally.streams),
            datagrams: get(&self.tally.datagrams),
            half_open: get(&self.tally.half_open),
        })
    }
}

async fn rage(
    address: String,
    kinds: Vec<String>,
    tally: Arc<Tally>,
    over: Arc<Notify>,
) -> Result<(), String> {
    let mut tasks = JoinSet::new();
    for kind in kinds {
        let (address, tally) = (address.clone(), tally.clone());
        match kind.as_str() {
            "reads" => (0..READERS).for_each(|number| {
                tasks.spawn(peers::read(address.clone(), number, tally.clone()));
            }),
            "connections" => (0..DIALERS).for_each(|number| {
                tasks.spawn(peers::dial(address.clone(), number, tally.clone()));
            }),
            "streams" => (0..STREAMERS).for_each(|number| {
                tasks.spawn(peers::stream(address.clone(), number, tally.clone()));
            }),
            "garbage" => {
                tasks.spawn(noise::datagrams(address.clone(), tally.clone()));
                tasks.spawn(noise::half_open(address, tally));
            }
            other => return Err(format!("there are no strangers of kind `{other}`")),
        }
    }
    tokio::select! {
        biased;
        () = over.notified() => {}
        // They go on until they are ended.
        Some(ended) = tasks.join_next() => return Err(format!("a stranger ended: {ended:?}")),
    }
    Ok(())
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { answers, greeted, refused, streams, datagrams, half_open } = self;
        write!(
            f,
            "{answers} answers, {greeted} connections let in, {refused} refused or closed, \
             {streams} streams left open, {datagrams} datagrams of garbage, {half_open} half-open \
             connections"
        )
    }
}
