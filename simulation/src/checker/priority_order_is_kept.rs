use std::collections::BTreeMap;

use rebuilder_actors::domain::queue::Settings;
use rebuilder_actors::protocol::stored::{JobState, StoredPlace, Waiting};
use rebuilder_actors::protocol::{Epoch, InputId, UtcMillis};

use super::Checker;
use super::farm::Farm;
use crate::observation::Observation;

/// A worker is given a job only when no other one that is due and suits it comes before: smaller
/// priority, then an earlier day.
///
/// The states as they become durable are the states that the queue saw, in its order.
#[derive(Default)]
pub(super) struct PriorityOrderIsKept {
    farm: Farm,
    newest: BTreeMap<InputId, Epoch>,
}

impl Checker for PriorityOrderIsKept {
    fn name(&self) -> &'static str {
        "priority_order_is_kept"
    }

    fn observe(
        &mut self,
        _: u64,
        settings: &Settings,
        observation: &Observation,
    ) -> Result<(), String> {
        self.farm.observe(settings, observation);
        let Observation::Stored(id, state) = observation else { return Ok(()) };
        let newest = self.newest.entry(*id).or_default();
        // A lease that begins again keeps its number: that is no choice.
        let begins = state.epoch > *newest;
        *newest = state.epoch.max(*newest);
        match &state.place {
            StoredPlace::Leased { waiting, worker, granted_at } if begins => {
                match self.farm.index(*worker) {
                    Some(worker) => self.check(*id, waiting, worker, *granted_at),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}

impl PriorityOrderIsKept {
    fn check(
        &self,
        granted: InputId,
        waiting: &Waiting,
        worker: usize,
        now: UtcMillis,
    ) -> Result<(), String> {
        let due = |state: &JobState| match &state.place {
            StoredPlace::Queued { waiting, due } if *due <= now => Some(rank(waiting)),
            _ => None,
        };
        let before = self.farm.states.iter().find(|(id, state)| {
            due(state).is_some_and(|other| other < rank(waiting)) && self.farm.suits(worker, **id)
        });
        match before {
            Some((id, _)) => Err(format!(
                "worker-{worker} was given job {granted} with priority {}, job {id} comes before",
                waiting.priority
            )),
            None => Ok(()),
        }
    }
}

fn rank(waiting: &Waiting) -> (i32, i64) {
    (waiting.priority, waiting.queued_at.day())
}
