//! The rows of `--json`: their fields are a contract of their own (`docs/ctl.md`), apart from the
//! messages. Fields are only ever added. Times are RFC 3339 in UTC, durations milliseconds, sizes
//! bytes; what is not known is `null`.

use rebuilder_actors::domain::report::key_id;
use rebuilder_actors::protocol::wire::v1::ctl;
use rebuilder_actors::protocol::wire::v1::history::FirstTimes;
use rebuilder_actors::protocol::{Evidence, JobKey, UtcMillis};
use serde::Serialize;

use crate::human::rfc3339;
use crate::text::steers;
use crate::words;

/// One JSON value on one line.
pub fn to_line<T: Serialize>(row: &T) -> String {
    let line = serde_json::to_string(row);
    tame(line.expect("rows have only text keys and numbers that JSON can write"))
}

/// A row's JSON object, as it is shown, with one more field at its end.
pub fn with_field<T: Serialize>(object: &str, name: &str, value: &T) -> String {
    let open = object.strip_suffix('}').unwrap_or(object);
    format!("{open},\"{name}\":{}}}", to_line(value))
}

/// `json`, with what steers a terminal as escape sequences of JSON: the same value, which may be
/// shown. JSON itself asks for that of C0 only (RFC 8259 §7).
pub fn tame(json: String) -> String {
    if !json.contains(steers) {
        return json;
    }
    let mut out = String::with_capacity(json.len() + 64);
    for c in json.chars() {
        if steers(c) {
            // Beyond U+FFFF JSON writes two surrogates.
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// Of `pkgs ls`.
#[derive(Debug, Serialize)]
pub struct PackageRow<'a> {
    pub name: &'a str,
    pub version: &'a str,
    pub source: &'a str,
    pub distribution: &'a str,
    pub release: Option<&'a str>,
    pub component: Option<&'a str>,
    pub architecture: &'a str,
    pub url: &'a str,
    pub file: &'a str,
    pub sha256: Option<String>,
    pub status: &'static str,
    pub verdict: Option<&'static str>,
    pub evidence: Option<EvidenceRow>,
    pub gate_grade: bool,
    pub flaky: bool,
    pub rebuilt_sha256: Option<String>,
    pub job: i32,
    pub build: Option<i32>,
    pub built_at: Option<String>,
    pub worker: Option<i32>,
    pub has_difference: bool,
    pub reason: Option<&'a str>,
    pub fault: Option<&'static str>,
    pub fault_stage: Option<&'static str>,
    pub first_seen_at: Option<String>,
    pub first_built_at: Option<String>,
    pub first_differed_at: Option<String>,
}

impl<'a> PackageRow<'a> {
    /// Of an artifact of which these times are known.
    pub fn new(package: &'a ctl::Package, times: FirstTimes) -> Self {
        Self {
            name: &package.name,
            version: &package.version,
            source: &package.source,
            distribution: &package.distribution,
            release: package.release.as_deref(),
            component: package.component.as_deref(),
            architecture: &package.architecture,
            url: &package.url,
            file: &package.file,
            sha256: package.sha256.map(|digest| digest.to_string()),
            status: words::status(package.status),
            verdict: package.verdict.map(words::verdict),
            evidence: package.evidence.as_ref().map(EvidenceRow::from),
            gate_grade: package.gate_grade,
            flaky: package.flaky,
            rebuilt_sha256: package.rebuilt_sha256.map(|digest| digest.to_string()),
            job: package.job.0,
            build: package.build.map(|build| build.0),
            built_at: package.built_at.and_then(rfc3339),
            worker: package.worker.map(|worker| worker.0),
            has_difference: package.has_difference,
            reason: package.reason.as_deref(),
            fault: package.fault.map(words::fault),
            fault_stage: package.fault.and_then(words::fault_stage),
            first_seen_at: times.seen.and_then(rfc3339),
            first_built_at: times.built.and_then(rfc3339),
            first_differed_at: times.differed.and_then(rfc3339),
        }
    }
}

/// What a verdict rests on.
#[derive(Debug, Serialize)]
pub struct EvidenceRow {
    pub index: &'static str,
    /// Rules that the index breaks; empty where it keeps all.
    pub waived: Vec<&'static str>,
    pub environment: &'static str,
    pub isolation: &'static str,
    pub signer: &'static str,
}

impl From<&Evidence> for EvidenceRow {
    fn from(evidence: &Evidence) -> Self {
        Self {
            index: words::index(evidence.index),
            waived: evidence.index.waived().words().collect(),
            environment: words::environment(evidence.environment),
            isolation: words::isolation(evidence.isolation),
            signer: words::signer(evidence.signer),
        }
    }
}

/// What identifies a job; part of other rows.
#[derive(Debug, Serialize)]
pub struct JobRow<'a> {
    pub distribution: &'a str,
    pub backend: &'a str,
    pub source: &'a str,
    pub version: &'a str,
    pub architecture: &'a str,
    pub input: &'a str,
}

impl<'a> From<&'a JobKey> for JobRow<'a> {
    fn from(key: &'a JobKey) -> Self {
        Self {
            distribution: &key.distribution,
            backend: &key.backend,
            source: &key.source,
            version: &key.version,
            architecture: &key.architecture,
            input: &key.input,
        }
    }
}

/// Of `queue ls`.
#[derive(Debug, Serialize)]
pub struct QueuedRow<'a> {
    pub job: i32,
    #[serde(flatten)]
    pub key: JobRow<'a>,
    pub releases: &'a [String],
    pub priority: i32,
    pub queued_at: Option<String>,
    pub place: &'static str,
    pub until: Option<String>,
    pub worker: Option<i32>,
    pub since: Option<String>,
    pub reason: Option<&'a str>,
    pub attempts: u32,
}

impl<'a> From<&'a ctl::Queued> for QueuedRow<'a> {
    fn from(queued: &'a ctl::Queued) -> Self {
        let mut row = Self {
            job: queued.job.0,
            key: (&queued.key).into(),
            releases: &queued.releases,
            priority: queued.priority,
            queued_at: rfc3339(queued.queued_at),
            place: "ready",
            until: None,
            worker: None,
            since: None,
            reason: None,
            attempts: queued.attempts,
        };
        match &queued.place {
            ctl::ShownPlace::Ready => {}
            ctl::ShownPlace::Delayed { until } => {
                row.place = "delayed";
                row.until = rfc3339(*until);
            }
            ctl::ShownPlace::Running { worker, since } => {
                row.place = "running";
                row.worker = Some(worker.0);
                row.since = rfc3339(*since);
            }
            ctl::ShownPlace::Parked { reason, until } => {
                row.place = "parked";
                row.reason = Some(reason);
                row.until = until.and_then(rfc3339);
            }
        }
        row
    }
}

/// Of `worker ls`.
#[derive(Debug, Serialize)]
pub struct WorkerRow<'a> {
    pub id: i32,
    pub key: String,
    pub key_id: String,
    pub name: &'a str,
    pub connected: bool,
    pub address: Option<&'a str>,
    pub revoked: bool,
    pub last_seen: Option<String>,
    pub slots: u16,
    pub running: u16,
    pub backends: &'a [String],
    pub architectures: &'a [String],
    pub free_memory_bytes: u64,
    pub free_disk_bytes: u64,
}

impl<'a> From<&'a ctl::Worker> for WorkerRow<'a> {
    fn from(worker: &'a ctl::Worker) -> Self {
        Self {
            id: worker.id.0,
            key: worker.key.to_string(),
            key_id: key_id(&worker.key),
            name: &worker.name,
            connected: worker.address.is_some(),
            address: worker.address.as_deref(),
            revoked: worker.revoked,
            last_seen: worker.last_seen.and_then(rfc3339),
            slots: worker.slots,
            running: worker.running,
            backends: &worker.backends,
            architectures: &worker.architectures,
            free_memory_bytes: worker.free_memory,
            free_disk_bytes: worker.free_disk,
        }
    }
}

/// Of `profile ls`.
#[derive(Debug, Serialize)]
pub struct ProfileRow<'a> {
    pub name: &'a str,
    pub distribution: &'a str,
    pub jobs: u32,
    pub artifacts: u32,
    pub synced_at: Option<String>,
    pub synced_in_ms: u64,
    pub error: Option<&'a str>,
    pub next_at: Option<String>,
}

impl<'a> From<&'a ctl::Profile> for ProfileRow<'a> {
    fn from(profile: &'a ctl::Profile) -> Self {
        Self {
            name: &profile.name,
            distribution: &profile.distribution,
            jobs: profile.jobs,
            artifacts: profile.artifacts,
            synced_at: profile.synced_at.and_then(rfc3339),
            synced_in_ms: profile.synced_in_ms,
            error: profile.error.as_deref(),
            next_at: profile.next_at.and_then(rfc3339),
        }
    }
}

/// Something that is wrong; part of other rows.
#[derive(Debug, Serialize)]
pub struct TroubleRow<'a> {
    pub kind: &'static str,
    pub worker: Option<i32>,
    pub profile: Option<&'a str>,
    pub release: Option<&'a str>,
    pub job: Option<i32>,
    pub text: &'a str,
    pub times: u32,
    pub next_at: Option<String>,
}

impl<'a> From<&'a ctl::Trouble> for TroubleRow<'a> {
    fn from(trouble: &'a ctl::Trouble) -> Self {
        let mut row = Self {
            kind: "job",
            worker: None,
            profile: None,
            release: None,
            job: None,
            text: &trouble.text,
            times: trouble.times,
            next_at: trouble.next.and_then(rfc3339),
        };
        match &trouble.subject {
            ctl::Subject::Worker(id) => (row.kind, row.worker) = ("worker", Some(id.0)),
            ctl::Subject::Leftover(id) => (row.kind, row.worker) = ("leftover", Some(id.0)),
            ctl::Subject::Profile(profile) => {
                (row.kind, row.profile) = ("profile", Some(profile.as_str()));
            }
            ctl::Subject::Release { profile, release } => {
                row.kind = "release";
                (row.profile, row.release) = (Some(profile.as_str()), Some(release.as_str()));
            }
            ctl::Subject::Job(id) => row.job = Some(id.0),
        }
        row
    }
}

/// Of `quarantine ls`.
#[derive(Debug, Serialize)]
pub struct QuarantinedRow<'a> {
    pub actor: &'a str,
    pub text: &'a str,
    pub at: Option<String>,
}

/// Of `worker invite`.
#[derive(Debug, Serialize)]
pub struct InvitationRow<'a> {
    pub token: &'a str,
    pub expires_at: Option<String>,
}

impl<'a> InvitationRow<'a> {
    /// Of what the coordinator answered.
    pub fn new(token: &'a str, expires: UtcMillis) -> Self {
        Self { token, expires_at: rfc3339(expires) }
    }
}

/// Of every order.
#[derive(Debug, Serialize)]
pub struct DoneRow<'a> {
    pub affected: u32,
    pub text: &'a str,
}

/// Of `status`.
#[derive(Debug, Serialize)]
pub struct StatusRow<'a> {
    pub software: &'a str,
    pub uptime_ms: u64,
    pub key: String,
    pub key_id: String,
    pub jobs: JobCountsRow,
    pub artifacts: ArtifactCountsRow,
    pub running: Vec<RunningRow<'a>>,
    pub quarantined: u32,
    pub troubles: Vec<TroubleRow<'a>>,
}

/// Jobs by where they are.
#[derive(Debug, Serialize)]
pub struct JobCountsRow {
    pub ready: u32,
    pub delayed: u32,
    pub running: u32,
    pub parked: u32,
    pub decided: u32,
    pub dropped: u32,
    pub next_due_ms: Option<u64>,
}

/// Artifacts by status; all are always there.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ArtifactCountsRow {
    pub reproduced: u32,
    pub differs: u32,
    pub missing: u32,
    pub build_failed: u32,
    pub unknown: u32,
    pub parked: u32,
    pub dropped: u32,
}

/// An attempt that a worker holds.
#[derive(Debug, Serialize)]
pub struct RunningRow<'a> {
    pub attempt: String,
    pub job: i32,
    #[serde(flatten)]
    pub key: JobRow<'a>,
    pub worker: i32,
    pub worker_name: &'a str,
    pub stage: Option<&'static str>,
    pub age_ms: u64,
    pub log_bytes: u64,
}

impl<'a> From<&'a ctl::Status> for StatusRow<'a> {
    fn from(status: &'a ctl::Status) -> Self {
        let jobs = &status.jobs;
        Self {
            software: &status.software,
            uptime_ms: status.uptime_ms,
            key: status.key.to_string(),
            key_id: key_id(&status.key),
            jobs: JobCountsRow {
                ready: jobs.ready,
                delayed: jobs.delayed,
                running: jobs.running,
                parked: jobs.parked,
                decided: jobs.decided,
                dropped: jobs.dropped,
                next_due_ms: jobs.next_due_ms,
            },
            artifacts: artifact_counts(&status.artifacts),
            running: status.running.iter().map(RunningRow::from).collect(),
            quarantined: status.quarantined,
            // Asked for apart.
            troubles: Vec::new(),
        }
    }
}

impl<'a> From<&'a ctl::RunningJob> for RunningRow<'a> {
    fn from(running: &'a ctl::RunningJob) -> Self {
        Self {
            attempt: running.attempt.to_string(),
            job: running.attempt.job.0,
            key: (&running.key).into(),
            worker: running.worker.0,
            worker_name: &running.worker_name,
            stage: running.stage.map(words::stage),
            age_ms: running.age_ms,
            log_bytes: running.log_bytes,
        }
    }
}

/// Counts by status; those that were not told are 0.
pub fn artifact_counts(told: &[(ctl::PackageStatus, u32)]) -> ArtifactCountsRow {
    let mut row = ArtifactCountsRow::default();
    for (status, count) in told {
        *match status {
            ctl::PackageStatus::Reproduced => &mut row.reproduced,
            ctl::PackageStatus::Differs => &mut row.differs,
            ctl::PackageStatus::Missing => &mut row.missing,
            ctl::PackageStatus::BuildFailed => &mut row.build_failed,
            ctl::PackageStatus::Unknown => &mut row.unknown,
            ctl::PackageStatus::Parked => &mut row.parked,
            ctl::PackageStatus::Dropped => &mut row.dropped,
        } += count;
    }
    row
}
