//! A coordinator in a process of its own with all of the archives: how long its syncs and its start
//! take, and what memory it holds.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rebuilder_actors::port::{Clock as _, Monotonic};
use rebuilder_actors::protocol::wire::v1::ctl::{Request, Response};
use tokio::task::JoinSet;

use super::super::ctl::Ctl;
use super::super::process::{Coordinator, Node, Settings};
use super::archive::{self, Index, Scale};
use crate::clock::SystemClock;

/// What was measured. Each sync is of all profiles at once, until the last one is done.
#[derive(Clone, Debug, Default)]
pub(super) struct Syncs {
    /// Build inputs and artifacts.
    pub(super) size: (u32, u32),
    /// From the start of the process until all is durable.
    pub(super) first: Duration,
    /// Without a change, ascending.
    pub(super) unchanged: Vec<Duration>,
    /// Bytes that were sent to storage by all of these.
    pub(super) unchanged_written: u64,
    /// With indexes of another date and the same content.
    pub(super) signed_again: Duration,
    /// With another version of a hundredth of the sources.
    pub(super) changed: Duration,
    /// From the start of a process with all of it in its store until it answers about its jobs.
    pub(super) start: Duration,
    /// Anonymous memory after the first sync, after the last one, and after the start.
    pub(super) memory: [u64; 3],
}

/// Dates of the archives' indexes, one after the other.
const DATES: [&str; 3] = [
    "Sat, 10 Jan 2026 10:00:00 UTC",
    "Sat, 10 Jan 2026 16:00:00 UTC",
    "Sat, 10 Jan 2026 22:00:00 UTC",
];

/// Measures in `dir`, where a store with all of it stays.
pub(super) async fn run(
    dir: &Path,
    settings: &Settings,
    (index, scale): (&Arc<Index>, Scale),
) -> Result<Syncs, String> {
    let clock = SystemClock::new();
    let root = dir.join("mirror");
    write_all(&root, index, scale, (false, DATES[0])).await?;
    let mut syncs = Syncs::default();

    let began = clock.monotonic();
    let Coordinator { node, ctl, .. } = Coordinator::start(dir, settings, LOG).await?;
    let ctl = Arc::new(ctl);
    syncs.size = first(&ctl, scale.suites).await?;
    syncs.first = clock.monotonic().since(began);
    syncs.memory[0] = settled(&node).await;

    let written = node.used().written;
    for _ in 0..UNCHANGED {
        syncs.unchanged.push(all(&ctl, scale.suites, &clock).await?);
    }
    syncs.unchanged.sort_unstable();
    syncs.unchanged_written = node.used().written - written;

    for suite in 0..scale.suites {
        archive::sign_again(&root, suite, DATES[1])?;
    }
    syncs.signed_again = all(&ctl, scale.suites, &clock).await?;
    write_all(&root, index, scale, (true, DATES[2])).await?;
    syncs.changed = all(&ctl, scale.suites, &clock).await?;
    syncs.memory[1] = settled(&node).await;
    node.stop().await?;

    let began = clock.monotonic();
    let Coordinator { node, ctl, .. } = Coordinator::start(dir, settings, LOG).await?;
    let jobs = ctl.status().await?.jobs.ready;
    syncs.start = clock.monotonic().since(began);
    if jobs != syncs.size.0 {
        return Err(format!("{jobs} jobs after the start, {} before", syncs.size.0));
    }
    syncs.memory[2] = settled(&node).await;
    node.stop().await?;
    Ok(syncs)
}

/// Writes all suites, on as many threads as there are processors.
async fn write_all(
    root: &Path,
    index: &Arc<Index>,
    scale: Scale,
    (is_changed, date): (bool, &'static str),
) -> Result<(), String> {
    let permits = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let permits = Arc::new(tokio::sync::Semaphore::new(permits));
    let mut writing = JoinSet::new();
    for suite in 0..scale.suites {
        let permit = permits.clone().acquire_owned().await.map_err(|e| e.to_string())?;
        let (index, root) = (index.clone(), root.to_owned());
        writing.spawn_blocking(move || {
            let _permit = permit;
            index.write(&root, scale, suite, (is_changed, date))
        });
    }
    while let Some(written) = writing.join_next().await {
        written.map_err(|e| e.to_string())??;
    }
    Ok(())
}

/// Waits until every profile was synced once; how many build inputs and artifacts there are then.
async fn first(ctl: &Ctl, profiles: usize) -> Result<(u32, u32), String> {
    loop {
        let (mut synced, mut size) = (0, (0, 0));
        for row in ctl.ask(&Request::Profiles).await? {
            let Response::Profile(profile) = row else { return Err("no profile".into()) };
            if let Some(error) = profile.error {
                return Err(error);
            }
            synced += usize::from(profile.synced_at.is_some());
            size = (size.0 + profile.jobs, size.1 + profile.artifacts);
        }
        if synced == profiles {
            return Ok(size);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Syncs every profile, all at once: how long it takes until the last one is done.
async fn all(ctl: &Arc<Ctl>, profiles: usize, clock: &SystemClock) -> Result<Duration, String> {
    let began: Monotonic = clock.monotonic();
    let mut syncs = JoinSet::new();
    for suite in 0..profiles {
        let ctl = ctl.clone();
        syncs.spawn(
            async move { ctl.ask(&Request::SyncRun { profile: archive::name(suite) }).await },
        );
    }
    while let Some(synced) = syncs.join_next().await {
        synced.map_err(|e| e.to_string())??;
    }
    Ok(clock.monotonic().since(began))
}

/// Anonymous memory, once what is freed late was given back.
async fn settled(node: &Node) -> u64 {
    tokio::time::sleep(SETTLE).await;
    node.used().anonymous
}

/// What the coordinator logs: a line of each sync would be a page that is written.
const LOG: &str = "warn";
const UNCHANGED: usize = 5;
const SETTLE: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(50);
