//! Half a million artifacts in a coordinator: how long its syncs and its start take, what memory it
//! holds, and how long a reader waits for a page while the queue works at half its rate.

mod archive;
mod figures;
mod looks;
mod syncs;
mod work;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use figures::ReaderFigures;

use super::process::Settings;
use super::queue::{fresh, identities};
use archive::Index;
use looks::Known;
use work::Crew;

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
pub struct ReadersPlan {
    /// Folder on the disk to measure; what is made there stays
    #[arg(long)]
    pub dir: PathBuf,
    /// Artifacts in all profiles together
    #[arg(long, default_value_t = 500_000)]
    pub artifacts: usize,
    /// Where apt keeps the lists that the archives are made of
    #[arg(long, default_value = "/var/lib/apt/lists")]
    pub lists: PathBuf,
    /// Seconds for which a reader looks at pages; 0: only syncs, start and memory
    #[arg(long, default_value_t = 60)]
    pub secs: u64,
    /// Seconds at full speed before, which tell what half of it is
    #[arg(long, default_value_t = 10)]
    pub full_secs: u64,
    /// Connections, a worker each
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
    /// Slots of each worker
    #[arg(long, default_value_t = 4)]
    pub slots: u16,
}

/// Runs one measurement in a fresh folder below `plan.dir`.
///
/// # Errors
/// What could not be measured, in words, or which bound does not hold.
pub async fn run(plan: &ReadersPlan) -> Result<ReaderFigures, String> {
    let dir = fresh(&plan.dir, "readers")?;
    let lists = plan.lists.clone();
    let index = tokio::task::spawn_blocking(move || Index::read(&lists)).await;
    let index = Arc::new(index.map_err(|e| e.to_string())??);
    let scale = index.scale(plan.artifacts);
    let identities = identities(plan.connections);
    let keys: Vec<String> = identities.iter().map(|w| format!("\"{}\"", w.public_key())).collect();
    let profile = |suite| {
        format!(
            "[profile.\"{name}\"]\ndistribution = \"debian\"\nsource = \"{}\"\n\
             releases = [\"{name}\"]\ncomponents = [\"main\"]\n\
             architectures = [\"{}\", \"all\"]\nenvironment = \"suite\"\n\
             check_signature = false\ninterval_secs = 2592000\n\n",
            dir.join("mirror").display(),
            index.architecture,
            name = archive::name(suite),
        )
    };
    let settings = Settings {
        coordinator: format!("authorized_workers = [{}]", keys.join(", ")),
        profile: (0..scale.suites).map(profile).collect(),
    };
    let syncs = syncs::run(&dir, &settings, (&index, scale)).await?;
    let mut figures = ReaderFigures { syncs, worked: None };
    if plan.secs > 0 {
        let known = Known {
            names: index.names(scale),
            releases: scale.suites,
            architecture: index.architecture.clone(),
            jobs: i32::try_from(figures.syncs.size.0).unwrap_or(i32::MAX),
        };
        drop(index);
        let crew = Crew {
            identities,
            slots: plan.slots,
            full: Duration::from_secs(plan.full_secs),
            paced: Duration::from_secs(plan.secs),
        };
        let worked = work::run(&dir.join("coordinator.toml"), &crew, known).await;
        figures.worked = Some(worked.map_err(|error| format!("{figures}\n{error}"))?);
    }
    match figures.broken().len() {
        0 => Ok(figures),
        count => Err(format!("{figures}\nbounds that do not hold: {count}")),
    }
}
