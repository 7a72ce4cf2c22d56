use std::collections::{BTreeMap, BTreeSet};

use super::artifact::shown;
use super::catalogue::Catalogue;
use super::view::View;
use crate::domain::queue::Job;
use crate::protocol::InputId;
use crate::protocol::stored::Membership;
use crate::protocol::wire::v1::ctl::{PackageFilter, PackageStatus};

/// Jobs by what people look for, kept up to date job by job: a page looks only at jobs that the
/// most telling field of its filter names. A few bytes for each job and field.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// No set is empty.
    fields: BTreeMap<Field, BTreeSet<InputId>>,
}

/// A value of which a job has one or more.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Field {
    Distribution(Box<str>),
    Release(Box<str>),
    Component(Box<str>),
    Architecture(Box<str>),
    Status(PackageStatus),
}

impl Index {
    /// Takes in what a job is, or takes it out again as it was; `memberships` are its own.
    pub(super) fn job(&mut self, job: &Job, memberships: &[Membership], in_: bool) {
        let (mut releases, mut components, mut architectures) =
            (BTreeSet::<&str>::new(), BTreeSet::<&str>::new(), BTreeSet::new());
        for membership in memberships {
            releases.extend(membership.release.as_deref());
            for (_, artifact) in &membership.artifacts {
                components.extend(artifact.component.as_deref());
                architectures.insert(&*artifact.architecture);
            }
        }
        self.set(Field::Distribution(job.key.distribution.clone()), job.id, in_);
        let releases = releases.into_iter().map(|name| Field::Release(name.into()));
        let components = components.into_iter().map(|name| Field::Component(name.into()));
        let architectures =
            architectures.into_iter().map(|name: &str| Field::Architecture(name.into()));
        for field in releases.chain(components).chain(architectures) {
            self.set(field, job.id, in_);
        }
    }

    /// Takes in what is shown of a job's artifacts, or takes it out again as it was; `memberships`
    /// are its own.
    pub(super) fn statuses(&mut self, view: &View, memberships: &[Membership], in_: bool) {
        let place = view.job_place();
        let artifacts = memberships.iter().flat_map(|membership| &membership.artifacts);
        let statuses: BTreeSet<PackageStatus> =
            artifacts.map(|(_, artifact)| shown(view.best(), &place, artifact).status).collect();
        for status in statuses {
            self.set(Field::Status(status), view.job.id, in_);
        }
    }

    fn set(&mut self, field: Field, id: InputId, in_: bool) {
        if in_ {
            self.fields.entry(field).or_default().insert(id);
        } else if let Some(ids) = self.fields.get_mut(&field) {
            ids.remove(&id);
            if ids.is_empty() {
                self.fields.remove(&field);
            }
        }
    }

    /// Jobs that a filter may match, and all that it matches.
    pub(super) fn candidates<'a>(
        &'a self,
        catalogue: &'a Catalogue,
        filter: &PackageFilter,
    ) -> Candidates<'a> {
        // A name is the rarest of all; one with wildcards is no name.
        if let Some(name) = filter.name.as_deref().filter(|name| is_literal(name)) {
            return Candidates::Named(catalogue.named(name));
        }
        let text = |value: &Option<String>| value.as_deref().map(Box::<str>::from);
        let fields = [
            filter.status.map(Field::Status),
            text(&filter.distribution).map(Field::Distribution),
            text(&filter.release).map(Field::Release),
            text(&filter.component).map(Field::Component),
            text(&filter.architecture).map(Field::Architecture),
        ];
        let mut smallest: Option<&BTreeSet<InputId>> = None;
        for field in fields.into_iter().flatten() {
            let Some(ids) = self.fields.get(&field) else { return Candidates::Nothing };
            if smallest.is_none_or(|smallest| ids.len() < smallest.len()) {
                smallest = Some(ids);
            }
        }
        smallest.map_or(Candidates::Every, Candidates::Of)
    }
}

/// See [`Index::candidates`].
pub(super) enum Candidates<'a> {
    Every,
    Of(&'a BTreeSet<InputId>),
    /// Jobs that have the name, ascending; perhaps none.
    Named(&'a [InputId]),
    Nothing,
}

impl Candidates<'_> {
    /// The first of them from `from` on; of every job, `jobs` says which there are.
    pub(super) fn next(&self, jobs: &BTreeMap<InputId, View>, from: InputId) -> Option<InputId> {
        match self {
            Self::Every => jobs.range(from..).next().map(|(id, _)| *id),
            Self::Of(ids) => ids.range(from..).next().copied(),
            Self::Named(ids) => ids.get(ids.partition_point(|id| *id < from)).copied(),
            Self::Nothing => None,
        }
    }
}

/// As `glob` reads a pattern.
fn is_literal(name: &str) -> bool {
    !name.contains(['*', '?', '[', ']'])
}
