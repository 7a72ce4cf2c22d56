use std::collections::{BTreeMap, BTreeSet};

use super::artifact::shown;
use super::listing::{BuildOutcome, Which, binaries, sources};
use super::view::View;
use crate::protocol::stored::Membership;
use crate::protocol::wire::v1::ctl::PackageStatus;

/// How many wanted artifacts and source packages there are of each origin, by what is known of
/// them: kept up to date job by job, so that nobody counts by looking at all.
#[derive(Debug, Default)]
pub(super) struct Origins {
    artifacts: BTreeMap<Origin, BTreeMap<PackageStatus, u32>>,
    /// Each once as a whole, whatever its components are (true), and once for each of them.
    sources: BTreeMap<(Origin, bool), BTreeMap<Option<BuildOutcome>, u32>>,
}

/// Where a package comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// As a profile calls it: `debian` …
    pub distribution: Box<str>,
    /// `None` where the distribution has none.
    pub release: Option<Box<str>>,
    /// Of the artifact, or that the source package is built on.
    pub architecture: Box<str>,
    /// `None` where the distribution has none.
    pub component: Option<Box<str>>,
}

impl Origins {
    /// Counts what is listed of a job in, or out again as it was counted.
    pub(super) fn count(&mut self, view: &View, memberships: &[Membership], in_: bool) {
        let change = |count: &mut u32| {
            *count = if in_ { count.saturating_add(1) } else { count.saturating_sub(1) };
        };
        let place = view.job_place();
        let origin =
            |membership: &Membership, architecture: &str, component: Option<&str>| Origin {
                distribution: view.job.key.distribution.clone(),
                release: membership.release.clone(),
                architecture: architecture.into(),
                component: component.map(Into::into),
            };
        for entry in binaries(memberships) {
            let (membership, artifact) =
                (entry.membership(memberships), entry.artifact(memberships));
            let status = shown(view.best(), &place, artifact).status;
            let component = artifact.component.as_deref();
            let of = origin(membership, &artifact.architecture, component);
            change(self.artifacts.entry(of).or_default().entry(status).or_default());
        }
        let outcome = view.best().and_then(|record| BuildOutcome::of(&record.outcome));
        let built_on = &view.job.key.architecture;
        for entry in sources(memberships) {
            let membership = entry.membership(memberships);
            let artifacts = membership.artifacts.iter();
            let components: BTreeSet<_> =
                artifacts.map(|(_, artifact)| artifact.component.as_deref()).collect();
            let whole = (origin(membership, built_on, None), true);
            change(self.sources.entry(whole).or_default().entry(outcome).or_default());
            for component in components {
                let part = (origin(membership, built_on, component), false);
                change(self.sources.entry(part).or_default().entry(outcome).or_default());
            }
        }
    }

    /// Artifacts by shown status, of each origin that there is.
    pub(super) fn artifacts(&self) -> impl Iterator<Item = (&Origin, PackageStatus, u32)> {
        self.artifacts.iter().flat_map(|(origin, counts)| {
            let counts = counts.iter().filter(|(_, count)| **count > 0);
            counts.map(move |(status, count)| (origin, *status, *count))
        })
    }

    /// Every origin of a source package that there is; the component says nothing.
    pub(super) fn of_sources(&self) -> impl Iterator<Item = &Origin> {
        let whole = self.sources.iter().filter(|((_, is_whole), _)| *is_whole);
        whole.filter(|(_, counts)| counts.values().any(|c| *c > 0)).map(|((origin, _), _)| origin)
    }

    /// How many artifacts match; of a question that [`Which::is_counted`].
    pub(super) fn artifacts_of(&self, which: &Which) -> u32 {
        let matching = self.artifacts.iter().filter(|(origin, _)| which.origin(origin));
        matching.flat_map(|(_, counts)| counts.values()).sum()
    }

    /// Source packages by how their builds ended, of a question that [`Which::is_counted`].
    pub(super) fn sources_of(&self, which: &Which) -> BTreeMap<Option<BuildOutcome>, u32> {
        let whole = which.component.is_none();
        let mut counts = BTreeMap::new();
        let matching = self.sources.iter();
        for (_, found) in matching.filter(|((o, is), _)| *is == whole && which.origin(o)) {
            for (outcome, count) in found {
                *counts.entry(*outcome).or_insert(0) += count;
            }
        }
        counts
    }
}
