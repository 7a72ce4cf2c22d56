use std::collections::BTreeMap;

use rebuilder_actors::protocol::AttemptId;
use rebuilder_actors::protocol::stored::Outcome;

use super::Property;
use crate::cluster::event::{ClusterEvent, Made};
use crate::observation::Observation;

/// What is accepted of an honest worker is what its builder truly made: file by file, equal digests
/// are `Reproduced` and others are not, and a machine that failed is never a verdict.
#[derive(Default)]
pub(super) struct VerdictsTellWhatWasBuilt {
    made: BTreeMap<AttemptId, (Made, bool)>,
}

impl Property for VerdictsTellWhatWasBuilt {
    fn name(&self) -> &'static str {
        "verdicts_tell_what_was_built"
    }

    fn see(&mut self, event: &ClusterEvent) -> Result<(), String> {
        if let ClusterEvent::Made(attempt, made, honest) = event {
            self.made.insert(*attempt, (made.clone(), *honest));
        }
        Ok(())
    }

    fn observe(&mut self, observation: &Observation) -> Result<(), String> {
        let Observation::Accepted(record, _) = observation else { return Ok(()) };
        let attempt = record.attempt;
        let Some((made, honest)) = self.made.get(&attempt) else {
            return Err(format!("attempt {attempt} was accepted and nobody built it"));
        };
        let same = match (&record.outcome, made) {
            (Outcome::Verdicts(rows), Made::Files(files)) => {
                let rows = rows.iter().map(|(file, verdict, _)| (file, verdict));
                rows.eq(files.iter().map(|(file, verdict)| (file, verdict)))
            }
            (Outcome::BuildFailed { .. }, Made::Failed) => true,
            // A log that could not be written makes any attempt a fault.
            (Outcome::Fault(_), _) => true,
            _ => false,
        };
        if same || !honest {
            return Ok(());
        }
        Err(format!("attempt {attempt} made {made:?} and became {:?}", record.outcome))
    }
}
