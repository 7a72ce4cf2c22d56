use std::collections::BTreeMap;

use super::artifact::shown;
use super::view::View;
use crate::protocol::stored::Membership;
use crate::protocol::wire::v1::ctl::PackageStatus;

/// Artifacts by status and by profile, kept up to date job by job.
#[derive(Debug, Default)]
pub(super) struct Tally {
    statuses: BTreeMap<PackageStatus, u32>,
    /// Jobs and artifacts that each profile wants; none of a profile that wants nothing.
    profiles: BTreeMap<Box<str>, (u32, u32)>,
}

impl Tally {
    /// Counts a job's artifacts in, or out again as they were counted; `memberships` are its own.
    pub(super) fn count(&mut self, view: &View, memberships: &[Membership], in_: bool) {
        let change = |count: &mut u32, by: u32| {
            *count = if in_ { count.saturating_add(by) } else { count.saturating_sub(by) };
        };
        let place = view.job_place();
        for membership in memberships {
            for (_, artifact) in &membership.artifacts {
                let status = shown(view.best(), &place, artifact).status;
                change(self.statuses.entry(status).or_default(), 1);
            }
            let (jobs, artifacts) = self.profiles.entry(membership.profile.clone()).or_default();
            change(jobs, 1);
            change(artifacts, u32::try_from(membership.artifacts.len()).unwrap_or(u32::MAX));
            if *jobs == 0 {
                self.profiles.remove(&membership.profile);
            }
        }
    }

    /// Artifacts by shown status, wanted ones only.
    pub(super) fn statuses(&self) -> Vec<(PackageStatus, u32)> {
        let counts = self.statuses.iter().filter(|(_, count)| **count > 0);
        counts.map(|(status, count)| (*status, *count)).collect()
    }

    /// Jobs and artifacts that a profile wants.
    pub(super) fn of(&self, profile: &str) -> (u32, u32) {
        self.profiles.get(profile).copied().unwrap_or_default()
    }
}
