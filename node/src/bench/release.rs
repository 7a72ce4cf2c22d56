//! A whole release in a coordinator: how long its syncs and its start take, what memory it holds,
//! and what workers without work cost.

use core::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rebuilder_actors::port::Clock as _;
use rebuilder_actors::protocol::wire::v1::ctl::Request;
use tokio::task::JoinSet;

use super::process::{Coordinator, Settings, Used, percentile};
use super::queue::{Progress, Worker, fresh, identities};
use crate::clock::SystemClock;

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
pub struct ReleasePlan {
    /// Base URL or local directory of a mirror
    #[arg(long)]
    pub source: String,
    /// Release
    #[arg(long)]
    pub release: String,
    /// Folder on the disk to measure; what is made there stays
    #[arg(long)]
    pub dir: PathBuf,
    /// Workers without work
    #[arg(long, default_value_t = 64)]
    pub idle_workers: usize,
    /// Seconds to watch them; 0: not at all
    #[arg(long, default_value_t = 60)]
    pub idle_secs: u64,
    /// What the coordinator logs, as in RUST_LOG; the log is a file in the folder
    #[arg(long, default_value = "warn,rebuilder=info")]
    pub log: String,
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct ReleaseFigures {
    /// Build inputs and artifacts.
    pub size: (u32, u32),
    /// The first sync, from the first look at the mirror until all is durable.
    pub first: Duration,
    /// Later ones without a change, ascending.
    pub unchanged: Vec<Duration>,
    /// Bytes sent to storage by all of these.
    pub unchanged_written: u64,
    /// After the first sync.
    pub synced: Used,
    /// From the start of a process with the release in its store until it answers about its jobs.
    pub start: Duration,
    /// After that start.
    pub started: Used,
    /// Processor time over the watched seconds; `None`: not watched.
    pub idle: Option<(usize, Duration, Duration)>,
}

/// Runs one measurement in a fresh folder below `plan.dir`.
///
/// # Errors
/// What could not be measured, in words.
pub async fn run(plan: &ReleasePlan) -> Result<ReleaseFigures, String> {
    let dir = fresh(&plan.dir, "release")?;
    let workers = identities(plan.idle_workers);
    let keys: Vec<String> = workers.iter().map(|w| format!("\"{}\"", w.public_key())).collect();
    let settings = Settings {
        coordinator: format!("authorized_workers = [{}]", keys.join(", ")),
        profile: format!(
            "[profile.\"bench\"]\ndistribution = \"debian\"\nsource = \"{}\"\n\
             releases = [\"{}\"]\ncomponents = [\"main\"]\n\
             architectures = [\"amd64\", \"all\"]\nenvironment = \"suite\"\n\
             interval_secs = 2592000\n",
            plan.source, plan.release
        ),
    };
    let clock = SystemClock::new();
    let coordinator = Coordinator::start(&dir, &settings, &plan.log).await?;
    let profile = coordinator.ctl.synced().await?;
    // What is freed late is not what is held.
    tokio::time::sleep(SETTLE).await;
    let synced = coordinator.node.used();
    let mut unchanged = Vec::new();
    for _ in 0..UNCHANGED {
        let began = clock.monotonic();
        coordinator.ctl.ask(&Request::SyncRun { profile: "bench".into() }).await?;
        unchanged.push(clock.monotonic().since(began));
    }
    unchanged.sort_unstable();
    let unchanged_written = coordinator.node.used().written - synced.written;
    coordinator.node.stop().await?;

    let began = clock.monotonic();
    let coordinator = Coordinator::start(&dir, &settings, &plan.log).await?;
    let ready = coordinator.ctl.status().await?.jobs.ready;
    let start = clock.monotonic().since(began);
    if ready != profile.jobs {
        return Err(format!("{ready} jobs after the start, {} before", profile.jobs));
    }
    coordinator.ctl.synced().await?;
    tokio::time::sleep(SETTLE).await;
    let started = coordinator.node.used();
    let idle = if plan.idle_secs == 0 { None } else { Some(watch(plan, &coordinator).await?) };
    coordinator.node.stop().await?;
    Ok(ReleaseFigures {
        size: (profile.jobs, profile.artifacts),
        first: Duration::from_millis(profile.synced_in_ms),
        unchanged,
        unchanged_written,
        synced,
        start,
        started,
        idle,
    })
}

/// Connects workers for whom there is nothing to do, and measures.
async fn watch(
    plan: &ReleasePlan,
    coordinator: &Coordinator,
) -> Result<(usize, Duration, Duration), String> {
    let mut workers = JoinSet::new();
    let never = Arc::new(Progress::new(1));
    for (number, identity) in identities(plan.idle_workers).into_iter().enumerate() {
        let worker = Worker {
            name: format!("idle-{number}"),
            backend: "none",
            identity,
            address: coordinator.address.clone(),
            slots: 4,
            build: Duration::ZERO,
            is_spread: false,
            ahead: false,
            progress: never.clone(),
        };
        workers.spawn(worker.run());
    }
    tokio::time::sleep(SETTLE).await;
    let before = coordinator.node.used();
    let time = Duration::from_secs(plan.idle_secs);
    tokio::time::sleep(time).await;
    if let Some(ended) = workers.try_join_next() {
        return Err(format!("an idle worker ended: {ended:?}"));
    }
    Ok((plan.idle_workers, time, coordinator.node.used().cpu - before.cpu))
}

const UNCHANGED: usize = 5;

const SETTLE: Duration = Duration::from_secs(2);

impl fmt::Display for ReleaseFigures {
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let (inputs, artifacts) = self.size;
        writeln!(f, "{inputs} build inputs, {artifacts} artifacts")?;
        writeln!(f, "first sync, durable: {:.2} s", self.first.as_secs_f64())?;
        writeln!(
            f,
            "unchanged sync: median {:.3} s, most {:.3} s; written by {}: {} bytes",
            percentile(&self.unchanged, 50).as_secs_f64(),
            percentile(&self.unchanged, 100).as_secs_f64(),
            self.unchanged.len(),
            self.unchanged_written
        )?;
        writeln!(
            f,
            "memory after the first sync: {:.0} MiB, at most {:.0} MiB",
            mib(self.synced.resident),
            mib(self.synced.resident_max)
        )?;
        writeln!(f, "start with it until an answer: {:.2} s", self.start.as_secs_f64())?;
        write!(
            f,
            "memory after that start: {:.0} MiB, at most {:.0} MiB",
            mib(self.started.resident),
            mib(self.started.resident_max)
        )?;
        if let Some((workers, time, cpu)) = self.idle {
            write!(
                f,
                "\n{workers} idle workers: {:.2} s of processor in {} s, {:.2} % of a core",
                cpu.as_secs_f64(),
                time.as_secs(),
                100.0 * cpu.as_secs_f64() / time.as_secs_f64()
            )?;
        }
        Ok(())
    }
}
