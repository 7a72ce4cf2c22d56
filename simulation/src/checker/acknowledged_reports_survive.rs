use std::collections::{BTreeMap, BTreeSet};

use rebuilder_actors::domain::queue::Settings;
use rebuilder_actors::protocol::stored::{self, Record, ReportRecord};
use rebuilder_actors::protocol::wire::v1::coordinator::Answer;
use rebuilder_actors::protocol::{AttemptId, BuildId};

use super::Checker;
use crate::observation::{End, Observation};

/// What a worker was told to be accepted is stored at the end, once; an honest one is never
/// refused.
#[derive(Default)]
pub(super) struct AcknowledgedReportsSurvive {
    accepted: BTreeSet<AttemptId>,
    /// Signed by a worker that lied about this attempt.
    lies: BTreeSet<(AttemptId, usize)>,
}

impl Checker for AcknowledgedReportsSurvive {
    fn name(&self) -> &'static str {
        "acknowledged_reports_survive"
    }

    fn observe(&mut self, _: u64, _: &Settings, observation: &Observation) -> Result<(), String> {
        if let Observation::Signed { attempt, worker, honest: false, .. } = observation {
            self.lies.insert((*attempt, *worker));
        }
        let Observation::Answered { attempt, worker, answer } = observation else {
            return Ok(());
        };
        match answer {
            Answer::Accepted => {
                self.accepted.insert(*attempt);
            }
            Answer::Superseded => {}
            Answer::Refused { .. } if self.lies.contains(&(*attempt, *worker)) => {}
            Answer::Refused { reason } => {
                return Err(format!("an honest report of attempt {attempt} was refused: {reason}"));
            }
        }
        Ok(())
    }

    fn finish(&mut self, end: &End) -> Result<(), String> {
        let mut stored: BTreeMap<AttemptId, u32> = BTreeMap::new();
        let mut builds: BTreeSet<BuildId> = BTreeSet::new();
        for (key, value) in end.durable.iter().filter(|(key, _)| key[0] == ReportRecord::TABLE) {
            let record: ReportRecord =
                stored::read(value).map_err(|e| format!("report {key:?}: {e}"))?;
            *stored.entry(record.attempt).or_default() += 1;
            if let Some(build) = record.build
                && !builds.insert(build)
            {
                return Err(format!("build {build} was given twice"));
            }
        }
        if let Some((attempt, count)) = stored.iter().find(|(_, count)| **count > 1) {
            return Err(format!("attempt {attempt} is stored {count} times"));
        }
        match self.accepted.iter().find(|attempt| !stored.contains_key(attempt)) {
            Some(attempt) => Err(format!("the report of attempt {attempt} is lost")),
            None => Ok(()),
        }
    }
}
