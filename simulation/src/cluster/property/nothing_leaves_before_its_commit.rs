use std::collections::BTreeSet;

use rebuilder_actors::protocol::AttemptId;
use rebuilder_actors::protocol::wire::v1::coordinator::Answer;

use super::Property;
use crate::cluster::event::ClusterEvent;
use crate::observation::Observation;

/// An assignment or an acceptance leaves the coordinator only when the store has what it says.
#[derive(Default)]
pub(super) struct NothingLeavesBeforeItsCommit {
    granted: BTreeSet<AttemptId>,
    accepted: BTreeSet<AttemptId>,
    /// Answered for good before: a fault that changed nothing is called accepted when it is offered
    /// again, as the store does not tell it from one that counts.
    answered: BTreeSet<AttemptId>,
}

impl Property for NothingLeavesBeforeItsCommit {
    fn name(&self) -> &'static str {
        "nothing_leaves_before_its_commit"
    }

    fn observe(&mut self, observation: &Observation) -> Result<(), String> {
        match observation {
            Observation::Assigned { attempt, .. } => {
                self.granted.insert(*attempt);
            }
            Observation::Accepted(record, _) => {
                self.accepted.insert(record.attempt);
            }
            _ => {}
        }
        Ok(())
    }

    fn see(&mut self, event: &ClusterEvent) -> Result<(), String> {
        match event {
            ClusterEvent::AssignLeft(attempt) if !self.granted.contains(attempt) => {
                Err(format!("attempt {attempt} was sent before its grant was durable"))
            }
            ClusterEvent::AnswerLeft(attempt, Answer::Accepted)
                if !self.accepted.contains(attempt) && !self.answered.contains(attempt) =>
            {
                Err(format!("attempt {attempt} was called accepted before it was durable"))
            }
            ClusterEvent::AnswerLeft(attempt, Answer::Superseded) => {
                self.answered.insert(*attempt);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
