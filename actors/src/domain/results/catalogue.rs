use core::ops::Bound::{Excluded, Included, Unbounded};
use std::collections::{BTreeMap, BTreeSet};

use crate::domain::queue::Job;
use crate::protocol::stored::Membership;
use crate::protocol::{ArtifactId, InputId, SourceId};

/// Wanted artifacts and source packages in the orders in which they are paged: by number, and by
/// name. Kept up to date job by job.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    /// The numbers of one membership's artifacts come in runs, for they were given out one after
    /// the other: the first of each run, which goes as far as the next one here.
    runs: BTreeMap<ArtifactId, InputId>,
    /// Names of artifacts and of source packages, each text once, with the jobs that have it: none
    /// is empty, and most have one.
    names: BTreeMap<Box<str>, Jobs>,
    sources: BTreeSet<(SourceId, InputId)>,
}

/// Jobs of one name, ascending.
#[derive(Debug)]
enum Jobs {
    One(InputId),
    /// Two or more, ascending.
    #[expect(clippy::box_collection, reason = "a third less for each name that has one job")]
    More(Box<Vec<InputId>>),
}

impl Jobs {
    fn all(&self) -> &[InputId] {
        match self {
            Self::One(job) => core::slice::from_ref(job),
            Self::More(jobs) => jobs,
        }
    }

    fn insert(&mut self, job: InputId) {
        let Err(at) = self.all().binary_search(&job) else { return };
        let mut jobs = self.all().to_vec();
        jobs.insert(at, job);
        *self = Self::More(Box::new(jobs));
    }

    /// False when none is left.
    fn remove(&mut self, job: InputId) -> bool {
        let left: Vec<InputId> = self.all().iter().copied().filter(|one| *one != job).collect();
        match left[..] {
            [] => return false,
            [one] => *self = Self::One(one),
            _ => *self = Self::More(Box::new(left)),
        }
        true
    }
}

impl Catalogue {
    /// Takes in what a job is, or takes it out again as it was; `memberships` are its own.
    pub(super) fn job(&mut self, job: &Job, memberships: &[Membership], in_: bool) {
        let mut names: BTreeSet<&str> = BTreeSet::new();
        for membership in memberships {
            names.insert(&job.key.source);
            names.extend(membership.artifacts.iter().map(|(_, artifact)| &*artifact.name));
            if in_ {
                self.sources.insert((membership.source, job.id));
            } else {
                self.sources.remove(&(membership.source, job.id));
            }
        }
        for first in runs(memberships) {
            if in_ {
                self.runs.insert(first, job.id);
            } else {
                self.runs.remove(&first);
            }
        }
        for name in names {
            self.name(name, job.id, in_);
        }
    }

    fn name(&mut self, name: &str, job: InputId, in_: bool) {
        let Some(jobs) = self.names.get_mut(name) else {
            if in_ {
                self.names.insert(name.into(), Jobs::One(job));
            }
            return;
        };
        if in_ {
            jobs.insert(job);
        } else if !jobs.remove(job) {
            self.names.remove(name);
        }
    }

    /// The job that has the artifact with this number, if any has.
    pub(super) fn job_of(&self, id: ArtifactId) -> Option<InputId> {
        self.runs.range(..=id).next_back().map(|(_, job)| *job)
    }

    /// Runs of numbers above `after` and below `before`, each with the number that ends it.
    pub(super) fn runs(
        &self,
        after: Option<ArtifactId>,
        before: Option<ArtifactId>,
    ) -> impl DoubleEndedIterator<Item = (ArtifactId, InputId)> {
        // The run that `after` is in goes on behind it.
        let first = after.and_then(|after| self.runs.range(..=after).next_back());
        let from = first.map_or(Unbounded, |(first, _)| Included(*first));
        let to = before.map_or(Unbounded, Excluded);
        // An empty range may not be asked for.
        let is_empty = matches!((from, to), (Included(a), Excluded(b)) if a >= b);
        let to = if is_empty { from } else { to };
        let found = self.runs.range((from, to)).map(|(first, job)| (*first, *job));
        found.filter(move |_| !is_empty)
    }

    /// The number at which the run that begins with `first` has ended for certain.
    pub(super) fn end_of(&self, first: ArtifactId) -> Option<ArtifactId> {
        self.runs.range((Excluded(first), Unbounded)).next().map(|(next, _)| *next)
    }

    /// Source packages with numbers above `after` and below `before`.
    pub(super) fn sources(
        &self,
        after: Option<SourceId>,
        before: Option<SourceId>,
    ) -> impl DoubleEndedIterator<Item = (SourceId, InputId)> {
        let from = after.map_or(Unbounded, |after| Excluded((after, InputId(i32::MAX))));
        let to = before
            .map_or((SourceId(i32::MAX), InputId(i32::MAX)), |before| (before, InputId(i32::MIN)));
        let is_empty = matches!(from, Excluded(after) if after >= to);
        let from = if is_empty { Unbounded } else { from };
        self.sources.range((from, Included(to))).copied().filter(move |_| !is_empty)
    }

    /// Jobs that have a name, their own or an artifact's; ascending.
    pub(super) fn named(&self, name: &str) -> &[InputId] {
        self.names.get(name).map_or(&[], Jobs::all)
    }

    /// Names from `from` on, with the jobs that have them.
    pub(super) fn names_from(&self, from: &str) -> impl Iterator<Item = (&str, &[InputId])> {
        let names = self.names.range::<str, _>((Included(from), Unbounded));
        names.map(|(name, jobs)| (&**name, jobs.all()))
    }

    /// Names up to `to`, from the last one.
    pub(super) fn names_to(&self, to: Option<&str>) -> impl Iterator<Item = (&str, &[InputId])> {
        let names = self.names.range::<str, _>((Unbounded, to.map_or(Unbounded, Included))).rev();
        names.map(|(name, jobs)| (&**name, jobs.all()))
    }
}

/// The first number of each run in a job's memberships.
fn runs(memberships: &[Membership]) -> impl Iterator<Item = ArtifactId> {
    memberships.iter().flat_map(|membership| {
        let mut ids: Vec<ArtifactId> = membership.artifacts.iter().map(|(id, _)| *id).collect();
        ids.sort_unstable();
        let mut last = None;
        ids.retain(|id| {
            let goes_on = last.is_some_and(|last: ArtifactId| last.0.checked_add(1) == Some(id.0));
            last = Some(*id);
            !goes_on
        });
        ids
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Artifact;

    #[test]
    fn numbers_in_a_row_are_one_run_whatever_order_they_are_in() {
        let artifact = Artifact {
            name: "n".into(),
            version: "1".into(),
            component: None,
            architecture: "all".into(),
            file: "f".into(),
            url: "u".into(),
            size: None,
            sha256: None,
        };
        let membership = |ids: &[i32]| Membership {
            profile: "p".into(),
            release: None,
            source: SourceId(1),
            input: crate::protocol::BuildInput::Suite,
            source_file: None,
            archives: 1,
            index: crate::protocol::IndexTrust::None,
            artifacts: ids.iter().map(|id| (ArtifactId(*id), artifact.clone())).collect(),
        };
        let of = |memberships: &[Membership]| runs(memberships).map(|id| id.0).collect::<Vec<_>>();
        assert_eq!(of(&[membership(&[7, 5, 6, 9, i32::MAX])]), [5, 9, i32::MAX]);
        assert_eq!(of(&[membership(&[1, 2]), membership(&[3])]), [1, 3], "each membership its own");
        assert_eq!(of(&[membership(&[])]), [] as [i32; 0]);
    }
}
