use std::collections::BTreeMap;

use rebuilder_actors::domain::queue::Settings;
use rebuilder_actors::protocol::{AttemptId, Epoch, GrantNumber, InputId};

use super::Checker;
use crate::observation::Observation;

/// An attempt is granted to one worker, a number to one attempt, and epochs only grow: through
/// every restart.
#[derive(Default)]
pub(super) struct LeaseIsExclusive {
    attempts: BTreeMap<AttemptId, (usize, GrantNumber)>,
    numbers: BTreeMap<GrantNumber, AttemptId>,
    newest: BTreeMap<InputId, Epoch>,
}

impl Checker for LeaseIsExclusive {
    fn name(&self) -> &'static str {
        "lease_is_exclusive"
    }

    fn observe(&mut self, _: u64, _: &Settings, observation: &Observation) -> Result<(), String> {
        let Observation::Assigned { number, attempt, worker, .. } = observation else {
            return Ok(());
        };
        let grant = self.attempts.entry(*attempt).or_insert((*worker, *number));
        if *grant != (*worker, *number) {
            return Err(format!("attempt {attempt} of {grant:?} went to {worker} as {number:?}"));
        }
        let named = self.numbers.entry(*number).or_insert(*attempt);
        if named != attempt {
            return Err(format!("{number:?} is attempt {named} and attempt {attempt}"));
        }
        let newest = self.newest.entry(attempt.job).or_default();
        if attempt.epoch < *newest {
            return Err(format!("attempt {attempt} was sent after {newest:?}"));
        }
        *newest = attempt.epoch;
        Ok(())
    }
}
