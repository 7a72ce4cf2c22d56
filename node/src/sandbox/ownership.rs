//! Gives a tree to another id: of any depth, with two descriptors, and following no link.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

/// Makes `path` and all below it belong to user and group `id`. What is mounted in it stays as it
/// is.
///
/// # Errors
/// The first thing that cannot be given.
pub(super) fn give(path: &Path, id: u32) -> io::Result<()> {
    let owner = (Uid::from_raw(id), Gid::from_raw(id));
    let mut here = match rustix::fs::open(path, FOLDER, Mode::empty()) {
        Ok(folder) => folder,
        // A file or a link, which is the whole tree.
        Err(Errno::NOTDIR | Errno::LOOP) => {
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::chownat(rustix::fs::CWD, path, Some(owner.0), Some(owner.1), flags)?;
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    rustix::fs::fchown(&here, Some(owner.0), Some(owner.1))?;
    let device = place(here.as_fd())?.0;
    // The way down: each folder, and its folders that are still to be entered. A path would be too
    // long and a descriptor for each too many, so the way up is `..`, which must lead there.
    let mut way = vec![(place(here.as_fd())?, give_entries(here.as_fd(), owner)?)];
    while let Some((_, folders)) = way.last_mut() {
        if let Some(name) = folders.pop() {
            let folder = rustix::fs::openat(&here, &name, FOLDER, Mode::empty())?;
            let found = place(folder.as_fd())?;
            if found.0 == device {
                way.push((found, give_entries(folder.as_fd(), owner)?));
                here = folder;
            }
            continue;
        }
        way.pop();
        let Some((parent, _)) = way.last() else { break };
        here = rustix::fs::openat(&here, c"..", FOLDER, Mode::empty())?;
        if place(here.as_fd())? != *parent {
            return Err(io::Error::other("a folder of it was moved meanwhile"));
        }
    }
    Ok(())
}

/// Gives what is in a folder; its folders, whose content is not given yet.
fn give_entries(folder: BorrowedFd<'_>, (user, group): (Uid, Gid)) -> io::Result<Vec<CString>> {
    let mut folders = Vec::new();
    let device = place(folder)?.0;
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let found = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if found.st_dev != device {
            continue;
        }
        rustix::fs::chownat(folder, name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
            folders.push(name.to_owned());
        }
    }
    Ok(folders)
}

/// Device and inode.
fn place(folder: BorrowedFd<'_>) -> io::Result<(u64, u64)> {
    let found = rustix::fs::fstat(folder)?;
    Ok((found.st_dev, found.st_ino))
}

const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::*;

    /// Each user may give to itself, which changes nothing, so ids are looked at as root alone.
    fn id() -> u32 {
        if nix::unistd::geteuid().is_root() { 4242 } else { nix::unistd::geteuid().as_raw() }
    }

    fn owner(path: &Path) -> (u32, u32) {
        let found = std::fs::symlink_metadata(path).unwrap();
        (found.uid(), found.gid())
    }

    #[test]
    fn everything_in_it_is_given_and_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let (tree, outside) = (folder.path().join("tree"), folder.path().join("outside"));
        std::fs::create_dir_all(tree.join("a/b c/d\n")).unwrap();
        std::fs::create_dir_all(tree.join("e/f")).unwrap();
        std::fs::write(tree.join("a/b c/file"), "").unwrap();
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("file"), "").unwrap();
        symlink(&outside, tree.join("link")).unwrap();
        symlink("nowhere", tree.join("e/broken")).unwrap();
        std::fs::set_permissions(tree.join("e"), std::fs::Permissions::from_mode(0o750)).unwrap();
        let before = owner(&outside);
        give(&tree, id()).unwrap();
        for name in ["", "a", "a/b c", "a/b c/d\n", "a/b c/file", "link", "e/f", "e/broken"] {
            assert_eq!(owner(&tree.join(name)).0, id(), "{name:?}");
        }
        assert_eq!((owner(&outside), owner(&outside.join("file"))), (before, before));
        assert_eq!(std::fs::metadata(tree.join("e")).unwrap().mode() & 0o777, 0o750);
    }

    #[test]
    fn a_file_and_a_link_are_trees_and_what_is_absent_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        std::fs::write(&file, "").unwrap();
        symlink(&file, &link).unwrap();
        let before = owner(&file);
        give(&link, id()).unwrap();
        assert_eq!((owner(&link).0, owner(&file)), (id(), before));
        give(&file, id()).unwrap();
        assert_eq!(owner(&file).0, id());
        let error = give(&folder.path().join("absent"), id()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn depth_does_not_matter() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        std::fs::create_dir(&tree).unwrap();
        let mut at = rustix::fs::open(&tree, FOLDER, Mode::empty()).unwrap();
        for _ in 0..3000 {
            rustix::fs::mkdirat(&at, "a", Mode::from_raw_mode(0o755)).unwrap();
            at = rustix::fs::openat(&at, "a", FOLDER, Mode::empty()).unwrap();
        }
        give(&tree, id()).unwrap();
        assert_eq!(rustix::fs::fstat(&at).unwrap().st_uid, id());
        super::super::removal::remove(&tree).unwrap();
    }
}
