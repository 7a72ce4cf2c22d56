use std::collections::{BTreeMap, BTreeSet};

use rebuilder_actors::protocol::AttemptId;

use super::Property;
use crate::cluster::event::ClusterEvent;
use crate::observation::Observation;

/// An assignment that arrives finds a free slot: what the worker told of its slots was heard, and
/// what it was given before counts.
#[derive(Default)]
pub(super) struct SlotsAreRespected {
    slots: BTreeMap<usize, usize>,
    occupied: BTreeMap<usize, BTreeSet<AttemptId>>,
}

impl Property for SlotsAreRespected {
    fn name(&self) -> &'static str {
        "slots_are_respected"
    }

    fn observe(&mut self, observation: &Observation) -> Result<(), String> {
        if let Observation::Admitted { worker, offer, .. } = observation {
            self.slots.insert(*worker, usize::from(offer.slots));
        }
        Ok(())
    }

    fn see(&mut self, event: &ClusterEvent) -> Result<(), String> {
        match event {
            ClusterEvent::Occupied(worker, running) => {
                self.occupied.insert(*worker, running.iter().copied().collect());
            }
            ClusterEvent::AssignArrived(worker, attempt) => {
                let slots = self.slots.get(worker).copied().unwrap_or(usize::MAX);
                let occupied = self.occupied.entry(*worker).or_default();
                if !occupied.contains(attempt) && occupied.len() >= slots {
                    return Err(format!(
                        "attempt {attempt} finds the {slots} slots of worker-{worker} taken by \
                         {occupied:?}"
                    ));
                }
                occupied.insert(*attempt);
            }
            _ => {}
        }
        Ok(())
    }
}
