//! The predicates `urn:rebuilder:attempt:v1`, `v2` and `v3`, field by field: the second one has a
//! `sandbox`, the first one has none; the third one says which rules the index breaks
//! (`index.waived`) and may have a `sandbox`; everything else is the same.
//!
//! Others read these names, so they are written out here and do not follow the domain's types: a
//! renamed field or variant there changes nothing here. Digests are lower-case hex, times are
//! milliseconds since 1970-01-01 UTC on the worker's clock, `null` means "not known" or "none".
//! What may be added is a new predicate type with a new number, never a field.

use serde::{Deserialize, Serialize};

use super::index_record::Index;
use super::{AttemptReport, LogDigest};
use crate::protocol::{
    AttemptId, Attempted, Capability, Ending, EnvironmentKnowledge, Epoch, Fault, FaultKind,
    FileDigest, InputId, Isolation, JobKey, Rebuilt, Sandbox, Sha256, Sha512, SignerKind, Stage,
    UtcMillis,
};

/// See the head of this file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct AttemptPredicate {
    pub attempt: AttemptNumber,
    pub job: Job,
    /// Digest of the set of artifacts that was asked for.
    pub artifact_set: Sha256,
    pub index: Index,
    pub outcome: Outcome,
    pub environment: Environment,
    pub isolation: IsolationWord,
    /// What held the build in. Absent in `v1`, there in `v2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<SandboxRecord>,
    pub input: Input,
    /// Digest of the source as used.
    pub source_sha256: Option<Sha256>,
    pub started_at_millis: i64,
    pub finished_at_millis: i64,
    pub log: Log,
    pub worker_version: String,
    pub signer: SignerWord,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct AttemptNumber {
    pub job: i32,
    pub epoch: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Job {
    pub distribution: Box<str>,
    pub backend: Box<str>,
    pub source: Box<str>,
    pub version: Box<str>,
    pub architecture: Box<str>,
    pub input: Box<str>,
}

/// Externally tagged, so that the parser need not buffer it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Outcome {
    Built(Vec<RebuiltFile>),
    BuildFailed(BuildFailure),
    Fault(FaultRecord),
}

/// The digests of the output are the subject of that name; no subject means no output.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct RebuiltFile {
    pub file: Box<str>,
    /// Bytes of the output; `null`: the build made no such file.
    pub output_size: Option<u64>,
    /// The published file, where the worker fetched it.
    pub published: Option<PublishedFile>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct PublishedFile {
    pub size: u64,
    pub sha256: Sha256,
    pub sha512: Sha512,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct BuildFailure {
    pub reason: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct FaultRecord {
    pub kind: FaultWord,
    pub detail: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Environment {
    pub knowledge: KnowledgeWord,
    /// Over the sorted lines `name version architecture\n` of what was installed.
    pub sha256: Option<Sha256>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct SandboxRecord {
    /// What was active, each once, in the order of the list below.
    pub capabilities: Vec<CapabilityWord>,
    /// Version of the kernel's Landlock.
    pub landlock_abi: Option<u32>,
}

/// The build input as used: the material of the links.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Input {
    pub file: Option<Box<str>>,
    pub sha256: Option<Sha256>,
    pub sha512: Option<Sha512>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Log {
    pub sha256: Sha256,
    pub size: u64,
    pub truncated: bool,
}

/// A word of the predicate for each variant of a domain type, with the way there and back.
macro_rules! words {
    ($name:ident for $domain:ident { $($variant:ident = $word:literal),* $(,)? }) => {
        #[derive(Clone, Copy, Serialize, Deserialize)]
        pub(super) enum $name {
            $(#[serde(rename = $word)] $variant,)*
        }

        impl From<$domain> for $name {
            fn from(value: $domain) -> Self {
                match value { $($domain::$variant => Self::$variant,)* }
            }
        }

        impl From<$name> for $domain {
            fn from(word: $name) -> Self {
                match word { $($name::$variant => Self::$variant,)* }
            }
        }
    };
}

words!(KnowledgeWord for EnvironmentKnowledge {
    Recorded = "recorded", Suite = "suite", Opaque = "opaque", Partial = "partial",
});
words!(IsolationWord for Isolation {
    Full = "full", Script = "script", None = "none", Network = "network",
});
words!(CapabilityWord for Capability {
    UserNamespace = "user-namespace", MountNamespace = "mount-namespace",
    PidNamespace = "pid-namespace", NetworkNamespace = "network-namespace",
    IpcNamespace = "ipc-namespace", NoNewPrivileges = "no-new-privileges", Seccomp = "seccomp",
    SocketFamilies = "socket-families", NoNestedNamespaces = "no-nested-namespaces",
    Landlock = "landlock", MemoryGroup = "memory-group", PidsGroup = "pids-group",
    Linux32 = "linux32",
});
words!(SignerWord for SignerKind { WorkerKey = "worker-key", Legacy = "legacy" });

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) enum FaultWord {
    #[serde(rename = "fetch-failed")]
    FetchFailed,
    #[serde(rename = "inputs-unavailable")]
    InputsUnavailable,
    #[serde(rename = "out-of-memory")]
    OutOfMemory,
    #[serde(rename = "disk-full")]
    DiskFull,
    #[serde(rename = "worker-lost")]
    WorkerLost,
    #[serde(rename = "cancelled")]
    Cancelled,
    #[serde(rename = "backend-missing")]
    BackendMissing,
    #[serde(rename = "fetch-timed-out")]
    FetchTimedOut,
    #[serde(rename = "prepare-timed-out")]
    PrepareTimedOut,
    #[serde(rename = "build-timed-out")]
    BuildTimedOut,
    #[serde(rename = "compare-timed-out")]
    CompareTimedOut,
    #[serde(rename = "sign-timed-out")]
    SignTimedOut,
    #[serde(rename = "worker-failed")]
    WorkerFailed,
}

impl From<FaultKind> for FaultWord {
    fn from(kind: FaultKind) -> Self {
        match kind {
            FaultKind::FetchFailed => Self::FetchFailed,
            FaultKind::InputsUnavailable => Self::InputsUnavailable,
            FaultKind::OutOfMemory => Self::OutOfMemory,
            FaultKind::DiskFull => Self::DiskFull,
            FaultKind::WorkerLost => Self::WorkerLost,
            FaultKind::Cancelled => Self::Cancelled,
            FaultKind::BackendMissing => Self::BackendMissing,
            FaultKind::TimedOut(Stage::Fetch) => Self::FetchTimedOut,
            FaultKind::TimedOut(Stage::Prepare) => Self::PrepareTimedOut,
            FaultKind::TimedOut(Stage::Build) => Self::BuildTimedOut,
            FaultKind::TimedOut(Stage::Compare) => Self::CompareTimedOut,
            FaultKind::TimedOut(Stage::Sign) => Self::SignTimedOut,
            FaultKind::WorkerFailed => Self::WorkerFailed,
        }
    }
}

impl From<FaultWord> for FaultKind {
    fn from(word: FaultWord) -> Self {
        match word {
            FaultWord::FetchFailed => Self::FetchFailed,
            FaultWord::InputsUnavailable => Self::InputsUnavailable,
            FaultWord::OutOfMemory => Self::OutOfMemory,
            FaultWord::DiskFull => Self::DiskFull,
            FaultWord::WorkerLost => Self::WorkerLost,
            FaultWord::Cancelled => Self::Cancelled,
            FaultWord::BackendMissing => Self::BackendMissing,
            FaultWord::FetchTimedOut => Self::TimedOut(Stage::Fetch),
            FaultWord::PrepareTimedOut => Self::TimedOut(Stage::Prepare),
            FaultWord::BuildTimedOut => Self::TimedOut(Stage::Build),
            FaultWord::CompareTimedOut => Self::TimedOut(Stage::Compare),
            FaultWord::SignTimedOut => Self::TimedOut(Stage::Sign),
            FaultWord::WorkerFailed => Self::WorkerFailed,
        }
    }
}

impl AttemptPredicate {
    /// The predicate of `report`, whose rebuilt files are already told apart by name.
    pub(super) fn of(report: &AttemptReport, input_file: Option<&str>) -> Self {
        let done = &report.attempted;
        Self {
            attempt: AttemptNumber { job: report.attempt.job.0, epoch: report.attempt.epoch.0 },
            job: (&report.key).into(),
            artifact_set: report.artifact_set,
            index: Index::new(report.index, report.index_sha256),
            outcome: (&done.ending).into(),
            environment: Environment {
                knowledge: done.environment.into(),
                sha256: done.environment_sha256,
            },
            isolation: done.isolation.into(),
            sandbox: done.sandbox.as_ref().map(Into::into),
            input: Input {
                file: input_file.map(Into::into),
                sha256: done.input_sha256,
                sha512: done.input_sha512,
            },
            source_sha256: done.source_sha256,
            started_at_millis: done.started_at.0,
            finished_at_millis: done.finished_at.0,
            log: Log {
                sha256: report.log.sha256,
                size: report.log.size,
                truncated: report.log.truncated,
            },
            worker_version: report.worker_version.clone(),
            signer: report.signer.into(),
        }
    }

    /// False when full isolation is claimed by a sandbox that lacks a part of it.
    pub(super) fn is_isolated_as_said(&self) -> bool {
        let Some(record) = &self.sandbox else { return true };
        Isolation::from(self.isolation) != Isolation::Full
            || Sandbox::from(record.clone()).isolation() == Isolation::Full
    }

    /// The report, and the name of the build input's file. `outputs` yields the digests of the
    /// outputs, one for each file that has one, in order.
    ///
    /// `None` when `outputs` has fewer digests than there are outputs.
    pub(super) fn into_report(
        self,
        outputs: impl Iterator<Item = (Sha256, Sha512)>,
    ) -> Option<(AttemptReport, Option<Box<str>>)> {
        let attempted = Attempted {
            ending: self.outcome.into_ending(outputs)?,
            environment: self.environment.knowledge.into(),
            isolation: self.isolation.into(),
            sandbox: self.sandbox.map(Into::into),
            input_sha256: self.input.sha256,
            input_sha512: self.input.sha512,
            source_sha256: self.source_sha256,
            environment_sha256: self.environment.sha256,
            started_at: UtcMillis(self.started_at_millis),
            finished_at: UtcMillis(self.finished_at_millis),
        };
        let report = AttemptReport {
            attempt: AttemptId { job: InputId(self.attempt.job), epoch: Epoch(self.attempt.epoch) },
            key: self.job.into(),
            artifact_set: self.artifact_set,
            index: self.index.trust(),
            index_sha256: self.index.sha256,
            attempted,
            log: LogDigest {
                sha256: self.log.sha256,
                size: self.log.size,
                truncated: self.log.truncated,
            },
            worker_version: self.worker_version,
            signer: self.signer.into(),
        };
        Some((report, self.input.file))
    }
}

impl Outcome {
    fn into_ending(self, mut outputs: impl Iterator<Item = (Sha256, Sha512)>) -> Option<Ending> {
        Some(match self {
            Self::BuildFailed(failure) => Ending::BuildFailed { reason: failure.reason },
            Self::Fault(fault) => {
                Ending::Fault(Fault { kind: fault.kind.into(), detail: fault.detail })
            }
            Self::Built(files) => {
                let mut rebuilt = Vec::with_capacity(files.len());
                for file in files {
                    let output = match file.output_size {
                        None => None,
                        Some(size) => {
                            let (sha256, sha512) = outputs.next()?;
                            Some(FileDigest { size, sha256, sha512 })
                        }
                    };
                    let published = file.published.map(Into::into);
                    rebuilt.push(Rebuilt { file: file.file, output, published });
                }
                Ending::Built(rebuilt)
            }
        })
    }
}

impl From<&Ending> for Outcome {
    fn from(ending: &Ending) -> Self {
        match ending {
            Ending::Built(files) => Self::Built(
                files
                    .iter()
                    .map(|rebuilt| RebuiltFile {
                        file: rebuilt.file.clone(),
                        output_size: rebuilt.output.map(|output| output.size),
                        published: rebuilt.published.map(Into::into),
                    })
                    .collect(),
            ),
            Ending::BuildFailed { reason } => {
                Self::BuildFailed(BuildFailure { reason: reason.clone() })
            }
            Ending::Fault(fault) => {
                Self::Fault(FaultRecord { kind: fault.kind.into(), detail: fault.detail.clone() })
            }
        }
    }
}

impl From<&Sandbox> for SandboxRecord {
    fn from(sandbox: &Sandbox) -> Self {
        let capabilities = sandbox.capabilities.iter().map(|one| (*one).into()).collect();
        Self { capabilities, landlock_abi: sandbox.landlock_abi }
    }
}

impl From<SandboxRecord> for Sandbox {
    fn from(record: SandboxRecord) -> Self {
        let capabilities = record.capabilities.into_iter().map(Into::into).collect();
        Self { capabilities, landlock_abi: record.landlock_abi }
    }
}

impl From<FileDigest> for PublishedFile {
    fn from(file: FileDigest) -> Self {
        Self { size: file.size, sha256: file.sha256, sha512: file.sha512 }
    }
}

impl From<PublishedFile> for FileDigest {
    fn from(file: PublishedFile) -> Self {
        Self { size: file.size, sha256: file.sha256, sha512: file.sha512 }
    }
}

impl From<&JobKey> for Job {
    fn from(key: &JobKey) -> Self {
        Self {
            distribution: key.distribution.clone(),
            backend: key.backend.clone(),
            source: key.source.clone(),
            version: key.version.clone(),
            architecture: key.architecture.clone(),
            input: key.input.clone(),
        }
    }
}

impl From<Job> for JobKey {
    fn from(job: Job) -> Self {
        Self {
            distribution: job.distribution,
            backend: job.backend,
            source: job.source,
            version: job.version,
            architecture: job.architecture,
            input: job.input,
        }
    }
}
