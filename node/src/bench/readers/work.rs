//! A coordinator's whole tree in this process, workers that keep its queue at half of what it can
//! do, and a reader beside them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rebuilder_actors::actor::coordinator::{Views, services};
use rebuilder_actors::port::Clock as _;
use rebuilder_transport::Identity;

use super::super::queue::{Progress, Shift, run_workers};
use super::looks::{self, Known, Seen};
use crate::clock::SystemClock;
use crate::config::{Config, Role};
use crate::role;

/// What was measured.
#[derive(Clone, Debug, Default)]
pub(super) struct Worked {
    /// Jobs a second at full speed, without a reader.
    pub(super) full: f64,
    /// Jobs a second while the reader looked.
    pub(super) paced: f64,
    /// What the reader saw.
    pub(super) seen: Seen,
}

/// How the workers work.
#[derive(Clone)]
pub(super) struct Crew {
    pub(super) identities: Vec<Identity>,
    /// Slots of each.
    pub(super) slots: u16,
    /// How long they work at full speed.
    pub(super) full: Duration,
    /// How long the reader looks.
    pub(super) paced: Duration,
}

/// Runs the coordinator of the configuration in `file`.
pub(super) async fn run(file: &Path, crew: &Crew, known: Known) -> Result<Worked, String> {
    let config = Config::load(Some(file), Role::Coordinator).map_err(|e| e.to_string())?;
    let config = config.coordinator.ok_or("a configuration without a coordinator")?;
    let running = role::start_coordinator(&config).await.map_err(|e| e.to_string())?;
    let address = running.address.to_string();
    let services = services(&running.tree).await.map_err(|e| e.to_string())?;
    // Once all of it is there, a start costs nothing any more.
    services.views.look(|_| ()).await.map_err(|e| e.to_string())?;
    tokio::time::sleep(SETTLE).await;

    let full = Shift { slots: crew.slots, build_ms: 0, is_spread: false, ahead: false };
    let (full, _) = shift(full, &address, crew, None).await?;
    let build_ms = build_ms(crew, full / 2.0);
    let paced = Shift { slots: crew.slots, build_ms, is_spread: true, ahead: true };
    let (paced, seen) = shift(paced, &address, crew, Some((services.views, known))).await?;
    running.stop().await;
    Ok(Worked { full, paced, seen })
}

/// How long each build takes when all slots together finish so many a second.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "some hundreds of slots and milliseconds"
)]
fn build_ms(crew: &Crew, rate: f64) -> u64 {
    // A tenth of a slot's time goes by between a report and the next assignment.
    (900.0 * slots(crew) as f64 / rate.max(1.0)) as u64
}

/// Of all workers together.
fn slots(crew: &Crew) -> usize {
    crew.identities.len() * usize::from(crew.slots)
}

/// Lets the workers work, and a reader look beside them: jobs a second, and what was seen.
#[expect(clippy::cast_precision_loss, reason = "some tens of thousands")]
async fn shift(
    shift: Shift,
    address: &str,
    crew: &Crew,
    reader: Option<(Views, Known)>,
) -> Result<(f64, Seen), String> {
    let clock = SystemClock::new();
    let progress = Arc::new(Progress::new(usize::MAX));
    let workers = run_workers(shift, address.to_owned(), crew.identities.clone(), progress.clone());
    let workers = tokio::spawn(workers);
    let seen = match reader {
        None => {
            tokio::time::sleep(crew.full).await;
            Seen::new()
        }
        Some((views, known)) => {
            // Until all slots are at it.
            tokio::time::sleep(SETTLE).await;
            let time = crew.paced;
            let reader = std::thread::spawn(move || looks::run(views, known, time));
            let joined = tokio::task::spawn_blocking(move || reader.join()).await;
            joined.map_err(|e| e.to_string())?.map_err(|_| "the reader panicked")??
        }
    };
    let took = clock.monotonic().0;
    progress.end();
    let load = workers.await.map_err(|e| e.to_string())??;
    // What the shift before left half done is cancelled when its worker comes again.
    if load.failed > slots(crew) {
        return Err(format!("{} attempts were cancelled or not accepted", load.failed));
    }
    Ok((load.accepted as f64 / took.as_secs_f64(), seen))
}

const SETTLE: Duration = Duration::from_secs(2);
