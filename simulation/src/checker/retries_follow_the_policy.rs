use std::collections::BTreeMap;
use std::sync::Arc;

use rebuilder_actors::domain::queue::{Job, Settings};
use rebuilder_actors::protocol::stored::{JobState, Outcome, ReportRecord, StoredPlace};
use rebuilder_actors::protocol::{Epoch, InputId, UtcMillis, Verdict};

use super::Checker;
use crate::observation::Observation;

/// The n-th retry is due n times the base after the acceptance of the verdict that called for it,
/// at most as often as the memberships allow; nothing but such a verdict uses one up, nothing is
/// granted before its time, and nothing again once it is decided.
#[derive(Default)]
pub(super) struct RetriesFollowThePolicy {
    jobs: BTreeMap<InputId, History>,
}

#[derive(Default)]
struct History {
    job: Option<Arc<Job>>,
    newest: Epoch,
    state: Option<Arc<JobState>>,
    /// A state that counts one retry more, until the report that it follows from is seen.
    called: Option<Arc<JobState>>,
    /// A state that is decided, until the report that it follows from is seen.
    decided: Option<Arc<JobState>>,
    /// Not before; `None`: never.
    due: Option<UtcMillis>,
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
                self.jobs.entry(job.id).or_default().job = Some(job.clone());
            }
            Observation::Stored(id, state) => {
                let history = self.jobs.entry(*id).or_default();
                history.follow(state);
            }
            Observation::Accepted(record, _) => {
                let history = self.jobs.entry(record.attempt.job).or_default();
                let (called, decided) = (history.called.take(), history.decided.take());
                if let Some(state) = called {
                    history.check_called(settings, record, &state)?;
                }
                if let Some(state) = decided {
                    history.check_decided(settings, record, &state)?;
                }
            }
            Observation::Assigned { attempt, utc, .. } => {
                let history = self.jobs.entry(attempt.job).or_default();
                if history.called.is_some() || history.decided.is_some() {
                    return Err(format!("job {}: no verdict called for this", attempt.job));
                }
                if attempt.epoch <= history.newest {
                    return Ok(());
                }
                history.newest = attempt.epoch;
                // A clock that steps back does not take back what was due.
                if history.due.is_none_or(|due| due > utc.1) {
                    return Err(format!("attempt {attempt} at {utc:?}, due {:?}", history.due));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl History {
    fn follow(&mut self, state: &Arc<JobState>) {
        let before = self.state.replace(state.clone());
        let retries = before.as_ref().map_or(0, |before| before.retries);
        if state.retries > retries {
            self.called = Some(state.clone());
        }
        match &state.place {
            StoredPlace::Queued { due, .. } => self.due = Some(*due),
            StoredPlace::Decided => {
                if before.is_none_or(|before| before.place != StoredPlace::Decided) {
                    self.decided = Some(state.clone());
                }
                self.due = None;
            }
            StoredPlace::Dropped => self.due = None,
            // A lease that begins again may do so in a parking.
            StoredPlace::Parked { .. } | StoredPlace::Leased { .. } => {}
        }
    }

    fn retries_max(&self, settings: &Settings) -> Option<u32> {
        let memberships = self.job.as_ref().map(|job| job.memberships()).unwrap_or_default();
        let own = memberships.iter().map(|membership| {
            let policy = settings.profiles.get(&membership.profile);
            policy.and_then(|policy| policy.max_retries).or(settings.retry.max_retries)
        });
        let own: Vec<Option<u32>> = own.collect();
        match own.is_empty() {
            true => settings.retry.max_retries,
            false if own.contains(&None) => None,
            false => own.into_iter().max().flatten(),
        }
    }

    /// A state counts one retry more: the report must be a verdict that calls for it.
    fn check_called(
        &self,
        settings: &Settings,
        record: &ReportRecord,
        state: &JobState,
    ) -> Result<(), String> {
        let attempt = record.attempt;
        if is_reproduced(record) != Some(false) {
            return Err(format!("attempt {attempt}: {:?} used up a retry", record.outcome));
        }
        let max = self.retries_max(settings);
        if max.is_some_and(|max| state.retries > max) {
            return Err(format!("attempt {attempt}: retry {} of {max:?}", state.retries));
        }
        let delay = settings.retry.delay_base * state.retries;
        let wanted = record.accepted_at.plus(delay);
        match &state.place {
            StoredPlace::Queued { due, .. } if *due == wanted => Ok(()),
            place => Err(format!("attempt {attempt}: retry {wanted:?} is {place:?}")),
        }
    }

    /// A job is decided: reproduced, or without a retry left.
    fn check_decided(
        &self,
        settings: &Settings,
        record: &ReportRecord,
        state: &JobState,
    ) -> Result<(), String> {
        let attempt = record.attempt;
        match is_reproduced(record) {
            None => Err(format!("attempt {attempt}: a fault decided the job")),
            Some(true) => Ok(()),
            Some(false) => match self.retries_max(settings) {
                Some(max) if state.retries >= max => Ok(()),
                max => {
                    Err(format!("attempt {attempt}: decided after {} of {max:?}", state.retries))
                }
            },
        }
    }
}

/// `None` for a fault.
fn is_reproduced(record: &ReportRecord) -> Option<bool> {
    match &record.outcome {
        Outcome::Fault(_) => None,
        Outcome::BuildFailed { .. } => Some(false),
        Outcome::Verdicts(rows) => Some(rows.iter().all(|(_, v, _)| *v == Verdict::Reproduced)),
    }
}
