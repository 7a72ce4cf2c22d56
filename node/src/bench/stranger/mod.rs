//! What strangers at full speed cost those who have rights: how long an enrolled worker waits for
//! work, how long an operator for an answer, and what memory the coordinator takes meanwhile.

mod figures;
mod noise;
mod peers;
mod storm;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rebuilder_actors::port::{Clock as _, Monotonic};
use rebuilder_actors::protocol::wire::v1::ctl::{PackageFilter, Request};
use rebuilder_transport::key_file::{self, Access};
use rebuilder_transport::{Identity, Limits, system};

pub use figures::StrangerFigures;

use super::ctl::Ctl;
use super::mirror;
use super::process::{Coordinator, Settings, used_here};
use super::queue::{Progress, Shift, fresh, identities, profile, run_workers};
use crate::clock::SystemClock;
use storm::Storm;

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
pub struct StrangerPlan {
    /// Folder on the disk to measure; what is made there stays
    #[arg(long)]
    pub dir: PathBuf,
    /// Seconds of strangers at full speed
    #[arg(long, default_value_t = 60)]
    pub secs: u64,
    /// Jobs in the queue: more than are worked off in that time
    #[arg(long, default_value_t = 38_000)]
    pub jobs: usize,
    /// Enrolled workers
    #[arg(long, default_value_t = 4)]
    pub workers: usize,
    /// Milliseconds that each of their builds takes
    #[arg(long, default_value_t = 25)]
    pub build_ms: u64,
    /// Kinds of strangers: reads, connections, streams, garbage
    #[arg(long, value_delimiter = ',', default_value = "reads,connections,streams,garbage")]
    pub kinds: Vec<String>,
    /// Without strangers, for comparison: nothing is judged
    #[arg(long)]
    pub calm: bool,
}

/// Pause between two of the operator's commands.
const COMMAND_PAUSE: Duration = Duration::from_millis(250);

/// Runs one measurement in a fresh folder below `plan.dir`.
///
/// # Errors
/// What could not be measured, in words, or which bound does not hold.
pub async fn run(plan: &StrangerPlan) -> Result<StrangerFigures, String> {
    let dir = fresh(&plan.dir, "stranger")?;
    let archive = dir.join("mirror");
    mirror::write(&archive, plan.jobs, None)?;
    let workers = identities(plan.workers);
    let keys: Vec<String> = workers.iter().map(|w| format!("\"{}\"", w.public_key())).collect();
    let settings = Settings {
        coordinator: format!("authorized_workers = [{}]", keys.join(", ")),
        profile: profile(&archive, "debian", "environment = \"suite\""),
    };
    let coordinator = Coordinator::start(&dir, &settings, "warn,rebuilder=info").await?;
    coordinator.ctl.synced().await?;
    let admin = key_file::load(&dir.join("data/ctl.key"), Access::Group);
    let admin = admin.map_err(|e| e.to_string())?;
    let (before, own_before) = (coordinator.node.used(), used_here());
    let clock = SystemClock::new();
    let time = Duration::from_secs(plan.secs);

    let progress = Arc::new(Progress::new(plan.jobs));
    let shift = Shift { slots: 1, build_ms: plan.build_ms, is_spread: false, ahead: true };
    let address = coordinator.address.clone();
    let working = tokio::spawn(run_workers(shift, address, workers, progress.clone()));
    let storm =
        (!plan.calm).then(|| Storm::begin(&coordinator.address, &plan.kinds)).transpose()?;
    let commands = operate(&coordinator.address, &admin, &clock, time).await?;
    // While all of it still goes on.
    let after = coordinator.node.used();
    let strangers = match storm {
        Some(storm) => storm.end()?,
        None => storm::Counts::default(),
    };
    progress.end();
    let load = working.await.map_err(|e| e.to_string())??;
    let took = clock.monotonic().0;
    let figures = StrangerFigures {
        took,
        workers: plan.workers,
        accepted: load.accepted,
        failed: load.failed,
        waits: load.waits,
        commands,
        memory: (before.resident, after.resident, after.resident_max),
        cpu: (after.cpu - before.cpu, used_here().cpu - own_before.cpu),
        strangers,
    };
    coordinator.node.stop().await?;
    if plan.calm {
        return Ok(figures);
    }
    match figures.broken().as_slice() {
        [] => Ok(figures),
        broken => Err(format!("{figures}\nNOT: {}", broken.join("; "))),
    }
}

/// Asks and orders as an operator does, each time over a new connection: how long each took, and
/// which it was, ascending.
async fn operate(
    address: &str,
    admin: &Identity,
    clock: &SystemClock,
    time: Duration,
) -> Result<Vec<(Duration, &'static str)>, String> {
    let until = clock.monotonic().plus(time);
    let mut took = Vec::new();
    for number in 0.. {
        if clock.monotonic() >= until {
            break;
        }
        let began = clock.monotonic();
        let limit = Duration::from_secs(30);
        match tokio::time::timeout(limit, command(address, admin, number)).await {
            Ok(Ok(name)) => took.push((since(clock, began), name)),
            Ok(Err(error)) => return Err(format!("an admin's command failed: {error}")),
            Err(_) => return Err(format!("an admin's command took more than {limit:?}")),
        }
        tokio::time::sleep(COMMAND_PAUSE).await;
    }
    took.sort_unstable();
    Ok(took)
}

fn since(clock: &SystemClock, began: Monotonic) -> Duration {
    clock.monotonic().since(began)
}

async fn command(address: &str, admin: &Identity, number: usize) -> Result<&'static str, String> {
    let name = format!("package{:05}", number * 97 % 30_000);
    let filter = PackageFilter { name: Some(name), ..PackageFilter::default() };
    let commands = [
        ("status", Request::Status),
        ("worker ls", Request::Workers),
        ("queue push", Request::QueuePush { filter: filter.clone(), priority: 0 }),
        ("queue ls", Request::Queue { planned: true, limit: Some(100) }),
        ("pkgs ls", Request::Packages(filter)),
        ("profile ls", Request::Profiles),
    ];
    let network = system::client(admin.clone(), Limits::default()).map_err(|e| e.to_string())?;
    let ctl = Ctl::open(network, address).await?;
    let (name, request) = &commands[number % commands.len()];
    let rows = ctl.ask(request).await?;
    if rows.is_empty() { Err(format!("{name}: an answer without rows")) } else { Ok(*name) }
}
