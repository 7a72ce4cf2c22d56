//! Properties that only the whole system can break, one a file.

mod nothing_leaves_before_its_commit;
mod slots_are_respected;
mod verdicts_tell_what_was_built;

use super::sight::Sight;
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
    fn see(&mut self, _sight: &Sight) -> Result<(), String> {
        Ok(())
    }
}

/// One of each.
pub(super) fn all() -> Vec<Box<dyn Property>> {
    vec![
        Box::new(nothing_leaves_before_its_commit::NothingLeavesBeforeItsCommit::default()),
        Box::new(slots_are_respected::SlotsAreRespected::default()),
        Box::new(verdicts_tell_what_was_built::VerdictsTellWhatWasBuilt::default()),
    ]
}
