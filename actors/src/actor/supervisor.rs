use core::time::Duration;
use std::collections::VecDeque;

use crate::port::Monotonic;

/// How a supervision tree ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeEnd {
    /// It was asked to.
    Stopped,
    /// A child failed too often: the process exits with code 70 and its manager starts it again.
    GaveUp {
        /// Which child, and why it failed last.
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
