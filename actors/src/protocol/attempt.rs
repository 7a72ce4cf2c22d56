use serde::{Deserialize, Serialize};

use super::{IndexTrust, Sha256, Sha512};
use crate::port::UtcMillis;

/// Where an attempt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Fetching the build input and the source.
    Fetch,
    /// Making the environment.
    Prepare,
    /// Building, in the sandbox.
    Build,
    /// Comparing digests, fetching published files where they are needed.
    Compare,
    /// Signing the report and keeping it in the spool.
    Sign,
}

impl core::fmt::Display for Stage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Fetch => "fetch",
            Self::Prepare => "prepare",
            Self::Build => "build",
            Self::Compare => "compare",
            Self::Sign => "sign",
        })
    }
}

/// What a backend found out in one attempt, before anybody judges it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempted {
    /// How it ended.
    pub ending: Ending,
    /// How the environment was known.
    pub environment: EnvironmentKnowledge,
    /// How the build was isolated.
    pub isolation: Isolation,
    /// Digest of the build input as used; `None` where there is none (suite).
    pub input_sha256: Option<Sha256>,
    /// Digest and length of the build input's SHA-512, for the in-toto link; `None` as above.
    pub input_sha512: Option<Sha512>,
    /// Digest of the source as used (Debian: the `.dsc`); `None` when it was not reached.
    pub source_sha256: Option<Sha256>,
    /// SHA-256 over the sorted lines `name version architecture\n` of what was installed;
    /// `None` when the environment was not made or cannot be listed.
    pub environment_sha256: Option<Sha256>,
    /// When work began, on the worker's clock.
    pub started_at: UtcMillis,
    /// When it ended, on the worker's clock.
    pub finished_at: UtcMillis,
}

/// How an attempt ended on the worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// The build's own exit status was success; one entry for each artifact of the assignment.
    Built(Vec<Rebuilt>),
    /// The build's own exit status was a failure.
    BuildFailed {
        /// One line for people: which command, which status.
        reason: String,
    },
    /// A problem of ours.
    Fault(Fault),
}

/// One artifact as it was rebuilt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rebuilt {
    /// File name, as in the assignment.
    pub file: Box<str>,
    /// `None`: the build made no such file.
    pub output: Option<FileDigest>,
    /// Digest of the published file; `None` where it was not fetched.
    pub published: Option<FileDigest>,
}

/// Length and digests of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDigest {
    /// Bytes.
    pub size: u64,
    /// SHA-256.
    pub sha256: Sha256,
    /// SHA-512, which an in-toto link names too.
    pub sha512: Sha512,
}

/// A problem of ours: never a verdict about the package (DESIGN §1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Which kind, for policy.
    pub kind: FaultKind,
    /// What failed, on what, why: one line for people, at most 1,024 bytes.
    pub detail: String,
}

/// Kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// A server could not be reached, or answered with an error of its own.
    FetchFailed,
    /// Something that the rebuild needs is not to be had: a source file, a package version.
    InputsUnavailable,
    /// Killed for memory.
    OutOfMemory,
    /// No space left.
    DiskFull,
    /// The worker fell silent or forgot the job.
    WorkerLost,
    /// Cancelled by the coordinator or an operator.
    Cancelled,
    /// The worker has no backend that can do this.
    BackendMissing,
    /// A stage took longer than allowed.
    TimedOut(Stage),
    /// The worker's own machinery failed (sandbox, base root, spool).
    WorkerFailed,
}

impl core::fmt::Display for FaultKind {
    /// `FetchFailed`, `TimedOut(build)` …
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::FetchFailed => f.write_str("FetchFailed"),
            Self::InputsUnavailable => f.write_str("InputsUnavailable"),
            Self::OutOfMemory => f.write_str("OutOfMemory"),
            Self::DiskFull => f.write_str("DiskFull"),
            Self::WorkerLost => f.write_str("WorkerLost"),
            Self::Cancelled => f.write_str("Cancelled"),
            Self::BackendMissing => f.write_str("BackendMissing"),
            Self::TimedOut(stage) => write!(f, "TimedOut({stage})"),
            Self::WorkerFailed => f.write_str("WorkerFailed"),
        }
    }
}

/// How the environment of the build was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EnvironmentKnowledge {
    /// Exactly the recorded versions, path and variables.
    Recorded,
    /// Assumed: the suite as it is today.
    Suite,
    /// Unknown: a script made it.
    Opaque,
}

/// What a build could see and reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// The sandbox of DESIGN §9.
    Full,
    /// A script that ran as it is, with network.
    Script,
    /// None.
    None,
}

/// Who signed a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignerKind {
    /// The key of an enrolled worker.
    WorkerKey,
    /// A worker of the peer, whose key is never challenged.
    Legacy,
}

/// What a verdict rests on (DESIGN §1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Evidence {
    /// How far the index was trusted.
    pub index: IndexTrust,
    /// How the environment was known.
    pub environment: EnvironmentKnowledge,
    /// How the build was isolated.
    pub isolation: Isolation,
    /// Who signed.
    pub signer: SignerKind,
}

impl Evidence {
    /// True when a distribution may gate on a verdict with this evidence.
    pub fn is_gate_grade(&self) -> bool {
        matches!(self.index, IndexTrust::Signed | IndexTrust::PackageSignature)
            && self.environment == EnvironmentKnowledge::Recorded
            && self.isolation == Isolation::Full
            && self.signer == SignerKind::WorkerKey
    }
}
