//! Which packages an operator or reader means.

use glob::Pattern;

use super::queue::Job;
use crate::protocol::Artifact;
use crate::protocol::stored::v1::Membership;
use crate::protocol::wire::v1::ctl::PackageFilter;

/// A [`PackageFilter`] ready to match; its status is left to whoever knows one.
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
                return Err(FilterError { pattern, reason: "it is longer than 1,024 bytes" });
            }
            Some(name) => Some(
                Pattern::new(name)
                    .map_err(|e| FilterError { pattern: name.clone(), reason: e.msg })?,
            ),
            None => None,
        };
        Ok(Self { filter, name })
    }

    /// True when some artifact of some membership of the job matches.
    pub fn job(&self, job: &Job) -> bool {
        // Nearly all jobs have another name: an order looks at every one in the queue's turn.
        if self.name.as_ref().is_some_and(|name| !job.has_name(|found| name.matches(found))) {
            return false;
        }
        job.memberships().iter().any(|m| {
            self.membership(job, m) && m.artifacts.iter().any(|(_, a)| self.artifact(job, a))
        })
    }

    /// True when the membership matches what the filter says of distributions and releases.
    pub fn membership(&self, job: &Job, membership: &Membership) -> bool {
        matches(&self.filter.distribution, Some(&job.key.distribution))
            && matches(&self.filter.release, membership.release.as_deref())
    }

    /// True when the artifact, or its source package, matches the rest of the filter.
    pub fn artifact(&self, job: &Job, artifact: &Artifact) -> bool {
        let named = |name: &Pattern| name.matches(&artifact.name) || name.matches(&job.key.source);
        self.name.as_ref().is_none_or(named)
            && matches(&self.filter.component, artifact.component.as_deref())
            && matches(&self.filter.architecture, Some(&artifact.architecture))
            && (matches(&self.filter.version, Some(&artifact.version))
                || matches(&self.filter.version, Some(&job.key.version)))
    }
}

/// A pattern is tried on every package; a name has less than a quarter of this.
const PATTERN_BYTES_MAX: usize = 1_024;

fn matches(wanted: &Option<String>, found: Option<&str>) -> bool {
    wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
}

/// A name that cannot be read as a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` is no pattern: {reason}")]
pub struct FilterError {
    /// As given.
    pub pattern: String,
    /// What is wrong.
    pub reason: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_has_a_limit() {
        let named = |name: String| PackageFilter { name: Some(name), ..PackageFilter::default() };
        assert!(PackageMatch::new(&named("?".repeat(1_024))).is_ok());
        let long = named("é".repeat(513));
        let error = PackageMatch::new(&long).unwrap_err();
        assert_eq!(error.pattern.chars().count(), 64);
    }
}
