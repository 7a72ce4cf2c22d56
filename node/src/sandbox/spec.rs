use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::observed::Observed;
use super::personality::Personality;
use super::wall::Wall;

/// One command to run in a sandbox of its own: new user, PID, mount, IPC, UTS and cgroup
/// namespaces, an empty environment but for `environment`, and no standard input.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// The file system that the command sees as `/`.
    pub root: Root,
    /// What of the host is visible besides, at which place.
    pub binds: Vec<Bind>,
    /// What can be reached.
    pub network: Network,
    /// Who runs it, inside.
    pub user: User,
    /// Program (looked up in the sandbox's own `PATH`) and arguments.
    pub command: Vec<String>,
    /// The whole environment.
    pub environment: BTreeMap<String, String>,
    /// Working directory inside.
    pub directory: PathBuf,
    /// What ends it.
    pub limits: Limits,
    /// What it may ask the kernel for.
    pub wall: Wall,
    /// Which machine it is on, as it sees it.
    pub personality: Personality,
}

impl Spec {
    /// The host's folders that the command can write to.
    pub(super) fn writable(&self) -> impl Iterator<Item = &Path> {
        let binds = self.binds.iter().filter(|bind| !bind.read_only);
        [&*self.root.upper].into_iter().chain(binds.map(|bind| &*bind.source))
    }
}

/// A root file system: read-only lower layers, one writable layer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Root {
    /// Lower layers, topmost first; shared, never changed. Their files are owned as the sandbox's
    /// user namespace maps them (see `base`).
    pub lowers: Vec<PathBuf>,
    /// Everything that the command writes. The same folder given to a second run continues there.
    /// Created when it is absent. Never synced to the medium: worthless after a power cut.
    pub upper: PathBuf,
    /// Scratch folder of overlayfs on the same file system as `upper`; created when it is absent.
    pub work: PathBuf,
}

/// A folder or file of the host that is visible inside.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bind {
    /// On the host.
    pub source: PathBuf,
    /// Inside; created when it is absent.
    pub target: PathBuf,
    /// False: the command may write there.
    pub read_only: bool,
}

/// What the command can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// A loopback of its own that is up, nothing else.
    Loopback,
    /// The host's network, for tools of the host that read package lists, with nothing secret in
    /// reach: never for anything that a package brought.
    Host,
}

/// Who runs the command, as seen inside; on the host neither is root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum User {
    /// uid 0 inside: may install packages in this root.
    Root,
    /// uid and gid 1000 inside, `builder`, without any capability.
    Builder,
}

/// Bounds of one run.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Limits {
    /// Time from start to end.
    pub wall: Duration,
    /// Bytes of memory of the whole tree; `None`: not limited.
    pub memory_bytes: Option<u64>,
    /// Processes and threads of the whole tree at a time; `u32::MAX`: not limited.
    pub processes: u32,
    /// Bytes at which the kernel ends a write to one file (`RLIMIT_FSIZE`); `None`: not limited.
    /// Nothing shows from outside that it did, so this is only for commands whose failure says
    /// nothing about a package.
    pub file_bytes: Option<u64>,
    /// Bytes on disk of the writable layer and the writable binds together, looked at every few
    /// seconds, so that a fast writer passes it by what it writes in between; `None`: not limited.
    /// A single file of more bytes, however few of them are on disk, does not end the run but
    /// shows in `Observed::large_file_bytes`. Files that are deleted but still open are not seen.
    pub disk_bytes: Option<u64>,
    /// Bytes of output that are read in a second; the command waits in its next write until the
    /// second is over, and nothing is lost. `None`: as fast as it comes.
    pub output_bytes_per_sec: Option<u64>,
}

/// Receives what the command prints, standard output and error in order.
pub trait Output: Send {
    /// The next piece, at most 64 KiB.
    fn write(&mut self, bytes: &[u8]);
}

/// One command that has ended. The whole process tree is gone in every case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// How it ended.
    pub exit: Exit,
    /// What it may have been short of.
    pub observed: Observed,
}

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It ended by itself with this status (128 + n when killed by signal n, by whomever).
    Status(i32),
    /// The time limit was reached.
    TimedOut,
    /// The limit on what it has on disk was reached.
    DiskFull,
    /// The caller cancelled.
    Cancelled,
}

/// The sandbox could not be made: never the command's fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("sandbox: cannot {action}: {reason}")]
pub struct SandboxError {
    /// What failed, with its object.
    pub action: String,
    /// What the system said.
    pub reason: String,
    /// Its number for it; `None` where no call of the system failed.
    pub errno: Option<i32>,
    /// What was short meanwhile, where that was looked at.
    pub observed: Observed,
}

impl SandboxError {
    #[expect(clippy::needless_pass_by_value, reason = "the cause ends here: callers give it away")]
    pub(crate) fn new(action: impl Into<String>, reason: impl Reason) -> Self {
        let (errno, observed) = (reason.errno(), Observed::default());
        Self { action: action.into(), reason: reason.to_string(), errno, observed }
    }
}

/// Why a sandbox could not be made: an error of the system keeps its number.
pub(crate) trait Reason: std::fmt::Display {
    /// `None`: it is no error of the system.
    fn errno(&self) -> Option<i32> {
        None
    }
}

impl Reason for std::io::Error {
    fn errno(&self) -> Option<i32> {
        self.raw_os_error()
    }
}

impl Reason for nix::errno::Errno {
    fn errno(&self) -> Option<i32> {
        Some(*self as i32)
    }
}

impl Reason for std::ffi::NulError {}
impl Reason for &str {}
impl Reason for String {}
impl Reason for tokio::task::JoinError {}
