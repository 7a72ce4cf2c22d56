use core::ops::Bound::{Excluded, Unbounded};
use std::collections::BTreeMap;

use super::listing::{BuildOutcome, Which};
use super::origins::Origin;
use super::query::{Page, Query};
use super::read_model::{EXAMINED_MAX, ReadModel};
use super::view::View;
use crate::domain::filter::FilterError;
use crate::protocol::stored::{Membership, ReportRecord};
use crate::protocol::wire::v1::ctl::PackageStatus;
use crate::protocol::{Artifact, ArtifactId, BuildId, BuildInput, InputId, JobKey, Sha256};

/// What a job is, to those who know it by its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRow {
    /// Never given to another.
    pub job: InputId,
    /// Also of a job that nobody wants any more.
    pub key: JobKey,
    /// The first release that wants it; `None`: none does, or it has no releases.
    pub release: Option<String>,
    /// Where the record of its environment is, else its source; empty: the index names neither.
    pub url: String,
    /// Attempts that were granted.
    pub attempts: u32,
}

/// An accepted build of one job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildRow {
    /// Ascending in the order of acceptance.
    pub build: BuildId,
    /// The number of its report.
    pub sequence: u64,
    /// What was built, as it is wanted now.
    pub job: JobRow,
}

/// Accepted builds whose jobs match, by number.
#[derive(Clone, Debug, Default)]
pub struct Builds {
    /// Of which source packages.
    pub which: Which,
    /// From the newest.
    pub descending: bool,
    /// Only later ones.
    pub above: Option<BuildId>,
    /// Only earlier ones.
    pub below: Option<BuildId>,
}

impl Query for Builds {
    type Row = BuildRow;
    type Cursor = BuildId;

    fn page(
        &self,
        model: &ReadModel,
        after: Option<BuildId>,
        limit: usize,
    ) -> Result<Page<BuildRow, BuildId>, FilterError> {
        let (mut above, mut below) = (self.above, self.below);
        if self.descending {
            below = below.into_iter().chain(after).min();
        } else {
            above = above.into_iter().chain(after).max();
        }
        if matches!((above, below), (Some(above), Some(below)) if above >= below) {
            return Ok(Page { rows: Vec::new(), next: None });
        }
        let bounds = (above.map_or(Unbounded, Excluded), below.map_or(Unbounded, Excluded));
        let found = model.builds.range(bounds);
        let mut found: Box<dyn Iterator<Item = _>> =
            if self.descending { Box::new(found.rev()) } else { Box::new(found) };
        let (mut rows, mut last) = (Vec::new(), None);
        for (build, (sequence, job)) in found.by_ref().take(EXAMINED_MAX) {
            last = Some(*build);
            if let Some(job) = model.matching_job(*job, &self.which) {
                rows.push(BuildRow { build: *build, sequence: *sequence, job });
            }
            if rows.len() >= limit {
                break;
            }
        }
        Ok(Page { rows, next: last.filter(|_| found.next().is_some()) })
    }
}

impl ReadModel {
    /// A build that was accepted.
    pub fn build(&self, build: BuildId) -> Option<BuildRow> {
        let (sequence, job) = *self.builds.get(&build)?;
        Some(BuildRow { build, sequence, job: self.job_row(job)? })
    }

    /// The report that is shown of a job, and the newest one, which the model has at hand.
    pub fn report_at_hand(&self, job: InputId, sequence: u64) -> Option<&ReportRecord> {
        let view = self.jobs.get(&job)?;
        let known = [&view.best, &view.newest].into_iter().flatten();
        known.filter(|(number, _)| *number == sequence).map(|(_, record)| record.as_ref()).next()
    }

    /// Builds that were accepted.
    pub fn builds_len(&self) -> usize {
        self.builds.len()
    }

    /// The file and published digest of a job's artifact, whichever release names it.
    pub fn file_of(&self, job: InputId, id: ArtifactId) -> Option<(Box<str>, Option<Sha256>)> {
        let memberships = self.jobs.get(&job)?.job.memberships();
        let mut artifacts = memberships.into_iter().flat_map(|m| m.artifacts);
        artifacts.find(|(found, _)| *found == id).map(|(_, a)| (a.file, a.sha256))
    }

    /// The build that is shown of a wanted artifact, and its file.
    pub fn shown_build(&self, id: ArtifactId) -> Option<(BuildId, Box<str>)> {
        let job = self.kept.catalogue.job_of(id)?;
        let (file, _) = self.file_of(job, id)?;
        Some((self.jobs.get(&job)?.best()?.build?, file))
    }

    /// What a job is.
    pub fn job_row(&self, job: InputId) -> Option<JobRow> {
        let view = self.jobs.get(&job)?;
        Some(row(view, &view.job.memberships()))
    }

    pub(super) fn matching_job(&self, job: InputId, which: &Which) -> Option<JobRow> {
        let view = self.jobs.get(&job)?;
        let memberships = view.job.memberships();
        let is_it = if memberships.is_empty() {
            // Nobody wants it any more: what it was of is not known but for its key.
            *which == Which::default() || which.of_key(&view.job.key)
        } else {
            memberships.iter().any(|membership| which.of_job(&view.job, membership))
        };
        is_it.then(|| row(view, &memberships))
    }

    /// The artifacts of a job, each file once, with the number under which each is listed.
    pub fn artifacts_of(&self, job: InputId) -> Vec<(ArtifactId, Artifact)> {
        let Some(view) = self.jobs.get(&job) else { return Vec::new() };
        let mut files = BTreeMap::new();
        for membership in view.job.memberships() {
            for (id, artifact) in membership.artifacts {
                files.entry((artifact.file.clone(), artifact.sha256)).or_insert((id, artifact));
            }
        }
        files.into_values().collect()
    }

    /// Artifacts by origin and shown status.
    pub fn by_origin(&self) -> impl Iterator<Item = (&Origin, PackageStatus, u32)> {
        self.kept.origins.artifacts()
    }

    /// Every distribution, release and architecture that source packages are built for.
    pub fn origins(&self) -> impl Iterator<Item = &Origin> {
        self.kept.origins.of_sources()
    }

    /// How many artifacts are listed; of a question that [`Which::is_counted`].
    pub fn count_artifacts(&self, which: &Which) -> u32 {
        self.kept.origins.artifacts_of(which)
    }

    /// Source packages by how their builds ended (`None`: not yet), of a question that
    /// [`Which::is_counted`].
    pub fn count_sources(&self, which: &Which) -> BTreeMap<Option<BuildOutcome>, u32> {
        self.kept.origins.sources_of(which)
    }
}

fn row(view: &View, memberships: &[Membership]) -> JobRow {
    let first = memberships.first();
    let url = first.map(|membership| match &membership.input {
        BuildInput::Recorded { url, .. } => url.to_string(),
        BuildInput::Suite => {
            membership.source_file.as_ref().map(|file| file.url.to_string()).unwrap_or_default()
        }
    });
    JobRow {
        job: view.job.id,
        key: JobKey::clone(&view.job.key),
        release: first.and_then(|m| m.release.as_deref()).map(Into::into),
        url: url.unwrap_or_default(),
        attempts: view.stand.as_ref().map_or(0, |stand| stand.epoch.0),
    }
}
