use std::collections::{BTreeMap, BTreeSet};

use rebuilder_actors::domain::queue::{JobPlace, Settings};
use rebuilder_actors::protocol::{AttemptId, InputId, JobKey};

use super::Checker;
use crate::observation::{Directive, Named, Observation};

/// No attempt begins at a version that no index names any more, nor at one that an operator
/// dropped and nobody pushed since.
#[derive(Default)]
pub(super) struct DroppedVersionsStop {
    keys: BTreeMap<InputId, JobKey>,
    named: BTreeMap<Box<str>, Named>,
    /// Named by an index whose end was not seen yet.
    coming: BTreeSet<InputId>,
    dropped: BTreeSet<InputId>,
    begun: BTreeSet<AttemptId>,
}

impl Checker for DroppedVersionsStop {
    fn name(&self) -> &'static str {
        "dropped_versions_stop"
    }

    fn observe(&mut self, _: u64, _: &Settings, observation: &Observation) -> Result<(), String> {
        match observation {
            Observation::Wanted(job) => {
                self.keys.entry(job.id).or_insert_with(|| JobKey::clone(&job.key));
                if job.is_wanted() {
                    self.coming.insert(job.id);
                } else {
                    self.coming.remove(&job.id);
                }
            }
            Observation::Indexed(profile, named) => {
                self.named.insert(profile.clone(), named.clone());
                let (keys, all) = (&self.keys, &self.named);
                let known = |id: &InputId| all.values().any(|named| named.contains(&keys[id]));
                self.coming.retain(|id| !known(id));
            }
            Observation::Placed(id, JobPlace::Dropped) => {
                self.dropped.insert(*id);
            }
            Observation::Ordered(Directive::Push(filter)) => {
                let keys = &self.keys;
                let meant = |id: &InputId| {
                    filter.name.as_ref().is_none_or(|name| **name == *keys[id].source)
                };
                self.dropped.retain(|id| !meant(id));
            }
            Observation::Assigned { attempt, .. } if self.begun.insert(*attempt) => {
                let id = attempt.job;
                let Some(key) = self.keys.get(&id) else { return Ok(()) };
                if self.dropped.contains(&id) {
                    return Err(format!("attempt {attempt} of {} was dropped", key.source));
                }
                let named = self.named.values().any(|named| named.contains(key));
                if !named && !self.coming.contains(&id) {
                    let (source, version) = (&key.source, &key.version);
                    return Err(format!("attempt {attempt}: nobody names {source} {version}"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
