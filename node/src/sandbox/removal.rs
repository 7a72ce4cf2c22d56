//! Deletes a tree that a build has written: of any depth, with any rights, while it may still be
//! changed by others.
//!
//! A path is at most 4,096 bytes long, a process has a few hundred descriptors and a stack ends; a
//! build makes folders in folders until its disk is full. So nothing here goes down: a folder that
//! is not empty is moved to the top of the tree, where it is looked at in its turn. Two
//! descriptors do for any depth. Every step is relative to a folder that is open and follows no
//! link, so that whoever exchanges a folder for a link meanwhile only has the link deleted.

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, IFlags, Mode, OFlags};
use rustix::io::Errno;

/// Deletes `path` and all below it; done when nothing is there any more. What cannot be deleted is
/// left, everything else goes.
///
/// # Errors
/// The first thing that stays, and why.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a folder that can go"));
    };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let parent = match rustix::fs::open(parent, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
    {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        opened => opened?,
    };
    let name = c_name(name)?;
    match delete(parent.as_fd(), &name) {
        Ok(()) => return Ok(()),
        Err(Errno::NOTEMPTY | Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let top = enter(parent.as_fd(), &name)?;
    let mut tree = Tree { top, moved: 0 };
    let stays = tree.empty()?;
    match (delete(parent.as_fd(), &name), stays) {
        (Ok(()), _) => Ok(()),
        (Err(_), Some(error)) => Err(error),
        (Err(error), None) => Err(error.into()),
    }
}

struct Tree {
    top: OwnedFd,
    /// Folders that were brought up so far: the number in the next one's name.
    moved: u64,
}

impl Tree {
    /// Deletes what is in the tree; the first thing that stays.
    fn empty(&mut self) -> io::Result<Option<io::Error>> {
        let mut stays = None;
        loop {
            let mut progress = false;
            // What was brought up is among them at the next look.
            for name in names(self.top.as_fd())? {
                match self.clear(&name) {
                    Ok(()) => progress = true,
                    Err(error) => {
                        let text = format!("{}: {error}", name.to_string_lossy().escape_debug());
                        stays.get_or_insert(io::Error::new(error.kind(), text));
                    }
                }
            }
            if !progress {
                return Ok(stays);
            }
        }
    }

    /// Deletes an entry of the top, after what is in it was deleted or brought up.
    fn clear(&mut self, name: &CStr) -> io::Result<()> {
        match delete(self.top.as_fd(), name) {
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            done => return done.map_err(io::Error::from),
        }
        let folder = enter(self.top.as_fd(), name)?;
        loop {
            let (mut progress, mut stays) = (false, None);
            let inner = names(folder.as_fd())?;
            if inner.is_empty() {
                return delete(self.top.as_fd(), name).map_err(io::Error::from);
            }
            for inner in inner {
                let gone = match delete(folder.as_fd(), &inner) {
                    Err(Errno::NOTEMPTY | Errno::EXIST) => self.bring_up(folder.as_fd(), &inner),
                    done => done,
                };
                match gone {
                    Ok(()) => progress = true,
                    Err(error) => {
                        stays.get_or_insert(error);
                    }
                }
            }
            match stays {
                Some(error) if !progress => return Err(error.into()),
                _ => {}
            }
        }
    }

    fn bring_up(&mut self, folder: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<()> {
        // A folder is moved by who may write into it: its `..` changes.
        drop(enter(folder, name)?);
        loop {
            self.moved += 1;
            let to = format!(".rebuilder-removed-{}", self.moved);
            let flags = rustix::fs::RenameFlags::NOREPLACE;
            match rustix::fs::renameat_with(folder, name, &self.top, to, flags) {
                Err(Errno::EXIST) => {}
                done => return done,
            }
        }
    }
}

/// Deletes a file, a link, an empty folder, or a folder that something is mounted on.
fn delete(folder: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<()> {
    let mut tries = 0;
    loop {
        let stat = match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(()),
            stat => stat?,
        };
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let flags = if is_folder { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        let error = match rustix::fs::unlinkat(folder, name, flags) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(error) => error,
        };
        tries += 1;
        match error {
            // Exchanged for something of another kind meanwhile.
            Errno::ISDIR | Errno::NOTDIR if tries < TRIES_MAX => {}
            // Attributes of ext4 and others that even root has to take away first.
            Errno::PERM if tries < TRIES_MAX && unlock(folder, name) => {}
            Errno::BUSY if tries < TRIES_MAX && is_folder && unmount(folder, name) => {}
            _ => return Err(error),
        }
    }
}

/// Opens a folder for reading, never through a link, with the rights to do so.
fn enter(at: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // Only a handle: that needs no right on the folder itself.
    let handle = rustix::fs::openat(at, name, flags | OFlags::PATH, Mode::empty())?;
    let mode = rustix::fs::fstat(&handle)?.st_mode & 0o777;
    if mode & 0o700 != 0o700 {
        let path = format!("/proc/self/fd/{}", handle.as_raw_fd());
        // Only its owner and root may; to others the next line says so.
        let _refused = rustix::fs::chmod(path, Mode::from_raw_mode(mode | 0o700));
    }
    rustix::fs::openat(&handle, c".", flags, Mode::empty())
}

/// Takes away the attributes `i` and `a` of chattr(1) from the entry and its folder; true when one
/// of them had any.
fn unlock(folder: BorrowedFd<'_>, name: &CStr) -> bool {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let entry = rustix::fs::openat(folder, name, flags, Mode::empty());
    let entry = entry.is_ok_and(|entry| unlock_open(entry.as_fd()));
    unlock_open(folder) | entry
}

fn unlock_open(file: BorrowedFd<'_>) -> bool {
    let locks = IFlags::IMMUTABLE | IFlags::APPEND;
    rustix::fs::ioctl_getflags(file).is_ok_and(|flags| {
        flags.intersects(locks) && rustix::fs::ioctl_setflags(file, flags - locks).is_ok()
    })
}

/// Takes a mount off a folder; what is mounted is not touched.
fn unmount(folder: BorrowedFd<'_>, name: &CStr) -> bool {
    let path = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string());
    let path = path.join(OsStr::from_bytes(name.to_bytes()));
    let flags = nix::mount::MntFlags::MNT_DETACH | nix::mount::MntFlags::UMOUNT_NOFOLLOW;
    nix::mount::umount2(&path, flags).is_ok()
}

/// What is in a folder, at most [`NAMES_MAX`] at a time.
fn names(folder: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            names.push(name.to_owned());
        }
        if names.len() >= NAMES_MAX {
            break;
        }
    }
    Ok(names)
}

fn c_name(name: &OsStr) -> io::Result<CString> {
    CString::new(name.as_bytes()).map_err(io::Error::other)
}

/// Names of one folder that are in memory at a time.
const NAMES_MAX: usize = 4096;
/// Tries at one entry that somebody keeps changing.
const TRIES_MAX: u32 = 4;

#[cfg(test)]
#[path = "removal_test.rs"]
pub(super) mod tests;
