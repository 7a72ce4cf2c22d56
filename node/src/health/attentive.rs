use std::sync::Arc;

use rebuilder_actors::port::{Backend, BoxFuture, Difference, Progress};
use rebuilder_actors::protocol::{Assignment, AttemptId, Attempted, Ending};

use super::Health;

/// A backend whose own faults have the machine looked at.
pub struct Attentive<B> {
    inner: B,
    health: Arc<Health>,
}

impl<B> Attentive<B> {
    /// `inner`, on the machine that `health` looks at.
    pub fn new(inner: B, health: Arc<Health>) -> Self {
        Self { inner, health }
    }
}

impl<B: Backend> Backend for Attentive<B> {
    fn attempt<'a>(
        &'a self,
        assignment: &'a Assignment,
        progress: &'a dyn Progress,
    ) -> BoxFuture<'a, Attempted> {
        Box::pin(async move {
            let attempted = self.inner.attempt(assignment, progress).await;
            if let Ending::Fault(fault) = &attempted.ending {
                self.health.met(fault.kind).await;
            }
            attempted
        })
    }

    fn difference<'a>(
        &'a self,
        attempt: AttemptId,
        file: &'a str,
        progress: &'a dyn Progress,
    ) -> BoxFuture<'a, Option<Difference>> {
        self.inner.difference(attempt, file, progress)
    }

    fn release(&self, attempt: AttemptId) -> BoxFuture<'_, ()> {
        self.inner.release(attempt)
    }
}
