use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

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
    /// Processes and threads of the whole tree at a time.
    pub processes: u32,
    /// Bytes that one file may have; `None`: not limited.
    pub file_bytes: Option<u64>,
    /// Bytes on disk of the writable layer and the writable binds together, looked at every few
    /// seconds, so that a fast writer passes it by what it writes in between; `None`: not limited.
    /// Files that are deleted but still open are not seen: `file_bytes` times the open files bounds
    /// those.
    pub disk_bytes: Option<u64>,
}

/// Receives what the command prints, standard output and error in order.
pub trait Output: Send {
    /// The next piece, at most 64 KiB.
    fn write(&mut self, bytes: &[u8]);
}

/// How the command ended. The whole process tree is gone in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It ended by itself with this status (128 + n when killed by signal n).
    Status(i32),
    /// The time limit was reached.
    TimedOut,
    /// The memory limit was reached: the kernel killed a process of the tree.
    OutOfMemory,
    /// The disk limit was reached.
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
}

impl SandboxError {
    #[expect(clippy::needless_pass_by_value, reason = "the cause ends here: callers give it away")]
    pub(super) fn new(action: impl Into<String>, reason: impl ToString) -> Self {
        Self { action: action.into(), reason: reason.to_string() }
    }
}
