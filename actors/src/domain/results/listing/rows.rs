use std::collections::BTreeSet;

use super::super::read_model::ReadModel;
use super::super::view::View;
use super::which::Which;
use crate::protocol::stored::{Membership, Outcome};
use crate::protocol::wire::v1::history::DatedPackage;
use crate::protocol::{Artifact, ArtifactId, BuildId, InputId, SourceId, UtcMillis, Verdict};

/// A wanted artifact, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binary {
    /// Given out when a sync first named it, never to another.
    pub id: ArtifactId,
    /// What is known of it.
    pub listed: DatedPackage,
    /// When a sync last named it; `None`: since the store was made by a salvage, none has.
    pub last_seen: Option<UtcMillis>,
}

/// A wanted source package of one release, built on one architecture with one input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its number: that of all its inputs.
    pub id: SourceId,
    /// What builds it.
    pub job: InputId,
    /// Of the source package, not of what it builds.
    pub name: String,
    /// As the distribution writes it, with its epoch.
    pub version: String,
    /// As a profile calls it: `debian` …
    pub distribution: String,
    /// `None` where the distribution has none.
    pub release: Option<String>,
    /// That it is built on.
    pub architecture: String,
    /// How the build that is shown ended; `None`: there was none.
    pub outcome: Option<BuildOutcome>,
    /// Of the build that is shown; `None`: there was none.
    pub build: Option<BuildId>,
    /// When a sync last named it; `None`: since the store was made by a salvage, none has.
    pub last_seen: Option<UtcMillis>,
}

/// How a build ended, as one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BuildOutcome {
    /// Every artifact was reproduced.
    Reproduced,
    /// One is missing or differs.
    Differs,
    /// The build itself failed.
    Failed,
}

impl BuildOutcome {
    /// Of an outcome with a verdict; `None` for a fault.
    pub fn of(outcome: &Outcome) -> Option<Self> {
        match outcome {
            Outcome::Fault(_) => None,
            Outcome::BuildFailed { .. } => Some(Self::Failed),
            Outcome::Verdicts(rows) => {
                let is_same = rows.iter().all(|(_, verdict, _)| *verdict == Verdict::Reproduced);
                Some(if is_same { Self::Reproduced } else { Self::Differs })
            }
        }
    }
}

/// Where a row is in its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub(super) id: i32,
    membership: usize,
    /// Not used by source packages.
    artifact: usize,
}

impl Entry {
    pub(in super::super) fn membership(self, memberships: &[Membership]) -> &Membership {
        &memberships[self.membership]
    }

    pub(in super::super) fn artifact(self, memberships: &[Membership]) -> &Artifact {
        &self.membership(memberships).artifacts[self.artifact].1
    }
}

/// Artifacts of a job as they are listed and counted: two profiles that follow one release want the
/// same file once.
pub(in super::super) fn binaries(memberships: &[Membership]) -> impl Iterator<Item = Entry> {
    let (is_one, mut seen) = (memberships.len() == 1, BTreeSet::new());
    memberships.iter().enumerate().flat_map(entries_of).filter(move |entry| {
        let (membership, artifact) = (entry.membership(memberships), entry.artifact(memberships));
        is_one || seen.insert((&membership.release, &artifact.file, artifact.sha256))
    })
}

fn entries_of((at, membership): (usize, &Membership)) -> impl Iterator<Item = Entry> {
    let artifacts = membership.artifacts.iter().enumerate();
    artifacts.map(move |(number, (id, _))| Entry { id: id.0, membership: at, artifact: number })
}

/// Memberships of a job as they are listed and counted as source packages: each release once.
pub(in super::super) fn sources(memberships: &[Membership]) -> impl Iterator<Item = Entry> {
    let mut seen = BTreeSet::new();
    let all = memberships.iter().enumerate();
    let entries = all.map(|(at, m)| Entry { id: m.source.0, membership: at, artifact: 0 });
    entries.filter(move |entry| seen.insert(entry.id))
}

fn by_number(entries: impl Iterator<Item = Entry>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = entries.collect();
    entries.sort_unstable_by_key(|entry| entry.id);
    entries
}

/// What rows are of.
pub trait Listed: Sized {
    /// True where rows are artifacts.
    const OF_ARTIFACTS: bool;

    /// The rows of a job that match, by number.
    fn entries(view: &View, memberships: &[Membership], which: &Which) -> Vec<Entry>;

    /// What it is sorted by as its name.
    fn name<'a>(view: &'a View, memberships: &'a [Membership], entry: Entry) -> &'a str;

    /// The whole row.
    fn row(model: &ReadModel, view: &View, memberships: &[Membership], entry: Entry) -> Self;
}

impl Listed for Binary {
    const OF_ARTIFACTS: bool = true;

    fn entries(view: &View, memberships: &[Membership], which: &Which) -> Vec<Entry> {
        if !which.job(&view.job) {
            return Vec::new();
        }
        let is_asked = |entry: &Entry| {
            which.membership(entry.membership(memberships))
                && which.artifact(entry.artifact(memberships))
        };
        by_number(binaries(memberships).filter(is_asked))
    }

    fn name<'a>(_: &'a View, memberships: &'a [Membership], entry: Entry) -> &'a str {
        &entry.artifact(memberships).name
    }

    fn row(model: &ReadModel, view: &View, memberships: &[Membership], entry: Entry) -> Self {
        let (membership, artifact) = (entry.membership(memberships), entry.artifact(memberships));
        Self {
            id: ArtifactId(entry.id),
            listed: model.dated(view, membership, artifact),
            last_seen: model.last_seen(&membership.profile),
        }
    }
}

impl Listed for Source {
    const OF_ARTIFACTS: bool = false;

    fn entries(view: &View, memberships: &[Membership], which: &Which) -> Vec<Entry> {
        if !which.job(&view.job) {
            return Vec::new();
        }
        let is_asked = |entry: &Entry| {
            let membership = entry.membership(memberships);
            which.membership(membership) && which.source(&view.job, membership)
        };
        by_number(sources(memberships).filter(is_asked))
    }

    fn name<'a>(view: &'a View, _: &'a [Membership], _: Entry) -> &'a str {
        &view.job.key.source
    }

    fn row(model: &ReadModel, view: &View, memberships: &[Membership], entry: Entry) -> Self {
        let membership = entry.membership(memberships);
        let key = &view.job.key;
        let best = view.best();
        Self {
            id: membership.source,
            job: view.job.id,
            name: key.source.to_string(),
            version: key.version.to_string(),
            distribution: key.distribution.to_string(),
            release: membership.release.as_deref().map(Into::into),
            architecture: key.architecture.to_string(),
            outcome: best.and_then(|record| BuildOutcome::of(&record.outcome)),
            build: best.and_then(|record| record.build),
            last_seen: model.last_seen(&membership.profile),
        }
    }
}
