//! What the peer's clients read: its names, its words, its numbers.

use rebuilder_actors::domain::results::listing::{Binary, BuildOutcome, Source};
use rebuilder_actors::protocol::wire::v1::ctl::Package;
use rebuilder_actors::protocol::{JobKey, UtcMillis, Verdict};
use serde::Serialize;

use super::time::naive;

/// `GOOD`, `BAD` or `UNKWN`: what is known of one artifact. A failed build says nothing of it.
pub(super) fn artifact_status(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::Reproduced) => "GOOD",
        Some(Verdict::Differs | Verdict::Missing) => "BAD",
        None => "UNKWN",
    }
}

/// `GOOD`, `BAD` or `FAIL`: how a build ended.
pub(super) fn build_status(outcome: BuildOutcome) -> &'static str {
    match outcome {
        BuildOutcome::Reproduced => "GOOD",
        BuildOutcome::Differs => "BAD",
        BuildOutcome::Failed => "FAIL",
    }
}

/// The time at which nothing was.
fn seen(at: Option<UtcMillis>) -> String {
    naive(at.unwrap_or(UtcMillis(0)))
}

/// What a row of a list says of the job that it is about.
#[derive(Debug, Serialize)]
pub(super) struct OfJob {
    name: String,
    version: String,
    distribution: String,
    release: Option<String>,
    architecture: String,
    backend: String,
}

impl OfJob {
    pub(super) fn new(key: JobKey, release: Option<String>) -> Self {
        Self {
            name: key.source.into(),
            version: key.version.into(),
            distribution: key.distribution.into(),
            release,
            architecture: key.architecture.into(),
            backend: key.backend.into(),
        }
    }
}

/// Of `packages/binary`. The number of an artifact is that of its record: with the build's it names
/// its difference and its attestation.
#[derive(Debug, Serialize)]
pub(super) struct BinaryPackage {
    id: i32,
    name: String,
    version: String,
    distribution: String,
    release: Option<String>,
    component: Option<String>,
    architecture: String,
    url: String,
    status: Option<&'static str>,
    build_id: Option<i32>,
    artifact_id: Option<i32>,
    diffoscope_log_id: Option<i32>,
    attestation_log_id: Option<i32>,
    last_seen: String,
    seen_in_last_sync: bool,
}

impl From<Binary> for BinaryPackage {
    fn from(row: Binary) -> Self {
        let (id, last_seen) = (row.id.0, seen(row.last_seen));
        let Package { build, verdict, has_difference, .. } = row.listed.package;
        let package = row.listed.package;
        Self {
            id,
            name: package.name,
            version: package.version,
            distribution: package.distribution,
            release: package.release,
            component: package.component,
            architecture: package.architecture,
            url: package.url,
            status: verdict.map(|verdict| artifact_status(Some(verdict))),
            build_id: build.map(|build| build.0),
            artifact_id: build.map(|_| id),
            diffoscope_log_id: build.filter(|_| has_difference).map(|_| id),
            attestation_log_id: build.filter(|_| verdict == Some(Verdict::Reproduced)).map(|_| id),
            last_seen,
            seen_in_last_sync: true,
        }
    }
}

/// A row of `packages/transition_packages`, in the order in which they are sorted.
#[derive(Debug, Serialize, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TransitionPackage {
    name: String,
    version: String,
    architecture: String,
    status: Option<&'static str>,
    build_id: Option<i32>,
    diffoscope_log_id: Option<i32>,
}

impl From<Binary> for TransitionPackage {
    fn from(row: Binary) -> Self {
        let package = BinaryPackage::from(row);
        Self {
            name: package.name,
            version: package.version,
            architecture: package.architecture,
            status: package.status,
            build_id: package.build_id,
            diffoscope_log_id: package.diffoscope_log_id,
        }
    }
}

/// A row of `packages/source`: one release, built on one architecture.
#[derive(Debug, Serialize)]
pub(super) struct SourcePackage {
    id: i32,
    name: String,
    version: String,
    distribution: String,
    release: Option<String>,
    status: Option<&'static str>,
    build_id: Option<i32>,
    last_seen: String,
    seen_in_last_sync: bool,
}

impl From<Source> for SourcePackage {
    fn from(row: Source) -> Self {
        Self {
            id: row.id.0,
            name: row.name,
            version: row.version,
            distribution: row.distribution,
            release: row.release,
            status: row.outcome.map(build_status),
            build_id: row.build.map(|build| build.0),
            last_seen: seen(row.last_seen),
            seen_in_last_sync: true,
        }
    }
}

/// A row of `v0/pkgs/list`; the release is not told, as in the peer.
#[derive(Debug, Serialize)]
pub(super) struct PkgRelease {
    name: String,
    version: String,
    status: &'static str,
    distro: String,
    /// The component, for the peer has no other word for it here.
    suite: String,
    architecture: String,
    artifact_url: String,
    build_id: Option<i32>,
    built_at: Option<String>,
    has_diffoscope: bool,
    has_attestation: bool,
}

impl From<Package> for PkgRelease {
    fn from(package: Package) -> Self {
        Self {
            status: artifact_status(package.verdict),
            name: package.name,
            version: package.version,
            distro: package.distribution,
            suite: package.component.unwrap_or_default(),
            architecture: package.architecture,
            artifact_url: package.url,
            build_id: package.build.map(|build| build.0),
            built_at: package.build.and(package.built_at).map(naive),
            has_diffoscope: package.has_difference,
            has_attestation: package.verdict == Some(Verdict::Reproduced),
        }
    }
}
