//! Properties that only the whole system can break, one a file.

mod deaf_workers_are_closed;
mod known_keys_get_in;
mod nothing_leaves_before_its_commit;
mod only_the_owner_writes;
mod orders_to_stop_come_once;
mod slots_are_respected;
mod statuses_are_paced;
mod verdicts_tell_what_was_built;

use super::event::ClusterEvent;
use crate::observation::Observation;

/// One property.
pub trait Property: Send {
    /// How it is called.
    fn name(&self) -> &'static str;

    /// Sees what the coordinator committed.
    ///
    /// # Errors
    /// The property is broken.
    fn observe(&mut self, _observation: &Observation) -> Result<(), String> {
        Ok(())
    }

    /// Sees what happened at a node.
    ///
    /// # Errors
    /// The property is broken.
    fn see(&mut self, _sight: &ClusterEvent) -> Result<(), String> {
        Ok(())
    }
}

/// One of each.
pub(super) fn all() -> Vec<Box<dyn Property>> {
    vec![
        Box::new(deaf_workers_are_closed::DeafWorkersAreClosed),
        Box::new(known_keys_get_in::KnownKeysGetIn),
        Box::new(only_the_owner_writes::OnlyTheOwnerWrites::default()),
        Box::new(orders_to_stop_come_once::OrdersToStopComeOnce::default()),
        Box::new(statuses_are_paced::StatusesArePaced::default()),
        Box::new(nothing_leaves_before_its_commit::NothingLeavesBeforeItsCommit::default()),
        Box::new(slots_are_respected::SlotsAreRespected::default()),
        Box::new(verdicts_tell_what_was_built::VerdictsTellWhatWasBuilt::default()),
    ]
}
