use core::time::Duration;

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::collections::VecDeque;
use tokio::sync::oneshot;

use crate::port::{CloseReason, Monotonic};

/// How a supervision tree ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeEnd {
    /// It was asked to.
    Stopped,
    /// The coordinator will not let this worker in again: the process exits with a code at which
    /// its manager leaves it alone.
    Refused {
        /// Why, as the coordinator says it.
        reason: CloseReason,
    },
    /// A child failed too often: the process exits with code 70 and its manager starts it again.
    GaveUp {
        /// Which child, and why it failed last.
        reason: String,
    },
    /// What is stored is damaged: another start finds the same, so that the process exits with a
    /// code that its manager is told not to restart.
    Damaged {
        /// Which file, what is wrong with it, and the way out.
        reason: String,
    },
}

/// How often children may be restarted. Restart is not retry: only the queue retries work.
#[derive(Clone, Debug)]
pub struct Restarts {
    times: VecDeque<Monotonic>,
}

impl Restarts {
    /// Restarts allowed in [`Restarts::PERIOD`].
    pub const INTENSITY: usize = 5;
    /// See [`Restarts::INTENSITY`].
    pub const PERIOD: Duration = Duration::from_secs(60);

    /// None yet.
    pub fn new() -> Self {
        Self { times: VecDeque::with_capacity(Self::INTENSITY + 1) }
    }

    /// Counts one at `now`; false when that is one too many.
    pub fn allow(&mut self, now: Monotonic) -> bool {
        while self.times.front().is_some_and(|at| now.since(*at) >= Self::PERIOD) {
            self.times.pop_front();
        }
        self.times.push_back(now);
        self.times.len() <= Self::INTENSITY
    }
}

impl Default for Restarts {
    fn default() -> Self {
        Self::new()
    }
}

/// The children of a supervision tree, in order: each knows only those before it. Rest for one.
pub(super) struct Children {
    children: Vec<(&'static str, ActorCell)>,
    restarts: Restarts,
    ended: Option<oneshot::Sender<TreeEnd>>,
}

/// Time for one child to stop in order.
const STOP: Duration = Duration::from_secs(5);
/// Time for all children of a supervisor that is such a child itself.
const STOP_ALL: Duration = Duration::from_secs(4);

/// Stops the children of a supervisor that stops, in reverse order: left to themselves they would
/// be killed, in random order and without `post_stop`.
pub(super) async fn stop_all(children: impl DoubleEndedIterator<Item = ActorCell>) {
    let stop = async {
        for child in children.rev() {
            let _ = child.stop_and_wait(None, None).await;
        }
    };
    let _ = tokio::time::timeout(STOP_ALL, stop).await;
}

impl Children {
    /// None yet; `ended` is told how the tree ended.
    pub(super) fn new(ended: oneshot::Sender<TreeEnd>) -> Self {
        Self { children: Vec::new(), restarts: Restarts::new(), ended: Some(ended) }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.children.len()
    }

    /// The child at this place; the caller knows what it takes.
    pub(super) fn get<M: ractor::Message>(&self, at: usize) -> Option<ActorRef<M>> {
        self.children.get(at).map(|(_, cell)| cell.clone().into())
    }

    /// Starts the next child.
    pub(super) async fn spawn<A: Actor>(
        &mut self,
        supervisor: ActorCell,
        name: &'static str,
        actor: A,
        arguments: A::Arguments,
    ) -> Result<ActorRef<A::Msg>, ActorProcessingErr> {
        let (child, _) = Actor::spawn_linked(None, actor, arguments, supervisor).await?;
        self.children.push((name, child.get_cell()));
        Ok(child)
    }

    /// Stops the children from `at` on, in reverse order, each before the next.
    pub(super) async fn stop(&mut self, at: usize) {
        for (_, child) in self.children.split_off(at).into_iter().rev() {
            let _ = child.stop_and_wait(None, Some(STOP)).await;
        }
    }

    /// The place of the child that an event says has failed, and how. `None`: none did, or it was
    /// stopped on purpose and is no longer among them.
    pub(super) fn failed(&self, event: SupervisionEvent) -> Option<(usize, String)> {
        let (cell, reason) = match event {
            SupervisionEvent::ActorFailed(cell, error) => (cell, error.to_string()),
            SupervisionEvent::ActorTerminated(cell, _, reason) => {
                (cell, reason.unwrap_or_else(|| "it stopped by itself".into()))
            }
            _ => return None,
        };
        let at = self.children.iter().position(|(_, child)| child.get_id() == cell.get_id())?;
        let reason = format!("{} failed: {reason}", self.children[at].0);
        tracing::error!(target: "rebuilder", "{reason}; it is started again, with all after it");
        Some((at, reason))
    }

    /// Counts a restart; false when there were too many.
    pub(super) fn may_restart(&mut self, now: Monotonic) -> bool {
        self.restarts.allow(now)
    }

    /// Tells how the tree ended, once.
    pub(super) fn end(&mut self, end: TreeEnd) {
        if let Some(ended) = self.ended.take() {
            let _ = ended.send(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sixth_restart_in_a_minute_is_one_too_many() {
        let at = |secs| Monotonic(Duration::from_secs(secs));
        let mut restarts = Restarts::new();
        assert!((0..5).all(|n| restarts.allow(at(n))));
        assert!(!restarts.allow(at(5)));
        assert!(restarts.allow(at(120)));
    }
}
