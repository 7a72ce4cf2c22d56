use core::marker::PhantomData;
use core::time::Duration;

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::collections::VecDeque;
use tokio::sync::oneshot;

use crate::port::{CloseReason, Monotonic, StoreError};

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
    /// Another process took the store over: started again this one would take it back, and so on
    /// for ever. It exits with a code that its manager is told not to restart.
    TakenOver {
        /// Which store, and the tokens.
        reason: String,
    },
}

impl TreeEnd {
    /// The end of a tree at this error of a child; `None`: a restart may help.
    pub fn of(error: &ActorProcessingErr) -> Option<Self> {
        let error = error.downcast_ref::<StoreError>()?;
        let reason = error.to_string();
        match error {
            StoreError::Damaged { .. } => Some(Self::Damaged { reason }),
            StoreError::TakenOver { .. } => Some(Self::TakenOver { reason }),
            _ => None,
        }
    }
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

/// A supervision tree: rest for one. A child that fails takes those after it along, and all start
/// again in order; too often, and the tree gives up.
pub(super) trait Tree: Send {
    /// To the tree.
    type Msg: ractor::Message;

    /// Those that run.
    fn children(&mut self) -> &mut Children;

    /// What time it is.
    fn now(&self) -> Monotonic;

    /// Starts every child that is not there, in order.
    fn start(
        &mut self,
        me: &ActorRef<Self::Msg>,
    ) -> impl Future<Output = Result<(), ActorProcessingErr>> + Send;

    /// True, once, where what failed says nothing about the child: its restart is not counted.
    fn is_explained(&mut self) -> bool {
        false
    }
}

/// Starts what failed again, with all after it, as often as that is allowed; ends the tree then, or
/// at once where no restart helps.
pub(super) async fn restart<T: Tree>(tree: &mut T, me: &ActorRef<T::Msg>, event: SupervisionEvent) {
    let mut end = match &event {
        SupervisionEvent::ActorFailed(_, error) => TreeEnd::of(error),
        _ => None,
    };
    let Some((at, mut last)) = tree.children().failed(event) else { return };
    tree.children().stop(at).await;
    let mut explained = tree.is_explained();
    while end.is_none() {
        let now = tree.now();
        if !core::mem::take(&mut explained) && !tree.children().restarts.allow(now) {
            break;
        }
        match tree.start(me).await {
            Ok(()) => return,
            Err(error) => {
                end = TreeEnd::of(&error);
                last = error.to_string();
            }
        }
        tree.children().stop(at).await;
    }
    stop(tree, me, end.unwrap_or(TreeEnd::GaveUp { reason: last })).await;
}

/// Ends a tree, its children in reverse order.
pub(super) async fn stop<T: Tree>(tree: &mut T, me: &ActorRef<T::Msg>, end: TreeEnd) {
    tree.children().stop(0).await;
    tree.children().end(end);
    me.stop(None);
}

/// The name of a child in its tree, and the type of what it is sent.
pub(super) struct ChildName<M> {
    name: &'static str,
    takes: PhantomData<fn(M)>,
}

impl<M> ChildName<M> {
    /// Of one child: each name is given once in a tree.
    pub(super) const fn new(name: &'static str) -> Self {
        Self { name, takes: PhantomData }
    }
}

/// The children of a supervision tree, in the order in which they were started: each knows only
/// those before it.
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

    /// The child of this name; `None`: it does not run.
    pub(super) fn get<M: ractor::Message>(&self, name: &ChildName<M>) -> Option<ActorRef<M>> {
        let found = self.children.iter().find(|(running, _)| *running == name.name);
        found.map(|(_, cell)| cell.clone().into())
    }

    /// Starts a child, after all that run.
    pub(super) async fn spawn<A: Actor>(
        &mut self,
        supervisor: ActorCell,
        name: &ChildName<A::Msg>,
        actor: A,
        arguments: A::Arguments,
    ) -> Result<ActorRef<A::Msg>, ActorProcessingErr> {
        debug_assert!(self.get(name).is_none(), "{} runs", name.name);
        let (child, _) = Actor::spawn_linked(None, actor, arguments, supervisor).await?;
        self.children.push((name.name, child.get_cell()));
        Ok(child)
    }

    /// The child of this name, which is started if it does not run.
    pub(super) async fn get_or_spawn<A: Actor>(
        &mut self,
        supervisor: ActorCell,
        name: &ChildName<A::Msg>,
        actor: A,
        arguments: A::Arguments,
    ) -> Result<ActorRef<A::Msg>, ActorProcessingErr> {
        match self.get(name) {
            Some(child) => Ok(child),
            None => self.spawn(supervisor, name, actor, arguments).await,
        }
    }

    /// Stops the children from `at` on, in reverse order, each before the next.
    async fn stop(&mut self, at: usize) {
        for (_, child) in self.children.split_off(at).into_iter().rev() {
            let _ = child.stop_and_wait(None, Some(STOP)).await;
        }
    }

    /// The place of the child that an event says has failed, and how. `None`: none did, or it was
    /// stopped on purpose and is no longer among them.
    fn failed(&self, event: SupervisionEvent) -> Option<(usize, String)> {
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

    /// Tells how the tree ended, once.
    fn end(&mut self, end: TreeEnd) {
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
