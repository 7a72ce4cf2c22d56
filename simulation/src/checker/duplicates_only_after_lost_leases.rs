use std::collections::BTreeMap;

use rebuilder_actors::domain::queue::{JobPlace, Settings};
use rebuilder_actors::protocol::wire::v1::coordinator::Answer;
use rebuilder_actors::protocol::{AttemptId, Epoch, GrantNumber, InputId};

use super::Checker;
use crate::observation::Observation;

/// A second attempt begins only when the one before ended: answered, ordered away, its worker's
/// process gone, or its worker silent for a whole lease in which the coordinator listened.
#[derive(Default)]
pub(super) struct DuplicatesOnlyAfterLostLeases {
    current: BTreeMap<InputId, Attempt>,
    newest: BTreeMap<InputId, Epoch>,
    /// The newest grant that each worker says it knows; a liar may name one that is to come.
    claimed: BTreeMap<usize, GrantNumber>,
}

struct Attempt {
    epoch: Epoch,
    worker: usize,
    number: GrantNumber,
    /// When the lease was last known to go on.
    since: u64,
    ended: bool,
}

/// Longest time between a decision and its commit, milliseconds.
const COMMIT_MS_MAX: u64 = 60_000;

impl Checker for DuplicatesOnlyAfterLostLeases {
    fn name(&self) -> &'static str {
        "duplicates_only_after_lost_leases"
    }

    fn hears(&self) -> bool {
        true
    }

    fn observe(
        &mut self,
        now: u64,
        settings: &Settings,
        observation: &Observation,
    ) -> Result<(), String> {
        let lease = u64::try_from(settings.lease.as_millis()).unwrap_or(u64::MAX);
        let lost = |since: u64| now + COMMIT_MS_MAX >= since + lease;
        match observation {
            Observation::Heard { worker, seen, running, spooled, .. } => {
                let claimed = self.claimed.entry(*worker).or_default();
                *claimed = (*claimed).max(*seen);
                for (job, attempt) in &mut self.current {
                    if attempt.worker != *worker {
                        continue;
                    }
                    let id = AttemptId { job: *job, epoch: attempt.epoch };
                    let known = running.contains(&id) || spooled.contains(&id);
                    // A worker that saw the grant and does not know it, or was restarted.
                    attempt.ended |= lost(attempt.since) || (!known && *seen >= attempt.number);
                    attempt.since = now;
                }
            }
            Observation::Placed(id, JobPlace::Parked(_)) => {
                if let Some(attempt) = self.current.get_mut(id) {
                    attempt.ended = true;
                }
            }
            Observation::Stored(id, state) => {
                if let Some(attempt) = self.current.get_mut(id) {
                    let mut answered = state.grants.iter().filter(|grant| grant.answered);
                    attempt.ended |= answered.any(|grant| grant.epoch == attempt.epoch);
                }
            }
            // The coordinator heard nobody: of that time two thirtieths of a lease may count.
            Observation::Stalled(ms) => {
                let counted = 2 * (lease / 30).max(1000);
                let stall = ms.saturating_sub(counted);
                self.current.values_mut().for_each(|attempt| attempt.since += stall);
            }
            Observation::WorkerCrashed(worker) => {
                let theirs = self.current.values_mut().filter(|a| a.worker == *worker);
                theirs.for_each(|attempt| attempt.ended = true);
            }
            Observation::CoordinatorStarted => {
                // What was lost before the crash stays lost; every other lease gets a whole period.
                for attempt in self.current.values_mut() {
                    attempt.ended |= lost(attempt.since);
                    attempt.since = now;
                }
            }
            Observation::Ordered(_) => {
                self.current.values_mut().for_each(|attempt| attempt.ended = true);
            }
            Observation::Accepted(record, _) => {
                if let Some(attempt) = self.current.get_mut(&record.attempt.job) {
                    attempt.ended |=
                        record.build.is_some() || attempt.epoch == record.attempt.epoch;
                }
            }
            Observation::Answered { attempt, answer: Answer::Superseded, .. } => {
                if let Some(current) = self.current.get_mut(&attempt.job) {
                    current.ended |= current.epoch == attempt.epoch;
                }
            }
            Observation::Assigned { attempt, worker, number, .. } => {
                return self.assigned(now, lease, *attempt, *worker, *number);
            }
            _ => {}
        }
        Ok(())
    }
}

impl DuplicatesOnlyAfterLostLeases {
    fn assigned(
        &mut self,
        now: u64,
        lease: u64,
        attempt: AttemptId,
        worker: usize,
        number: GrantNumber,
    ) -> Result<(), String> {
        self.current.retain(|_, before| !before.ended);
        let newest = self.newest.entry(attempt.job).or_default();
        if attempt.epoch <= *newest {
            return Ok(());
        }
        *newest = attempt.epoch;
        let ended = self.claimed.get(&worker).is_some_and(|claimed| *claimed >= number);
        let begun = Attempt { epoch: attempt.epoch, worker, number, since: now, ended };
        match self.current.insert(attempt.job, begun) {
            Some(before) if now + COMMIT_MS_MAX < before.since + lease => {
                Err(format!("attempt {attempt} while {:?} goes on", before.epoch))
            }
            _ => Ok(()),
        }
    }
}
