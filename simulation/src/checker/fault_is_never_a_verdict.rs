use std::collections::BTreeMap;

use rebuilder_actors::domain::queue::Settings;
use rebuilder_actors::protocol::stored::Outcome;
use rebuilder_actors::protocol::{AttemptId, Ending};

use super::Checker;
use crate::observation::Observation;

/// An accepted report is a verdict, with a build, exactly if its worker signed one.
#[derive(Default)]
pub(super) struct FaultIsNeverAVerdict {
    /// Whether what was signed about each attempt was a fault, a verdict, or (by liars) both.
    signed: BTreeMap<AttemptId, Signed>,
}

#[derive(Default)]
struct Signed {
    fault: bool,
    verdict: bool,
}

impl Checker for FaultIsNeverAVerdict {
    fn name(&self) -> &'static str {
        "fault_is_never_a_verdict"
    }

    fn observe(&mut self, _: u64, _: &Settings, observation: &Observation) -> Result<(), String> {
        match observation {
            Observation::Signed { attempt, ending, .. } => {
                let signed = self.signed.entry(*attempt).or_default();
                let fault = matches!(**ending, Ending::Fault(_));
                signed.fault |= fault;
                signed.verdict |= !fault;
            }
            Observation::Accepted(record, _) => {
                let attempt = record.attempt;
                let Some(signed) = self.signed.get(&attempt) else {
                    return Err(format!("attempt {attempt} was accepted and never signed"));
                };
                let fault = matches!(record.outcome, Outcome::Fault(_));
                let is_signed = if fault { signed.fault } else { signed.verdict };
                if !is_signed || record.build.is_none() != fault {
                    return Err(format!("attempt {attempt}: signed otherwise than {record:?}"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
