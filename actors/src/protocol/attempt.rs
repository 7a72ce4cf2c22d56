use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{IndexTrust, Sha256, Sha512};
use crate::protocol::UtcMillis;

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
    /// What held the build in; `None`: not known, or nothing did.
    pub sandbox: Option<Sandbox>,
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
    /// `fetch-failed`, `timed-out (build)` …
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::FetchFailed => "fetch-failed",
            Self::InputsUnavailable => "inputs-unavailable",
            Self::OutOfMemory => "out-of-memory",
            Self::DiskFull => "disk-full",
            Self::WorkerLost => "worker-lost",
            Self::Cancelled => "cancelled",
            Self::BackendMissing => "backend-missing",
            Self::TimedOut(stage) => return write!(f, "timed-out ({stage})"),
            Self::WorkerFailed => "worker-failed",
        })
    }
}

impl FaultKind {
    /// The name of the type without its stage: `FetchFailed`, `TimedOut` …
    pub fn name(&self) -> &'static str {
        match self {
            Self::FetchFailed => "FetchFailed",
            Self::InputsUnavailable => "InputsUnavailable",
            Self::OutOfMemory => "OutOfMemory",
            Self::DiskFull => "DiskFull",
            Self::WorkerLost => "WorkerLost",
            Self::Cancelled => "Cancelled",
            Self::BackendMissing => "BackendMissing",
            Self::TimedOut(_) => "TimedOut",
            Self::WorkerFailed => "WorkerFailed",
        }
    }
}

/// How the environment of the build was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EnvironmentKnowledge {
    /// Exactly the recorded versions, path and variables.
    Recorded,
    /// Assumed: what the archives have today.
    Suite,
    /// Unknown: a script made it.
    Opaque,
    /// The recorded versions and path, without some variable of the record that is not set for a
    /// build: what differs may be due to that.
    Partial,
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
    /// That sandbox without all of its capabilities, but without network.
    Network,
}

/// What held a build in while it ran.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// What was active.
    pub capabilities: BTreeSet<Capability>,
    /// Version of the kernel's Landlock; `None`: it has none.
    pub landlock_abi: Option<u32>,
}

/// One part of a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capability {
    /// Its root was nobody outside.
    UserNamespace,
    /// It saw no file but those of the environment.
    MountNamespace,
    /// It saw no process but its own, and all of them ended with it.
    PidNamespace,
    /// It had a loopback of its own and no other network.
    NetworkNamespace,
    /// It shared no memory, semaphores or queues with others.
    IpcNamespace,
    /// Nothing gained rights by being executed.
    NoNewPrivileges,
    /// System calls that no build needs were refused.
    Seccomp,
    /// Sockets had the usual families only, through every ABI of the kernel.
    SocketFamilies,
    /// It could make no namespaces of its own.
    NoNestedNamespaces,
    /// Landlock kept it from sockets and processes outside.
    Landlock,
    /// The kernel counted its memory.
    MemoryGroup,
    /// The kernel counted its processes.
    PidsGroup,
    /// The kernel said of itself that it is one of 32 bits (`uname -m`: `i686`, `armv8l`), as the
    /// architecture of the job asks for.
    Linux32,
}

impl Capability {
    /// The word for it that people and other programs read.
    pub fn name(self) -> &'static str {
        match self {
            Self::UserNamespace => "user-namespace",
            Self::MountNamespace => "mount-namespace",
            Self::PidNamespace => "pid-namespace",
            Self::NetworkNamespace => "network-namespace",
            Self::IpcNamespace => "ipc-namespace",
            Self::NoNewPrivileges => "no-new-privileges",
            Self::Seccomp => "seccomp",
            Self::SocketFamilies => "socket-families",
            Self::NoNestedNamespaces => "no-nested-namespaces",
            Self::Landlock => "landlock",
            Self::MemoryGroup => "memory-group",
            Self::PidsGroup => "pids-group",
            Self::Linux32 => "linux32",
        }
    }
}

impl Sandbox {
    /// The word for what was active. `Full` asks for every barrier that all supported kernels have.
    /// Landlock is not among them: what it bounds, namespaces and the filter of system calls bound
    /// too. Groups are limits, and no barriers.
    pub fn isolation(&self) -> Isolation {
        let has = |wanted: &[Capability]| wanted.iter().all(|one| self.capabilities.contains(one));
        if has(&BARRIERS) {
            Isolation::Full
        } else if has(&[Capability::NetworkNamespace]) {
            Isolation::Network
        } else {
            Isolation::None
        }
    }
}

const BARRIERS: [Capability; 9] = [
    Capability::UserNamespace,
    Capability::MountNamespace,
    Capability::PidNamespace,
    Capability::NetworkNamespace,
    Capability::IpcNamespace,
    Capability::NoNewPrivileges,
    Capability::Seccomp,
    Capability::SocketFamilies,
    Capability::NoNestedNamespaces,
];

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
        self.index.is_gate_grade()
            && self.environment == EnvironmentKnowledge::Recorded
            && self.isolation == Isolation::Full
            && self.signer == SignerKind::WorkerKey
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn isolation_is_full_only_with_every_barrier() {
        let capabilities = BARRIERS.into_iter().collect();
        let whole = Sandbox { capabilities, landlock_abi: None };
        assert_eq!(whole.isolation(), Isolation::Full);
        for missing in BARRIERS {
            let mut part = whole.clone();
            part.capabilities.remove(&missing);
            part.capabilities.extend([Capability::Landlock, Capability::MemoryGroup]);
            let expected = match missing {
                Capability::NetworkNamespace => Isolation::None,
                _ => Isolation::Network,
            };
            assert_eq!(part.isolation(), expected, "without {missing:?}");
        }
        assert_eq!(Sandbox::default().isolation(), Isolation::None);
    }

    #[test]
    fn weaker_isolation_is_never_gate_grade() {
        let evidence = |isolation| Evidence {
            index: IndexTrust::Signed,
            environment: EnvironmentKnowledge::Recorded,
            isolation,
            signer: SignerKind::WorkerKey,
        };
        assert!(evidence(Isolation::Full).is_gate_grade());
        for weaker in [Isolation::Network, Isolation::Script, Isolation::None] {
            assert!(!evidence(weaker).is_gate_grade(), "{weaker:?}");
        }
    }
}
