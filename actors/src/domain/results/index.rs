use std::collections::{BTreeMap, BTreeSet};

use super::artifact::shown;
use super::view::View;
use crate::domain::queue::Job;
use crate::protocol::stored::Membership;
use crate::protocol::wire::v1::ctl::{PackageFilter, PackageStatus};
use crate::protocol::{InputId, Sha256};

/// Jobs by what people look for, kept up to date job by job: a page looks only at jobs that the
/// most telling field of its filter names. A few bytes for each job and field.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Names of source and binary packages, by 32 bits of their digest: who looks compares the
    /// names themselves, so that two with the same bits cost a look and nothing more.
    names: BTreeSet<(u32, InputId)>,
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
        let mut names = BTreeSet::from([bits(&job.key.source)]);
        let mut fields = BTreeSet::from([Field::Distribution(job.key.distribution.clone())]);
        for membership in memberships {
            fields.extend(membership.release.clone().map(Field::Release));
            for (_, artifact) in &membership.artifacts {
                names.insert(bits(&artifact.name));
                fields.extend(artifact.component.clone().map(Field::Component));
                fields.insert(Field::Architecture(artifact.architecture.clone()));
            }
        }
        for name in names {
            if in_ {
                self.names.insert((name, job.id));
            } else {
                self.names.remove(&(name, job.id));
            }
        }
        fields.into_iter().for_each(|field| self.set(field, job.id, in_));
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
    pub(super) fn candidates(&self, filter: &PackageFilter) -> Candidates<'_> {
        // A name is the rarest of all; one with wildcards is no name.
        if let Some(name) = filter.name.as_deref().filter(|name| is_literal(name)) {
            return Candidates::Named(&self.names, bits(name));
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
    Named(&'a BTreeSet<(u32, InputId)>, u32),
    Nothing,
}

impl Candidates<'_> {
    /// The first of them from `from` on; of every job, `jobs` says which there are.
    pub(super) fn next(&self, jobs: &BTreeMap<InputId, View>, from: InputId) -> Option<InputId> {
        match self {
            Self::Every => jobs.range(from..).next().map(|(id, _)| *id),
            Self::Of(ids) => ids.range(from..).next().copied(),
            Self::Named(names, name) => {
                let last = (*name, InputId(i32::MAX));
                names.range((*name, from)..=last).next().map(|(_, id)| *id)
            }
            Self::Nothing => None,
        }
    }
}

fn bits(name: &str) -> u32 {
    let digest = Sha256::of(name.as_bytes());
    u32::from_le_bytes([digest.0[0], digest.0[1], digest.0[2], digest.0[3]])
}

/// As `glob` reads a pattern.
fn is_literal(name: &str) -> bool {
    !name.contains(['*', '?', '[', ']'])
}
