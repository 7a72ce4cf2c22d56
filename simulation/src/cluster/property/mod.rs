//! Properties that only the whole system can break, one a file.

mod memory_is_bounded;
mod nothing_leaves_before_its_commit;
mod verdicts_tell_what_was_built;

use core::time::Duration;

use super::sight::Sight;
use super::world::Node;
use crate::core::{End, Observation};

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

    /// Sees what happened at `at`, since the world began.
    ///
    /// # Errors
    /// The property is broken.
    fn see(&mut self, _at: Duration, _node: Node, _sight: &Sight) -> Result<(), String> {
        Ok(())
    }

    /// Sees how it ended.
    ///
    /// # Errors
    /// The property is broken.
    fn finish(&mut self, _end: &End) -> Result<(), String> {
        Ok(())
    }
}

/// One of each.
pub(super) fn all() -> Vec<Box<dyn Property>> {
    vec![
        Box::new(memory_is_bounded::MemoryIsBounded),
        Box::new(nothing_leaves_before_its_commit::NothingLeavesBeforeItsCommit::default()),
        Box::new(verdicts_tell_what_was_built::VerdictsTellWhatWasBuilt::default()),
    ]
}
