use std::collections::{BTreeMap, BTreeSet};

use rebuilder_actors::domain::queue::{JobPlace, Settings};
use rebuilder_actors::protocol::stored::{self, JobRecord, Record};
use rebuilder_actors::protocol::{InputId, JobKey};

use super::Checker;
use crate::observation::{End, Observation};

/// Every job that an index names is in the store and wanted, no other one is, none moves before it
/// was told of, and none runs without having been assigned.
#[derive(Default)]
pub(super) struct NoJobIsLostOrStuck {
    known: BTreeMap<InputId, JobKey>,
    running: BTreeMap<InputId, u32>,
}

impl Checker for NoJobIsLostOrStuck {
    fn name(&self) -> &'static str {
        "no_job_is_lost_or_stuck"
    }

    fn observe(&mut self, _: u64, _: &Settings, observation: &Observation) -> Result<(), String> {
        match observation {
            Observation::Wanted(job) => {
                let key = self.known.entry(job.id).or_insert_with(|| JobKey::clone(&job.key));
                if *key != *job.key {
                    return Err(format!(
                        "number {} was given to {key:?} and {:?}",
                        job.id, job.key
                    ));
                }
            }
            Observation::Placed(id, _) if !self.known.contains_key(id) => {
                return Err(format!("job {id} moved and nobody knows it"));
            }
            Observation::Placed(id, JobPlace::Running(epoch)) => {
                let newest = self.running.entry(*id).or_default();
                if *epoch < *newest {
                    return Err(format!("job {id} runs attempt {epoch} after {newest}"));
                }
                *newest = *epoch;
            }
            Observation::Assigned { attempt, .. }
                if self.running.get(&attempt.job) != Some(&attempt.epoch.0) =>
            {
                return Err(format!("attempt {attempt} was assigned and does not run"));
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, end: &End) -> Result<(), String> {
        let mut wanted = BTreeSet::new();
        for (_, value) in end.durable.iter().filter(|(key, _)| key[0] == JobRecord::TABLE) {
            let job: JobRecord = stored::read(value).map_err(|e| e.to_string())?;
            if !job.memberships.is_empty() {
                wanted.insert(job.key);
            }
        }
        match wanted.symmetric_difference(&end.wanted).next() {
            Some(key) => Err(format!("{key:?} is in the store or in the index, not in both")),
            None => Ok(()),
        }
    }
}
