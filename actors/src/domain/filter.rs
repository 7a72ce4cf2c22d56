//! Which packages an operator or reader means.

use glob::Pattern;

use super::queue::{ArtifactTexts, Job};
use crate::protocol::Artifact;
use crate::protocol::stored::Membership;
use crate::protocol::wire::v1::ctl::{PackageFilter, PackageStatus};

/// Most filters of one request: a page looks at the fewer jobs the more there are.
pub const FILTERS_MAX: usize = 64;

/// A [`PackageFilter`] ready to match.
#[derive(Clone, Debug)]
pub struct PackageMatch<'a> {
    filter: &'a PackageFilter,
    /// `None`: every name.
    name: Option<Pattern>,
}

impl<'a> PackageMatch<'a> {
    /// Reads the filter's patterns.
    ///
    /// # Errors
    /// A name that is no pattern.
    pub fn new(filter: &'a PackageFilter) -> Result<Self, FilterError> {
        let name = match &filter.name {
            Some(name) if name.len() > PATTERN_BYTES_MAX => {
                let pattern = name.chars().take(64).collect();
                let reason = "it is longer than 1,024 bytes";
                return Err(FilterError::Pattern { pattern, reason });
            }
            Some(name) => Some(
                Pattern::new(name)
                    .map_err(|e| FilterError::Pattern { pattern: name.clone(), reason: e.msg })?,
            ),
            None => None,
        };
        Ok(Self { filter, name })
    }

    /// Reads several filters, of which any may match.
    ///
    /// # Errors
    /// As [`PackageMatch::new`], or more than [`FILTERS_MAX`].
    pub fn all(filters: &'a [PackageFilter]) -> Result<Vec<Self>, FilterError> {
        if filters.len() > FILTERS_MAX {
            return Err(FilterError::TooMany(filters.len()));
        }
        filters.iter().map(Self::new).collect()
    }

    /// True when the filter names no status, or this one, which is only looked for when needed.
    pub fn has_status(&self, status: impl FnOnce() -> PackageStatus) -> bool {
        self.filter.status.is_none_or(|wanted| wanted == status())
    }

    /// True when some artifact of some membership of the job matches; its status is not looked at.
    /// Nothing is unpacked for it: nearly all jobs that are looked at do not match.
    pub fn job(&self, job: &Job) -> bool {
        let is_source = self.names(&job.key.source);
        matches(&self.filter.distribution, Some(&job.key.distribution))
            && job.has(|release, artifact| {
                matches(&self.filter.release, release) && self.texts(job, is_source, artifact)
            })
    }

    /// True when the membership matches what the filter says of distributions and releases.
    pub fn membership(&self, job: &Job, membership: &Membership) -> bool {
        matches(&self.filter.distribution, Some(&job.key.distribution))
            && matches(&self.filter.release, membership.release.as_deref())
    }

    /// True when the artifact, or its source package, matches the rest of the filter.
    pub fn artifact(&self, job: &Job, artifact: &Artifact) -> bool {
        self.texts(job, self.names(&job.key.source), &artifact.into())
    }

    /// As [`PackageMatch::artifact`]; `is_source`: the name of the source package matches.
    fn texts(&self, job: &Job, is_source: bool, artifact: &ArtifactTexts<'_>) -> bool {
        (is_source || self.names(artifact.name))
            && matches(&self.filter.component, artifact.component)
            && matches(&self.filter.architecture, Some(artifact.architecture))
            && (matches(&self.filter.version, Some(artifact.version))
                || matches(&self.filter.version, Some(&job.key.version)))
    }

    fn names(&self, name: &str) -> bool {
        self.name.as_ref().is_none_or(|pattern| pattern.matches(name))
    }
}

/// A pattern is tried on every package; a name has less than a quarter of this.
const PATTERN_BYTES_MAX: usize = 1_024;

fn matches(wanted: &Option<String>, found: Option<&str>) -> bool {
    wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
}

/// Filters that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// A name that cannot be read as a pattern.
    #[error("`{pattern}` is no pattern: {reason}")]
    Pattern {
        /// As given, cut short.
        pattern: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// Too many at once.
    #[error("{0} combinations of names and statuses are too many: at most {FILTERS_MAX}")]
    TooMany(usize),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_has_a_limit() {
        let named = |name: String| PackageFilter { name: Some(name), ..PackageFilter::default() };
        assert!(PackageMatch::new(&named("?".repeat(1_024))).is_ok());
        let long = named("é".repeat(513));
        let Err(FilterError::Pattern { pattern, .. }) = PackageMatch::new(&long) else {
            panic!("taken")
        };
        assert_eq!(pattern.chars().count(), 64);
        let many = vec![PackageFilter::default(); FILTERS_MAX + 1];
        assert!(PackageMatch::all(&many[..FILTERS_MAX]).is_ok());
        assert!(PackageMatch::all(&many).is_err());
    }
}
