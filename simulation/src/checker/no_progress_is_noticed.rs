use std::collections::BTreeMap;

use rebuilder_actors::domain::queue::Settings;
use rebuilder_actors::protocol::stored::v1::Place;
use rebuilder_actors::protocol::{GrantNumber, InputId};

use super::Checker;
use super::farm::Farm;
use crate::observation::Observation;

/// No job that is due waits while a worker that suits it tells again and again of a free slot.
#[derive(Default)]
pub(super) struct NoProgressIsNoticed {
    farm: Farm,
    workers: BTreeMap<usize, Told>,
    due_since: BTreeMap<InputId, u64>,
}

#[derive(Default)]
struct Told {
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
            Observation::CoordinatorStarted => {
                self.workers.clear();
                self.due_since.clear();
            }
            Observation::Left(worker) => drop(self.workers.remove(worker)),
            Observation::Admitted { worker, .. } => {
                self.workers.insert(*worker, Told::default());
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
                if !free || told.sent > *seen || !steady {
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

impl NoProgressIsNoticed {
    fn look(&mut self, now: u64, worker: usize, idle: u64, utc: i64) -> Result<(), String> {
        for (id, state) in &self.farm.states {
            let Place::Queued { due, .. } = &state.place else { continue };
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
