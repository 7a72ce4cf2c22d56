use std::collections::BTreeMap;

use rebuilder_actors::domain::queue::{RetryPolicy, Settings};
use rebuilder_actors::port::UtcMillis;
use rebuilder_actors::protocol::stored::v1::{Outcome, ReportRecord};
use rebuilder_actors::protocol::{Epoch, InputId, Verdict};

use super::Checker;
use crate::core::Observation;

/// After a verdict that is not `Reproduced` nothing is granted before its time, nor ever again once
/// the limit is reached, unless somebody asked or something new is wanted.
#[derive(Default)]
pub(super) struct RetriesFollowThePolicy {
    jobs: BTreeMap<InputId, History>,
}

#[derive(Default)]
struct History {
    newest: Epoch,
    /// The newest attempt with a verdict.
    judged: Epoch,
    retries: u32,
    /// Not before; `None`: never.
    due: Option<UtcMillis>,
    reproduced: bool,
    /// True when it is wanted otherwise than at the last grant.
    changed: bool,
}

impl Checker for RetriesFollowThePolicy {
    fn name(&self) -> &'static str {
        "retries_follow_the_policy"
    }

    fn observe(
        &mut self,
        _: u64,
        settings: &Settings,
        observation: &Observation,
    ) -> Result<(), String> {
        match observation {
            Observation::Wanted(job) => {
                let history = self.jobs.entry(job.id).or_default();
                history.changed = true;
                history.due = Some(UtcMillis(0));
                history.reproduced = false;
            }
            Observation::Ordered => {
                for history in self.jobs.values_mut() {
                    *history = History {
                        newest: history.newest,
                        due: Some(UtcMillis(0)),
                        changed: true,
                        ..History::default()
                    };
                }
            }
            Observation::Accepted(record, _) => self.accepted(&settings.retry, record),
            Observation::Assigned { attempt, utc, .. } => {
                let history = self.jobs.entry(attempt.job).or_default();
                if attempt.epoch <= history.newest {
                    return Ok(());
                }
                history.newest = attempt.epoch;
                history.changed = false;
                // A clock that steps back does not take back what was due.
                if history.reproduced || history.due.is_none_or(|due| due > utc.1) {
                    return Err(format!("attempt {attempt} at {utc:?}, due {:?}", history.due));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl RetriesFollowThePolicy {
    fn accepted(&mut self, policy: &RetryPolicy, record: &ReportRecord) {
        let reproduced = match &record.outcome {
            Outcome::Fault(_) => return,
            Outcome::BuildFailed { .. } => false,
            Outcome::Verdicts(rows) => rows.iter().all(|(_, v, _)| *v == Verdict::Reproduced),
        };
        let history = self.jobs.entry(record.attempt.job).or_default();
        let overtaken = record.attempt.epoch < history.judged;
        history.judged = history.judged.max(record.attempt.epoch);
        if history.changed || history.reproduced || (overtaken && !reproduced) {
            return;
        }
        if reproduced {
            history.reproduced = true;
            history.retries = 0;
            return;
        }
        history.due = policy.next(history.retries).map(|delay| record.accepted_at.plus(delay));
        history.retries += 1;
    }
}
