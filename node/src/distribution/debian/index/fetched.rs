//! Signed indexes as they were fetched, and whether anything changed since they were last read.

use bytes::Bytes;
use rebuilder_actors::protocol::{IndexState, Sha256};

use super::plan::{ReleasePlan, SuitePlan};
use super::release::ReleaseFile;
use super::settings::DebianSettings;
use crate::fetch::Validator;

/// A signed index, not yet checked.
pub(super) struct FetchedRelease {
    pub(super) url: String,
    pub(super) sha256: Sha256,
    pub(super) bytes: Bytes,
    /// `None`: within `bytes`, or not looked at.
    pub(super) signature: Option<Bytes>,
    pub(super) validator: Validator,
}

/// How the state names each suite: by its name, with the archive where that does not tell.
pub(super) fn names(releases: &[ReleasePlan]) -> Vec<String> {
    let suites: Vec<_> = releases.iter().flat_map(|release| &release.suites).collect();
    let name = |suite: &&SuitePlan| {
        let same = suites.iter().filter(|other| other.suite == suite.suite).count();
        if same == 1 { suite.suite.clone() } else { format!("{} {}", suite.suite, suite.base()) }
    };
    suites.iter().map(name).collect()
}

pub(super) fn is_same(
    since: &IndexState,
    settings: Sha256,
    names: &[String],
    fetched: &[FetchedRelease],
) -> bool {
    since.settings == settings
        && since.releases.len() == fetched.len()
        && since
            .releases
            .iter()
            .zip(names.iter().zip(fetched))
            .all(|(before, (name, now))| before.name == *name && before.sha256 == now.sha256)
}

pub(super) fn is_foreign(suite: &SuitePlan, file: &ReleaseFile, distribution: &str) -> bool {
    let origin = file.origin.as_deref();
    let foreign = suite.of_distribution_only
        && origin.is_some_and(|origin| !origin.eq_ignore_ascii_case(distribution));
    if foreign {
        tracing::info!(suite = suite.suite, base = suite.base(), "not of {distribution}: left out");
    }
    foreign
}

/// Digest of everything that shapes the result; the number changes when the reader's rules do.
pub(super) fn digest(settings: &DebianSettings, releases: &[ReleasePlan]) -> Sha256 {
    Sha256::of(format!("debian 2 {settings:?} {releases:?}").as_bytes())
}
