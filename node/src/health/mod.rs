//! Whether this machine can build: what each backend needs is looked at when the worker starts, and
//! again after every fault of its own, so that a worker that cannot build takes no work.

mod attentive;
mod leftovers;
mod room;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rebuilder_actors::protocol::FaultKind;
use rebuilder_actors::protocol::wire::v1::worker::{Ailment, Condition};
use tokio::sync::Notify;

use crate::backend::Rebuild;
pub use attentive::Attentive;
use leftovers::Leftovers;
pub use room::room;

/// Looks at the machine, and keeps what was found: whoever asks for the condition gets what was
/// found last, at once.
pub struct Health {
    again: Duration,
    backends: BTreeMap<String, Arc<dyn Rebuild>>,
    leftovers: Leftovers,
    found: Mutex<Condition>,
    turn: tokio::sync::Mutex<()>,
    /// A look was called for.
    looked: Notify,
}

/// Time between two looks at a machine with which something is wrong: somebody may have mended it.
const AGAIN: Duration = Duration::from_secs(30);

impl Health {
    /// Looks for the first time. `folders` hold what attempts leave: nothing of this process is in
    /// them yet, and what can be removed was.
    pub async fn new(
        backends: BTreeMap<String, Arc<dyn Rebuild>>,
        folders: Vec<PathBuf>,
    ) -> Arc<Self> {
        Self::looking(backends, folders, AGAIN).await
    }

    async fn looking(
        backends: BTreeMap<String, Arc<dyn Rebuild>>,
        folders: Vec<PathBuf>,
        again: Duration,
    ) -> Arc<Self> {
        let health = Arc::new(Self {
            again,
            backends,
            leftovers: Leftovers::find(&folders),
            found: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            looked: Notify::new(),
        });
        health.look().await;
        health
    }

    /// What was found last.
    pub fn condition(&self) -> Condition {
        self.found().clone()
    }

    /// An attempt ended in a fault of this kind. The worker's own faults call for a look, which is
    /// over when this returns: the coordinator is told before it gives the next job.
    pub async fn met(&self, kind: FaultKind) {
        let own = [FaultKind::BackendMissing, FaultKind::DiskFull, FaultKind::WorkerFailed];
        if own.contains(&kind) {
            self.look().await;
            self.looked.notify_one();
        }
    }

    /// Looks again and again while something is wrong; never ends.
    pub async fn watch(self: Arc<Self>) {
        loop {
            if self.condition() == Condition::default() {
                self.looked.notified().await;
            } else {
                tokio::time::sleep(self.again).await;
                self.look().await;
            }
        }
    }

    async fn look(&self) {
        // One at a time: what a backend tries has one place.
        let _turn = self.turn.lock().await;
        let mut ailments = Vec::new();
        for (name, backend) in &self.backends {
            if let Some(reason) = backend.ailment().await {
                ailments.push(Ailment { backend: name.clone(), reason });
            }
        }
        let now = Condition { ailments, leftovers: self.leftovers.still_there() };
        let before = core::mem::replace(&mut *self.found(), now.clone());
        for Ailment { backend, reason } in changes(&now.ailments, &before.ailments) {
            tracing::warn!(
                target: "rebuilder",
                "cannot build with `{backend}`, takes no such jobs until that is mended: {reason}"
            );
        }
        for leftover in changes(&now.leftovers, &before.leftovers) {
            tracing::warn!(target: "rebuilder", "cannot be removed: {leftover}");
        }
        for Ailment { backend, .. } in &before.ailments {
            if !now.ailments.iter().any(|ailment| ailment.backend == *backend) {
                tracing::info!(target: "rebuilder", "can build with `{backend}`");
            }
        }
    }

    fn found(&self) -> MutexGuard<'_, Condition> {
        // Every change is one call: it is whole after a panic elsewhere, too.
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is there now and was not before.
fn changes<'a, T: PartialEq>(now: &'a [T], before: &'a [T]) -> impl Iterator<Item = &'a T> {
    now.iter().filter(|one| !before.contains(one))
}

#[cfg(test)]
#[path = "health_test.rs"]
mod tests;
