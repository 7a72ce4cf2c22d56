use std::sync::Arc;
use std::time::Duration;

use rebuilder_transport::Identity;
use tokio::task::JoinSet;

use super::connection::{Progress, Worker};
use rebuilder_actors::protocol::Sha256;

/// What the workers saw together.
#[derive(Debug, Default)]
pub(in super::super) struct Load {
    pub(in super::super) accepted: usize,
    /// Reports that were not accepted, and cancelled attempts.
    pub(in super::super) failed: usize,
    /// From the moment a slot was free until it had work again, ascending.
    pub(in super::super) waits: Vec<Duration>,
}

impl Load {
    /// What all of these saw, once they have ended.
    pub(in super::super) async fn of_all(
        mut workers: JoinSet<Result<Self, String>>,
    ) -> Result<Self, String> {
        let mut load = Self::default();
        while let Some(ended) = workers.join_next().await {
            let seen = ended.map_err(|e| e.to_string())??;
            load.accepted += seen.accepted;
            load.failed += seen.failed;
            load.waits.extend(seen.waits);
        }
        load.waits.sort_unstable();
        Ok(load)
    }
}

/// Keys of so many workers, the same in every run.
pub(in super::super) fn identities(count: usize) -> Vec<Identity> {
    let seed = |number: usize| Sha256::of(format!("bench worker {number}").as_bytes()).0;
    (0..count).map(|number| Identity::from_seed(seed(number))).collect()
}

/// How each of several workers works.
pub(in super::super) struct Shift {
    /// Builds at a time.
    pub(in super::super) slots: u16,
    /// How long one build takes.
    pub(in super::super) build_ms: u64,
    /// Builds take from half to one and a half of their time, as with [`Worker::is_spread`].
    pub(in super::super) is_spread: bool,
    /// As [`Worker::ahead`].
    pub(in super::super) ahead: bool,
}

/// Lets a worker for each of `identities` work until `progress` says that every job was answered.
pub(in super::super) async fn run(
    shift: Shift,
    address: String,
    identities: Vec<Identity>,
    progress: Arc<Progress>,
) -> Result<Load, String> {
    let mut workers = JoinSet::new();
    for (number, identity) in identities.into_iter().enumerate() {
        let worker = Worker {
            name: format!("bench-{number}"),
            backend: "debian",
            identity,
            address: address.clone(),
            slots: shift.slots,
            build: Duration::from_millis(shift.build_ms),
            is_spread: shift.is_spread,
            ahead: shift.ahead,
            progress: progress.clone(),
        };
        workers.spawn(worker.run());
    }
    Load::of_all(workers).await
}
