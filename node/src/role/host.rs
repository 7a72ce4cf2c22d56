use std::sync::Arc;

use rebuilder_actors::port::{Blocking, Clock, Entropy};
use rebuilder_actors::protocol::wire::BootId;

use super::entropy::SystemEntropy;
use crate::clock::SystemClock;

/// What every role takes from the machine.
#[derive(Clone)]
pub(super) struct Host {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) blocking: Arc<dyn Blocking>,
    pub(super) boot: BootId,
}

impl Host {
    pub(super) fn new() -> Self {
        let entropy = SystemEntropy::default();
        let mut boot = [0; 16];
        entropy.fill(&mut boot);
        Self {
            clock: Arc::new(SystemClock::new()),
            entropy: Arc::new(entropy),
            blocking: Arc::new(Threads),
            boot: BootId(boot),
        }
    }
}

/// Runs what blocks on tokio's threads for that.
struct Threads;

impl Blocking for Threads {
    fn run(&self, work: Box<dyn FnOnce() + Send>) {
        tokio::task::spawn_blocking(work);
    }
}
