//! Measurements of the real parts on the machine at hand.

use std::path::PathBuf;

use clap::Subcommand;

use crate::clock::SystemClock;
use crate::store::Engine;

mod ctl;
mod mirror;
mod process;
pub mod queue;
pub mod readers;
pub mod release;
pub mod store;
pub mod stranger;
pub mod sync;
pub mod worker;

/// What to measure.
#[derive(Clone, Debug, Subcommand)]
pub enum Bench {
    /// Syncs, start and memory with a whole release, and what idle workers cost
    Release(release::ReleasePlan),
    /// What a job costs besides its build, on one worker
    Worker(worker::WorkerPlan),
    /// Durable commits, a bulk load and a reopen of the database
    Store {
        /// Empty folder on the disk to measure; what is made there stays
        #[arg(long)]
        dir: PathBuf,
        /// What keeps the store
        #[arg(long, value_enum, default_value = "sled")]
        engine: Engine,
    },
    /// Jobs a second through a whole coordinator, and how long a free slot waits
    Queue(queue::QueuePlan),
    /// Half a million artifacts: syncs, start, memory, and how long a reader waits for a page while
    /// the queue works; fails when a bound does not hold
    Readers(readers::ReadersPlan),
    /// What strangers at full speed cost those who have rights; fails when a bound does not hold
    Stranger(stranger::StrangerPlan),
    /// A first and an unchanged read of an index
    Sync {
        /// Base URL, local directory, or `apt`
        #[arg(long)]
        source: String,
        /// Release; empty for this machine's own with `apt`
        #[arg(long, default_value = "")]
        release: String,
        /// Folder for the index cache
        #[arg(long)]
        dir: PathBuf,
    },
}

/// Measures, and says what was found.
///
/// # Errors
/// What could not be measured, in words.
pub async fn run(what: Bench) -> Result<String, String> {
    match what {
        Bench::Release(plan) => release::run(&plan).await.map(|figures| figures.to_string()),
        Bench::Worker(plan) => worker::run(&plan).await.map(|figures| figures.to_string()),
        Bench::Queue(plan) => queue::run(&plan).await.map(|figures| figures.to_string()),
        Bench::Readers(plan) => readers::run(&plan).await.map(|figures| figures.to_string()),
        Bench::Stranger(plan) => stranger::run(&plan).await.map(|figures| figures.to_string()),
        Bench::Store { dir, engine } => {
            let plan = store::StoreBenchPlan { engine, ..store::StoreBenchPlan::default() };
            let bench = store::run(&dir, plan);
            bench.map(|bench| bench.to_string()).map_err(|error| error.to_string())
        }
        Bench::Sync { source, release, dir } => {
            let clock = SystemClock::new();
            let times = sync::run(&source, &release, &dir, &clock).await;
            times.map(|times| times.to_string()).map_err(|error| error.to_string())
        }
    }
}
