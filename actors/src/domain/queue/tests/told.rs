use std::collections::BTreeMap;

use crate::domain::queue::{Fact, Progress, Pulse, WorkerTold};
use crate::protocol::stored::StoredPlace;
use crate::protocol::{AttemptId, InputId, WorkerId};

/// What a follower holds of workers.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Told {
    workers: BTreeMap<WorkerId, WorkerTold>,
    pulses: BTreeMap<WorkerId, Pulse>,
    /// Of jobs that are leased.
    progress: BTreeMap<AttemptId, Progress>,
    leased: BTreeMap<InputId, AttemptId>,
}

impl Told {
    pub(super) fn follow(&mut self, facts: &[Fact]) {
        for fact in facts {
            match fact {
                Fact::Worker(told) => drop(self.workers.insert(told.id, WorkerTold::clone(told))),
                Fact::Pulse(id, pulse) => drop(self.pulses.insert(*id, *pulse)),
                Fact::Progress(attempt, progress) => {
                    self.progress.insert(*attempt, *progress);
                }
                Fact::Placed(job, stand) => {
                    if let Some(attempt) = self.leased.remove(job) {
                        self.progress.remove(&attempt);
                    }
                    if matches!(stand.place, StoredPlace::Leased { .. }) {
                        self.leased.insert(*job, AttemptId { job: *job, epoch: stand.epoch });
                    }
                }
                _ => {}
            }
        }
    }
}
