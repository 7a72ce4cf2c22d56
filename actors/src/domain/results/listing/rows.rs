use std::collections::BTreeSet;

use super::super::read_model::ReadModel;
use super::super::view::View;
use super::which::Which;
use crate::protocol::stored::{Membership, Outcome};
use crate::protocol::wire::v1::history::DatedPackage;
use crate::protocol::{ArtifactId, BuildId, InputId, SourceId, UtcMillis, Verdict};

/// A wanted artifact, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binary {
    /// Its number.
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
    /// Source package.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Distribution.
    pub distribution: String,
    /// `None` where the distribution has none.
    pub release: Option<String>,
    /// That it is built on.
    pub architecture: String,
    /// How the build that is shown ended; `None`: there was none.
    pub outcome: Option<BuildOutcome>,
    /// Its number.
    pub build: Option<BuildId>,
    /// As [`Binary::last_seen`].
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
        // Two profiles that follow one release want the same file once.
        let (mut seen, mut entries) = (BTreeSet::new(), Vec::new());
        let is_one = memberships.len() == 1;
        for (at, membership) in memberships.iter().enumerate() {
            for (number, (id, artifact)) in membership.artifacts.iter().enumerate() {
                let file = (&membership.release, &artifact.file, artifact.sha256);
                if (is_one || seen.insert(file))
                    && which.membership(membership)
                    && which.artifact(artifact)
                {
                    entries.push(Entry { id: id.0, membership: at, artifact: number });
                }
            }
        }
        entries.sort_unstable_by_key(|entry| entry.id);
        entries
    }

    fn name<'a>(_: &'a View, memberships: &'a [Membership], entry: Entry) -> &'a str {
        &memberships[entry.membership].artifacts[entry.artifact].1.name
    }

    fn row(model: &ReadModel, view: &View, memberships: &[Membership], entry: Entry) -> Self {
        let membership = &memberships[entry.membership];
        let artifact = &membership.artifacts[entry.artifact].1;
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
        let (mut seen, mut entries) = (BTreeSet::new(), Vec::new());
        for (at, membership) in memberships.iter().enumerate() {
            if seen.insert(membership.source)
                && which.membership(membership)
                && which.source(&view.job, membership)
            {
                entries.push(Entry { id: membership.source.0, membership: at, artifact: 0 });
            }
        }
        entries.sort_unstable_by_key(|entry| entry.id);
        entries
    }

    fn name<'a>(view: &'a View, _: &'a [Membership], _: Entry) -> &'a str {
        &view.job.key.source
    }

    fn row(model: &ReadModel, view: &View, memberships: &[Membership], entry: Entry) -> Self {
        let membership = &memberships[entry.membership];
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
