use std::collections::BTreeMap;
use std::sync::Arc;

use rebuilder_actors::domain::queue::{Job, Settings};
use rebuilder_actors::protocol::stored::JobState;
use rebuilder_actors::protocol::wire::Offer;
use rebuilder_actors::protocol::{InputId, PublicKey, WorkerId};

use crate::observation::Observation;

/// Who offers what, and what is asked for: what several checkers need to know. No checker itself.
#[derive(Default)]
pub(super) struct Farm {
    offers: BTreeMap<usize, Arc<Offer>>,
    keys: BTreeMap<PublicKey, usize>,
    ids: BTreeMap<WorkerId, usize>,
    pub(super) jobs: BTreeMap<InputId, Arc<Job>>,
    tags: BTreeMap<InputId, Vec<String>>,
    pub(super) states: BTreeMap<InputId, Arc<JobState>>,
}

impl Farm {
    pub(super) fn observe(&mut self, settings: &Settings, observation: &Observation) {
        match observation {
            Observation::Admitted { worker, key, offer } => {
                self.keys.insert(*key, *worker);
                self.offers.insert(*worker, offer.clone());
            }
            Observation::Enrolled(key, id) => {
                if let Some(worker) = self.keys.get(key) {
                    self.ids.insert(*id, *worker);
                }
            }
            Observation::Wanted(job) => {
                let profiles = job.memberships().into_iter();
                let policies = profiles.filter_map(|m| settings.profiles.get(&m.profile));
                let tags = policies.flat_map(|policy| policy.tags.iter().cloned()).collect();
                self.tags.insert(job.id, tags);
                self.jobs.insert(job.id, job.clone());
            }
            Observation::Stored(id, state) => {
                self.states.insert(*id, state.clone());
            }
            _ => {}
        }
    }

    /// Index of the worker with this number; `None`: it was never let in.
    pub(super) fn index(&self, id: WorkerId) -> Option<usize> {
        self.ids.get(&id).copied()
    }

    /// What a worker offers; `None`: it was never let in.
    pub(super) fn offer(&self, worker: usize) -> Option<&Offer> {
        self.offers.get(&worker).map(|offer| &**offer)
    }

    /// True when nothing at all speaks against giving this job to this worker.
    pub(super) fn suits(&self, worker: usize, id: InputId) -> bool {
        let (Some(offer), Some(job)) = (self.offers.get(&worker), self.jobs.get(&id)) else {
            return false;
        };
        let Some(state) = self.states.get(&id) else { return false };
        let is_they = |id: &WorkerId| self.ids.get(id) == Some(&worker);
        job.is_wanted()
            && state.memory_over.is_none()
            && !state.avoid.as_ref().is_some_and(is_they)
            && !state.confirmed.iter().any(is_they)
            && offer.backends.iter().any(|backend| **backend == *job.key.backend)
            && offer.architectures.iter().any(|offered| is_same(offered, &job.key.architecture))
            && self.tags.get(&id).is_none_or(|t| t.iter().all(|tag| offer.tags.contains(tag)))
    }
}

/// True when an offer of `offered` takes a job for `wanted`: the two families of names.
fn is_same(offered: &str, wanted: &str) -> bool {
    let plain = |name| match name {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        name => name,
    };
    offered == "*" || plain(offered) == plain(wanted)
}
