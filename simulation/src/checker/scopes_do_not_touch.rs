use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rebuilder_actors::domain::queue::{Job, Settings};
use rebuilder_actors::protocol::{InputId, JobKey};

use super::Checker;
use crate::observation::Observation;

/// What a profile does changes its own memberships only, and after its index was taken in they are
/// those that the index names.
#[derive(Default)]
pub(super) struct ScopesDoNotTouch {
    jobs: BTreeMap<InputId, Arc<Job>>,
}

impl Checker for ScopesDoNotTouch {
    fn name(&self) -> &'static str {
        "scopes_do_not_touch"
    }

    fn observe(&mut self, _: u64, _: &Settings, observation: &Observation) -> Result<(), String> {
        match observation {
            Observation::Wanted(job) => {
                let before = self.jobs.insert(job.id, job.clone());
                let touched = before.map_or_else(BTreeSet::new, |before| changed(&before, job));
                if touched.len() > 1 {
                    let label = job.label();
                    return Err(format!("one change of {label} touched {touched:?} at once"));
                }
                Ok(())
            }
            Observation::Indexed(profile, named) => {
                let wanted = |job: &&Arc<Job>| {
                    job.memberships().iter().any(|membership| membership.profile == *profile)
                };
                let wanted: BTreeSet<&JobKey> =
                    self.jobs.values().filter(wanted).map(|job| &*job.key).collect();
                let named: BTreeSet<&JobKey> = named.iter().collect();
                match wanted.symmetric_difference(&named).next() {
                    Some(key) => Err(format!(
                        "profile {profile}: {} {} is named by the index or wanted, not both",
                        key.source, key.version
                    )),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}

/// Profiles whose memberships are not the same.
fn changed(before: &Job, after: &Job) -> BTreeSet<Box<str>> {
    let (before, after) = (before.memberships(), after.memberships());
    let missing = |all: &[_], one| !all.contains(one);
    let gone = before.iter().filter(|m| missing(&after, m));
    let come = after.iter().filter(|m| missing(&before, m));
    gone.chain(come).map(|membership| membership.profile.clone()).collect()
}
