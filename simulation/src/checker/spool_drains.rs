use std::collections::BTreeMap;

use rebuilder_actors::domain::queue::Settings;
use rebuilder_actors::protocol::AttemptId;

use super::Checker;
use crate::observation::{End, Observation};

/// Every report that a worker signed is answered in the end, and within an hour once there is no
/// more trouble.
#[derive(Default)]
pub(super) struct SpoolDrains {
    /// Signed and not answered, since when.
    waiting: BTreeMap<(usize, AttemptId), u64>,
    healed: Option<u64>,
}

/// After the trouble: reconnecting takes minutes, an answer seconds.
const ANSWER_MS_MAX: u64 = 3_600_000;

impl Checker for SpoolDrains {
    fn name(&self) -> &'static str {
        "spool_drains"
    }

    fn hears(&self) -> bool {
        true
    }

    fn observe(&mut self, now: u64, _: &Settings, observation: &Observation) -> Result<(), String> {
        match observation {
            Observation::Signed { attempt, worker, .. } => {
                self.waiting.insert((*worker, *attempt), now);
            }
            Observation::Answered { attempt, worker, .. } => {
                self.waiting.remove(&(*worker, *attempt));
            }
            Observation::Healed => self.healed = Some(now),
            Observation::Heard { worker, .. } => {
                let Some(healed) = self.healed else { return Ok(()) };
                let theirs = self.waiting.iter().filter(|((holder, _), _)| holder == worker);
                for ((worker, attempt), since) in theirs {
                    if now > (*since).max(healed) + ANSWER_MS_MAX {
                        return Err(format!("worker-{worker} waits for attempt {attempt}"));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, _: &End) -> Result<(), String> {
        match self.waiting.keys().next() {
            Some((worker, attempt)) => {
                Err(format!("the report of attempt {attempt} by worker-{worker} had no answer"))
            }
            None => Ok(()),
        }
    }
}
