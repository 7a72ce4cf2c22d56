use rebuilder_actors::domain::queue::Settings;

use super::Checker;
use crate::observation::Observation;

/// Nobody ever holds more of something than its limit.
pub(super) struct MemoryIsBounded;

impl Checker for MemoryIsBounded {
    fn name(&self) -> &'static str {
        "memory_is_bounded"
    }

    fn observe(&mut self, _: u64, _: &Settings, observation: &Observation) -> Result<(), String> {
        match observation {
            Observation::Holds { node, what, amount, limit } if amount > limit => {
                Err(format!("{node} holds {amount} {what}, at most {limit} are allowed"))
            }
            _ => Ok(()),
        }
    }
}
