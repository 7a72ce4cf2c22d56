use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rebuilder_actors::domain::queue::{Job, Settings};
use rebuilder_actors::protocol::stored::Membership;
use rebuilder_actors::protocol::{InputId, JobKey};

use super::Checker;
use crate::observation::Observation;

/// What a profile does changes its own memberships only, and after its index was taken in they are
/// those that the index names.
#[derive(Default)]
pub(super) struct ScopesDoNotTouch {
    jobs: BTreeMap<InputId, Known>,
}

/// A job with its memberships unpacked, which is dear.
struct Known {
    job: Arc<Job>,
    memberships: Vec<Membership>,
}

impl Checker for ScopesDoNotTouch {
    fn name(&self) -> &'static str {
        "scopes_do_not_touch"
    }

    fn observe(&mut self, _: u64, _: &Settings, observation: &Observation) -> Result<(), String> {
        match observation {
            Observation::Wanted(job) => {
                let memberships = job.memberships();
                let before = self.jobs.get(&job.id).map(|known| &known.memberships);
                let touched = before.map(|before| changed(before, &memberships));
                let touched = touched.unwrap_or_default();
                if touched.len() > 1 {
                    let label = job.label();
                    return Err(format!("one change of {label} touched {touched:?} at once"));
                }
                self.jobs.insert(job.id, Known { job: job.clone(), memberships });
                Ok(())
            }
            Observation::Indexed(profile, named) => {
                let wanted = |known: &&Known| {
                    known.memberships.iter().any(|membership| membership.profile == *profile)
                };
                let wanted: BTreeSet<&JobKey> =
                    self.jobs.values().filter(wanted).map(|known| &*known.job.key).collect();
                let named: BTreeSet<&JobKey> = named.iter().map(|key| &**key).collect();
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
fn changed<'a>(before: &'a [Membership], after: &'a [Membership]) -> BTreeSet<&'a str> {
    let gone = before.iter().filter(|m| !after.contains(m));
    let come = after.iter().filter(|m| !before.contains(m));
    gone.chain(come).map(|membership| &*membership.profile).collect()
}
