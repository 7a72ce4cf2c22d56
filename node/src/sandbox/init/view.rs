use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, unlinkat};

use super::super::spec::SandboxError;

/// The file system that the command will see, from outside. What was built in it before is hostile:
/// every path is resolved as if this were `/`, so that its symbolic links lead nowhere else.
pub(super) struct View {
    root: OwnedFd,
    id_base: u32,
}

impl View {
    /// The file system mounted at `root`.
    pub(super) fn open(root: &Path, id_base: u32) -> Result<Self, SandboxError> {
        Ok(Self { root: open_path(root)?, id_base })
    }

    /// The root itself.
    pub(super) fn root(&self) -> &OwnedFd {
        &self.root
    }

    /// What is at `path` now, the topmost mount included.
    pub(super) fn find(&self, path: &Path) -> nix::Result<OwnedFd> {
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        let inside = relative(path);
        loop {
            match openat2(&self.root, &inside, how) {
                // Something was renamed elsewhere in the system meanwhile.
                Err(Errno::EAGAIN) => {}
                result => return result,
            }
        }
    }

    /// A folder, made when it is absent, and the folders above it too.
    pub(super) fn folder(&self, path: &Path) -> Result<OwnedFd, SandboxError> {
        let failed = |error| SandboxError::new(format!("make {} inside", path.display()), error);
        let mut here = self.find(Path::new(".")).map_err(failed)?;
        let mut so_far = PathBuf::new();
        for part in relative(path).components() {
            so_far.push(part);
            here = match self.find(&so_far) {
                Err(Errno::ENOENT) => {
                    mkdirat(&here, part.as_os_str(), MODE_FOLDER).map_err(failed)?;
                    self.give(&here, Path::new(part.as_os_str()), 0).map_err(failed)?;
                    self.find(&so_far).map_err(failed)?
                }
                found => found.map_err(failed)?,
            };
        }
        Ok(here)
    }

    /// A file, made empty when it is absent; a symbolic link that leads nowhere gives way to it.
    pub(super) fn file(&self, path: &Path) -> Result<OwnedFd, SandboxError> {
        let failed = |error| SandboxError::new(format!("make {} inside", path.display()), error);
        if let Ok(found) = self.find(path) {
            return Ok(found);
        }
        let name = path.file_name().ok_or(Errno::EISDIR).map_err(failed)?;
        let folder = self.folder(path.parent().unwrap_or(Path::new("/")))?;
        match unlinkat(&folder, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(error) => return Err(failed(error)),
        }
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        nix::fcntl::openat(&folder, name, flags, MODE_FILE).map_err(failed)?;
        self.give(&folder, Path::new(name), 0).map_err(failed)?;
        self.find(path).map_err(failed)
    }

    /// Makes an entry of `folder` belong to an id inside.
    pub(super) fn give(&self, folder: &OwnedFd, name: &Path, id: u32) -> nix::Result<()> {
        let id = self.id_base + id;
        let (user, group) = (Uid::from_raw(id), Gid::from_raw(id));
        fchownat(folder, name, Some(user), Some(group), AtFlags::AT_SYMLINK_NOFOLLOW)
    }

    /// Mounts a file system of the kernel on a folder, made when it is absent.
    pub(super) fn mount(
        &self,
        kind: &str,
        path: &str,
        flags: MsFlags,
        options: &str,
    ) -> Result<(), SandboxError> {
        let target = self.folder(Path::new(path))?;
        mount(Some(kind), &reach(&target), Some(kind), flags, Some(options))
            .map_err(|error| SandboxError::new(format!("mount {kind} on {path} inside"), error))
    }

    /// Makes a file or folder of the host visible; folders mounted below it stay hidden.
    pub(super) fn bind(
        &self,
        source: &Path,
        path: &Path,
        read_only: bool,
    ) -> Result<(), SandboxError> {
        let failed = |error| {
            let action = format!("bind {} to {} inside", source.display(), path.display());
            SandboxError::new(action, error)
        };
        let from = open_path(source)?;
        let is_folder = fs::metadata(reach(&from)).is_ok_and(|found| found.is_dir());
        let target = if is_folder { self.folder(path)? } else { self.file(path)? };
        let nothing: Option<&str> = None;
        mount(Some(&reach(&from)), &reach(&target), nothing, MsFlags::MS_BIND, nothing)
            .map_err(failed)?;
        // Found anew: what is on top of the target now.
        let bound = self.find(path).map_err(failed)?;
        let mut flags =
            MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        if read_only {
            flags |= MsFlags::MS_RDONLY;
        }
        mount(nothing, &reach(&bound), nothing, flags, nothing).map_err(failed)
    }
}

/// A handle on a path of the host.
pub(super) fn open_path(path: &Path) -> Result<OwnedFd, SandboxError> {
    open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(|error| SandboxError::new(format!("open {}", path.display()), error))
}

/// A path to what a handle holds, in any way that a path could be written. Free of characters that
/// mean something in mount options.
pub(super) fn reach(handle: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", handle.as_raw_fd()))
}

/// `path` without its leading slash; `.` for the root.
fn relative(path: &Path) -> PathBuf {
    let parts = path.components().filter(|part| matches!(part, Component::Normal(_)));
    let inside: PathBuf = parts.collect();
    if inside.as_os_str().is_empty() { PathBuf::from(".") } else { inside }
}

const MODE_FOLDER: Mode = Mode::from_bits_truncate(0o755);
const MODE_FILE: Mode = Mode::from_bits_truncate(0o644);
