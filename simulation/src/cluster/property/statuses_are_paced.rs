use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use super::Property;
use crate::cluster::event::ClusterEvent;

/// Of a flood of statuses at most ten a second are handled for one connection, and ten more after
/// a pause.
#[derive(Default)]
pub(super) struct StatusesArePaced {
    /// By connection, when the last ones were handled.
    handled: BTreeMap<u64, VecDeque<Duration>>,
}

/// Statuses in [`WINDOW`]: the pace, the burst, and one for a clock that runs too fast.
const MAX: usize = 10 * 5 + 10 + 1;
const WINDOW: Duration = Duration::from_secs(5);

impl Property for StatusesArePaced {
    fn name(&self) -> &'static str {
        "statuses_are_paced"
    }

    fn see(&mut self, event: &ClusterEvent) -> Result<(), String> {
        let ClusterEvent::StatusHandled(connection, at) = event else { return Ok(()) };
        let handled = self.handled.entry(*connection).or_default();
        handled.push_back(*at);
        while handled.front().is_some_and(|first| *at - *first > WINDOW) {
            handled.pop_front();
        }
        if handled.len() > MAX {
            let (count, secs) = (handled.len(), WINDOW.as_secs());
            return Err(format!("{count} statuses of one connection were handled in {secs} s"));
        }
        Ok(())
    }
}
