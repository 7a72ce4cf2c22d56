use std::collections::BTreeMap;

use rebuilder_actors::domain::queue::Settings;
use rebuilder_actors::protocol::stored::{Outcome, StoredPlace};
use rebuilder_actors::protocol::{FaultKind, GrantNumber, InputId};

use super::Checker;
use super::farm::Farm;
use crate::observation::Observation;

/// No job that is due waits while a worker that suits it tells again and again of a free slot.
#[derive(Default)]
pub(super) struct NoProgressIsNoticed {
    farm: Farm,
    workers: BTreeMap<usize, Reported>,
    /// Attempts in a row that ended in faults of the machine, and since when that is so.
    failing: BTreeMap<usize, (u32, u64)>,
    due_since: BTreeMap<InputId, u64>,
}

#[derive(Default)]
struct Reported {
    heard: u64,
    /// Since when each status told of a free slot; `None`: the last did not.
    idle_since: Option<u64>,
    /// The last grant that was sent to it.
    sent: GrantNumber,
    looked: u64,
}

/// Longest time between a status and the assignment that it leads to, milliseconds: a commit of 5
/// seconds, and those that wait before it.
const GRANT_MS_MAX: u64 = 180_000;
/// A worker whose attempts fail is set aside for at most so long, milliseconds.
const ASIDE_MS_MAX: u64 = 3_600_000;
/// A worker that was silent for longer begins anew.
const SILENCE_MS_MAX: u64 = 14_000;
/// Every so many milliseconds of a worker's statuses the jobs are looked through.
const LOOK_MS: u64 = 60_000;

impl Checker for NoProgressIsNoticed {
    fn name(&self) -> &'static str {
        "no_progress_is_noticed"
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
        self.farm.observe(settings, observation);
        match observation {
            Observation::Accepted(record, _) => {
                let Some(worker) = self.farm.index(record.worker) else { return Ok(()) };
                match &record.outcome {
                    Outcome::Fault(fault) if is_of_the_machine(fault.kind) => {
                        let (count, since) = self.failing.entry(worker).or_default();
                        (*count, *since) = (*count + 1, now);
                    }
                    Outcome::Fault(_) => {}
                    _ => drop(self.failing.remove(&worker)),
                }
            }
            // The coordinator's own stall does not count for that hour either.
            Observation::Stalled(ms) => {
                self.failing.values_mut().for_each(|(_, since)| *since += ms);
            }
            Observation::CoordinatorStarted => {
                self.failing.clear();
                self.workers.clear();
                self.due_since.clear();
            }
            Observation::Left(worker) => drop(self.workers.remove(worker)),
            Observation::Admitted { worker, .. } => {
                self.workers.insert(*worker, Reported::default());
            }
            Observation::Stored(id, _) => drop(self.due_since.remove(id)),
            Observation::Assigned { worker, number, .. } => {
                let told = self.workers.entry(*worker).or_default();
                told.sent = told.sent.max(*number);
                told.idle_since = None;
            }
            Observation::Heard { worker, seen, running, spooled, utc, .. } => {
                let Some(offer) = self.farm.offer(*worker) else { return Ok(()) };
                let told = self.workers.entry(*worker).or_default();
                let steady = now <= told.heard + SILENCE_MS_MAX;
                told.heard = now;
                // A worker whose reports do not get through is given nothing either.
                let free = running.len() < usize::from(offer.slots) && spooled.is_empty();
                // One that fails again and again is left alone for an hour at most.
                let failing = self.failing.get(worker);
                let aside = failing.is_some_and(|(n, since)| *n >= 4 && now < since + ASIDE_MS_MAX);
                if !free || told.sent > *seen || !steady || aside {
                    told.idle_since = None;
                    return Ok(());
                }
                let since = *told.idle_since.get_or_insert(now);
                if now >= told.looked + LOOK_MS {
                    told.looked = now;
                    return self.look(now, *worker, since, utc.0);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn is_of_the_machine(kind: FaultKind) -> bool {
    matches!(kind, FaultKind::WorkerFailed | FaultKind::DiskFull | FaultKind::BackendMissing)
}

impl NoProgressIsNoticed {
    fn look(&mut self, now: u64, worker: usize, idle: u64, utc: i64) -> Result<(), String> {
        for (id, state) in &self.farm.states {
            let StoredPlace::Queued { due, .. } = &state.place else { continue };
            if due.0 > utc || !self.farm.suits(worker, *id) {
                self.due_since.remove(id);
                continue;
            }
            let since = *self.due_since.entry(*id).or_insert(now);
            let waits = now - since.max(idle);
            if waits > GRANT_MS_MAX {
                let text = format!("job {id} is due and worker-{worker} idle since {waits} ms");
                return Err(text);
            }
        }
        Ok(())
    }
}
