//! Measurements of the real parts on the machine at hand.

use std::path::PathBuf;

use clap::Subcommand;

use crate::clock::SystemClock;

pub mod store;
pub mod sync;

/// What to measure.
#[derive(Clone, Debug, Subcommand)]
pub enum Bench {
    /// Durable commits, a bulk load and a reopen of the database
    Store {
        /// Empty folder on the disk to measure; what is made there stays
        #[arg(long)]
        dir: PathBuf,
    },
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
        Bench::Store { dir } => store::run(&dir, store::StoreBenchPlan::default())
            .map(|bench| bench.to_string())
            .map_err(|error| error.to_string()),
        Bench::Sync { source, release, dir } => {
            let clock = SystemClock::new();
            let times = sync::run(&source, &release, &dir, &clock).await;
            times.map(|times| times.to_string()).map_err(|error| error.to_string())
        }
    }
}
