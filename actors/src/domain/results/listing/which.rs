use super::super::origins::Origin;
use crate::domain::queue::Job;
use crate::protocol::stored::Membership;
use crate::protocol::wire::v1::ctl::PackageFilter;
use crate::protocol::{Artifact, JobKey};

/// Which of the wanted packages are listed: every field that is given must match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Which {
    /// Exact; an empty text is the name of nothing.
    pub distribution: Option<String>,
    /// One of these; none: every release, and none.
    pub releases: Vec<String>,
    /// Exact: of the artifact, or of one artifact of a source package.
    pub component: Option<String>,
    /// Exact: of the artifact, or that a source package is built on.
    pub architecture: Option<String>,
    /// Of the artifact, or of the source package.
    pub name: Option<NameIs>,
    /// Exact: of the artifact, or of the source package.
    pub version: Option<String>,
    /// Exact name of the source package.
    pub source: Option<String>,
}

/// How a name is compared, byte by byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameIs {
    /// The whole name.
    Exactly(String),
    /// The beginning of it.
    Beginning(String),
    /// A part of it.
    Containing(String),
}

impl NameIs {
    /// True for a name that is so.
    pub fn fits(&self, name: &str) -> bool {
        match self {
            Self::Exactly(text) => text == name,
            Self::Beginning(text) => name.starts_with(text.as_str()),
            Self::Containing(text) => name.contains(text.as_str()),
        }
    }
}

impl Which {
    /// True when it names nothing but what counts are kept for.
    pub fn is_counted(&self) -> bool {
        self.name.is_none() && self.version.is_none() && self.source.is_none()
    }

    /// True when jobs of this distribution may match.
    pub(super) fn job(&self, job: &Job) -> bool {
        is(self.distribution.as_deref(), Some(&job.key.distribution))
            && is(self.source.as_deref(), Some(&job.key.source))
    }

    pub(super) fn membership(&self, membership: &Membership) -> bool {
        self.release(membership.release.as_deref())
    }

    pub(super) fn release(&self, release: Option<&str>) -> bool {
        self.releases.is_empty()
            || release.is_some_and(|release| self.releases.iter().any(|one| one == release))
    }

    /// As much of it as counts by origin tell.
    pub(in super::super) fn origin(&self, origin: &Origin) -> bool {
        is(self.distribution.as_deref(), Some(&origin.distribution))
            && self.release(origin.release.as_deref())
            && is(self.component.as_deref(), origin.component.as_deref())
            && is(self.architecture.as_deref(), Some(&origin.architecture))
    }

    pub(super) fn artifact(&self, artifact: &Artifact) -> bool {
        self.name.as_ref().is_none_or(|name| name.fits(&artifact.name))
            && is(self.version.as_deref(), Some(&artifact.version))
            && is(self.component.as_deref(), artifact.component.as_deref())
            && is(self.architecture.as_deref(), Some(&artifact.architecture))
    }

    /// True when the source package itself matches, and one of its artifacts has the component.
    pub(super) fn source(&self, job: &Job, membership: &Membership) -> bool {
        let has = |component: &str| {
            membership.artifacts.iter().any(|(_, a)| a.component.as_deref() == Some(component))
        };
        self.name.as_ref().is_none_or(|name| name.fits(&job.key.source))
            && is(self.version.as_deref(), Some(&job.key.version))
            && is(self.architecture.as_deref(), Some(&job.key.architecture))
            && self.component.as_deref().is_none_or(has)
    }

    /// True when a source package of a job, wanted as this says, matches.
    pub(in super::super) fn of_job(&self, job: &Job, membership: &Membership) -> bool {
        self.job(job) && self.membership(membership) && self.source(job, membership)
    }

    /// As far as the identity of a job tells: what asks for more does not match.
    pub(in super::super) fn of_key(&self, key: &JobKey) -> bool {
        self.releases.is_empty()
            && self.component.is_none()
            && is(self.distribution.as_deref(), Some(&key.distribution))
            && is(self.source.as_deref(), Some(&key.source))
            && self.name.as_ref().is_none_or(|name| name.fits(&key.source))
            && is(self.version.as_deref(), Some(&key.version))
            && is(self.architecture.as_deref(), Some(&key.architecture))
    }

    /// What an index of jobs can tell of it: no job that matches is left out.
    pub(super) fn hint(&self, of_artifacts: bool) -> PackageFilter {
        let literal = |text: &str| !text.contains(['*', '?', '[', ']']);
        let exact = match &self.name {
            Some(NameIs::Exactly(name)) => Some(name.clone()),
            _ => self.source.clone(),
        };
        PackageFilter {
            name: exact.filter(|name| literal(name)),
            distribution: self.distribution.clone(),
            release: match &self.releases[..] {
                [one] => Some(one.clone()),
                _ => None,
            },
            component: self.component.clone(),
            architecture: self.architecture.clone().filter(|_| of_artifacts),
            ..PackageFilter::default()
        }
    }
}

/// True when nothing is asked, or this.
fn is(asked: Option<&str>, found: Option<&str>) -> bool {
    asked.is_none_or(|asked| found == Some(asked))
}
