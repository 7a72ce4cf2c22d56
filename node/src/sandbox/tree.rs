use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::Duration;

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;
use tokio_util::sync::CancellationToken;

use super::Sandbox;
use super::drive::{Bounds, drive};
use super::job::Job;
use super::removal;
use super::spec::{Output, SandboxError};

impl Sandbox {
    /// Unpacks a tarball of a root file system (plain, or compressed with gzip, xz or zstd) into a
    /// folder, made when it is absent, so that all in it belongs to the ids of the sandbox and
    /// setuid bits are right inside. What is in its `dev` is left out. The folder can then be a
    /// lower layer.
    ///
    /// # Errors
    /// When the tarball is damaged, does not fit on the disk or has more than 64 GiB when it is
    /// decompressed (what came out stays), or the caller is not root.
    pub async fn import_tar(&self, tar: &Path, into: &Path) -> Result<(), SandboxError> {
        self.import_tar_of(tar, into, UNPACKED_BYTES_MAX).await
    }

    /// As [`import_tar`](Self::import_tar), with another limit: bytes of the decompressed tarball.
    ///
    /// # Errors
    /// As there.
    pub async fn import_tar_of(
        &self,
        tar: &Path,
        into: &Path,
        bytes_max: u64,
    ) -> Result<(), SandboxError> {
        let absolute = |path: &Path| {
            std::path::absolute(path)
                .map_err(|error| SandboxError::new(format!("find {}", path.display()), error))
        };
        let (from, to) = (absolute(tar)?, absolute(into)?);
        let job = Job::Unpack { tar: from, into: to, bytes_max, means: self.means() };
        let mut complaints = Complaints::default();
        let bounds = Bounds { wall: UNPACK_MAX, usage: None, output_bytes_per_sec: None };
        let run = drive(self, &job, bounds, &mut complaints, &CancellationToken::new()).await?;
        let ended = run.exit;
        if ended == super::Exit::Status(0) {
            return Ok(());
        }
        let printed = String::from_utf8_lossy(&complaints.start).trim().to_owned();
        let action = format!("unpack {} into {}", tar.display(), into.display());
        let reason = format!("{printed} ({ended:?})");
        Err(SandboxError { observed: run.observed, ..SandboxError::new(action, reason) })
    }
}

/// Deletes a tree that was written inside, of any depth and with any rights, without following
/// links or touching what is mounted in it; one that is absent is already deleted.
///
/// # Errors
/// When something stays: the first such thing. All else is gone.
pub async fn remove_tree(path: &Path) -> Result<(), SandboxError> {
    let tree = path.to_owned();
    let removed = tokio::task::spawn_blocking(move || remove_tree_blocking(&tree)).await;
    removed.map_err(|error| SandboxError::new(format!("delete {}", path.display()), error))?
}

/// As [`remove_tree`], on this thread.
///
/// # Errors
/// As [`remove_tree`].
pub fn remove_tree_blocking(path: &Path) -> Result<(), SandboxError> {
    removal::remove(path)
        .map_err(|error| SandboxError::new(format!("delete {}", path.display()), error))
}

/// Opens a regular file that was written inside, for reading. `path` is relative to `tree`; nothing
/// on the way may be a symbolic link, and nothing but a regular file is opened.
///
/// # Errors
/// As for any file; `InvalidInput` for what is not a regular file.
pub fn open_file(tree: &Path, path: &Path) -> io::Result<File> {
    let folder = open(tree, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    // Without O_NONBLOCK a pipe would be waited for.
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
    let file = File::from(openat2(&folder, path, how)?);
    let kind = file.metadata()?.file_type();
    if kind.is_file() {
        return Ok(file);
    }
    let what = if kind.is_fifo() { "a pipe" } else { "not a regular file" };
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{} is {what}", path.display())))
}

/// The names in a folder that was written inside, in no order. `path` is relative to `tree`;
/// nothing on the way may be a symbolic link.
///
/// # Errors
/// As for any folder.
pub fn list_folder(tree: &Path, path: &Path) -> io::Result<Vec<OsString>> {
    use std::os::unix::ffi::OsStringExt as _;

    let folder = open(tree, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(openat2(&folder, path, how)?)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(OsString::from_vec(name));
        }
    }
    Ok(names)
}

/// The first of what `tar` says.
#[derive(Default)]
struct Complaints {
    start: Vec<u8>,
}

impl Output for Complaints {
    fn write(&mut self, bytes: &[u8]) {
        let room = COMPLAINT_BYTES_MAX - self.start.len();
        self.start.extend_from_slice(&bytes[..room.min(bytes.len())]);
    }
}

/// Several times the largest root file system; a bomb of a few kilobytes has more.
const UNPACKED_BYTES_MAX: u64 = 64 << 30;
const COMPLAINT_BYTES_MAX: usize = 1000;
/// A root of many gigabytes on a slow disk; a tar that hangs must end some time.
const UNPACK_MAX: Duration = Duration::from_secs(3600);
