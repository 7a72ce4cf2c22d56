use std::collections::BTreeMap;

use rebuilder_actors::domain::queue::Settings;
use rebuilder_actors::protocol::AttemptId;
use rebuilder_actors::protocol::stored::v1::Outcome;

use super::Checker;
use crate::core::Observation;

/// An accepted report is a verdict, with a build, exactly if its worker signed one.
#[derive(Default)]
pub(super) struct FaultIsNeverAVerdict {
    /// Whether each attempt's report is a fault.
    signed: BTreeMap<AttemptId, bool>,
}

impl Checker for FaultIsNeverAVerdict {
    fn name(&self) -> &'static str {
        "fault_is_never_a_verdict"
    }

    fn observe(&mut self, _: u64, _: &Settings, observation: &Observation) -> Result<(), String> {
        match observation {
            Observation::Signed { attempt, fault, .. } => {
                self.signed.insert(*attempt, *fault);
            }
            Observation::Accepted(record, _) => {
                let attempt = record.attempt;
                let Some(fault) = self.signed.get(&attempt) else {
                    return Err(format!("attempt {attempt} was accepted and never signed"));
                };
                let kept = matches!(record.outcome, Outcome::Fault(_));
                if kept != *fault || record.build.is_none() != *fault {
                    return Err(format!("attempt {attempt}, fault {fault}, became {record:?}"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
