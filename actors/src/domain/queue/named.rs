use std::collections::BTreeSet;

use crate::protocol::InputId;

/// What a sync under way has named so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Named {
    /// In the order in which they came.
    releases: Vec<Option<Box<str>>>,
    /// Jobs, each with the number of a release for which it is named.
    jobs: BTreeSet<(InputId, usize)>,
    /// Those of them that the profile wants for several releases, named or not.
    several: BTreeSet<InputId>,
}

impl Named {
    /// The number of a release, which is small.
    pub(super) fn release(&mut self, release: Option<&str>) -> usize {
        let known = self.releases.iter().position(|known| known.as_deref() == release);
        known.unwrap_or_else(|| {
            self.releases.push(release.map(Into::into));
            self.releases.len() - 1
        })
    }

    /// A job is named for the release with this number; `several`: the profile wants it for more.
    pub(super) fn insert(&mut self, job: InputId, release: usize, several: bool) {
        self.jobs.insert((job, release));
        if several {
            self.several.insert(job);
        }
    }

    /// True when a job is named for any release.
    pub(super) fn has(&self, job: InputId) -> bool {
        self.jobs.range((job, 0)..=(job, usize::MAX)).next().is_some()
    }

    /// True when a job is named for this release.
    pub(super) fn has_for(&self, job: InputId, release: Option<&str>) -> bool {
        let number = self.releases.iter().position(|known| known.as_deref() == release);
        number.is_some_and(|number| self.jobs.contains(&(job, number)))
    }

    /// False when all that the profile wants of a job is named, or nothing of it: then it need not
    /// be looked at any closer.
    pub(super) fn is_partly(&self, job: InputId) -> bool {
        self.several.contains(&job)
    }

    /// Jobs that are named, each once.
    pub(super) fn jobs(&self) -> impl Iterator<Item = InputId> {
        let mut last = None;
        let jobs = self.jobs.iter().map(|(job, _)| *job);
        jobs.filter(move |job| last.replace(*job) != Some(*job))
    }
}
