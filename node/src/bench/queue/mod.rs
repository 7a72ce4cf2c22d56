//! How many jobs a second a coordinator gives out and takes back, with everything real but the
//! builds: store on disk, connections, signatures, leases, acceptance.

mod connection;
mod figures;
mod load;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rebuilder_actors::port::Clock as _;

pub(super) use connection::{Progress, Worker};
pub use figures::QueueFigures;
pub(super) use load::{Shift, identities, run as run_workers};

use super::mirror;
use super::process::{Coordinator, Settings, disk_bytes, used_here};
use crate::clock::SystemClock;
use crate::store::Engine;

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
pub struct QueuePlan {
    /// Folder on the disk to measure; what is made there stays
    #[arg(long)]
    pub dir: PathBuf,
    /// Jobs in the queue
    #[arg(long, default_value_t = 38_000)]
    pub jobs: usize,
    /// Connections, a worker each
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
    /// Slots of each worker
    #[arg(long, default_value_t = 4)]
    pub slots: u16,
    /// Milliseconds that each build is to take
    #[arg(long, default_value_t = 0)]
    pub build_ms: u64,
    /// A slot is free once its report is kept, as on a worker with its spool on a disk: all slots
    /// are always about to be free, and wait for `slots / rate`. Otherwise it is held until the
    /// answer, for a spool in memory keeps nothing
    #[arg(long)]
    pub ahead: bool,
    /// What the coordinator logs, as in RUST_LOG; the log is a file in the folder
    #[arg(long, default_value = "warn,rebuilder=info")]
    pub log: String,
    /// What keeps the coordinator's store
    #[arg(long, value_enum, default_value = "sled")]
    pub engine: Engine,
    /// Seconds after which the measurement is given up
    #[arg(long, default_value_t = 600)]
    pub limit_secs: u64,
}

/// Runs one measurement in a fresh folder below `plan.dir`.
///
/// # Errors
/// What could not be measured, in words: also when a report was not accepted.
pub async fn run(plan: &QueuePlan) -> Result<QueueFigures, String> {
    let dir = fresh(&plan.dir, "queue")?;
    let archive = dir.join("mirror");
    mirror::write(&archive, plan.jobs, None)?;
    let workers = identities(plan.connections);
    let keys: Vec<String> = workers.iter().map(|w| format!("\"{}\"", w.public_key())).collect();
    let settings = Settings {
        coordinator: format!(
            "store = \"{}\"\nauthorized_workers = [{}]",
            plan.engine.name(),
            keys.join(", ")
        ),
        profile: profile(&archive, "debian", "environment = \"suite\""),
    };
    let coordinator = Coordinator::start(&dir, &settings, &plan.log).await?;
    let profile = coordinator.ctl.synced().await?;
    let (before, own_before) = (coordinator.node.used(), used_here());
    let clock = SystemClock::new();
    let limit = Duration::from_secs(plan.limit_secs);
    let progress = Arc::new(Progress::new(plan.jobs));
    let shift =
        Shift { slots: plan.slots, build_ms: plan.build_ms, is_spread: false, ahead: plan.ahead };
    let working = load::run(shift, coordinator.address.clone(), workers, progress);
    let done = tokio::time::timeout(limit, working).await;
    let load = done.map_err(|_| format!("not done after {limit:?}"))??;
    let took = clock.monotonic().0;
    let (after, own_after) = (coordinator.node.used(), used_here());
    let status = coordinator.ctl.status().await?;
    let figures = QueueFigures {
        jobs: plan.jobs,
        artifacts: profile.artifacts,
        took,
        accepted: load.accepted,
        failed: load.failed,
        decided: status.jobs.decided as usize,
        waits: load.waits,
        coordinator: (after.cpu - before.cpu, after.resident, after.resident_max),
        load: own_after.cpu - own_before.cpu,
        written: after.written - before.written,
        on_disk: disk_bytes(&dir.join("data").join(plan.engine.folder())),
    };
    coordinator.node.stop().await?;
    Ok(figures)
}

/// A profile of the archive in `folder`, for jobs of `distribution`.
pub(super) fn profile(folder: &Path, distribution: &str, more: &str) -> String {
    format!(
        "[profile.\"bench\"]\ndistribution = \"{distribution}\"\nindex = \"debian\"\n\
         source = \"{}\"\nreleases = [\"bench\"]\ncomponents = [\"main\"]\n\
         architectures = [\"amd64\"]\ncheck_signature = false\ninterval_secs = 2592000\n{more}\n",
        folder.display()
    )
}

/// A new empty folder in `dir`.
pub(super) fn fresh(dir: &Path, name: &str) -> Result<PathBuf, String> {
    let failed = |e: std::io::Error| format!("make a folder in {}: {e}", dir.display());
    std::fs::create_dir_all(dir).map_err(failed)?;
    let dir = dir.canonicalize().map_err(failed)?;
    for number in 1..10_000 {
        let path = dir.join(format!("{name}-{number}"));
        match std::fs::create_dir(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            done => return done.map(|()| path).map_err(failed),
        }
    }
    Err(format!("{} is full of older measurements: remove them", dir.display()))
}
