//! What cannot be deleted at once is in nobody's way: it is renamed beside itself, named in the
//! log, and tried again later.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use super::removal;
use super::spec::SandboxError;

/// Makes `path` free: deletes what is there or, where some of it stays, renames it to a name that
/// [`sweep`] knows. The log names what stays and why.
///
/// # Errors
/// When it can neither be deleted nor renamed.
pub async fn clear(path: &Path) -> Result<(), SandboxError> {
    let tree = path.to_owned();
    let cleared = tokio::task::spawn_blocking(move || clear_blocking(&tree)).await;
    cleared.map_err(|error| SandboxError::new(format!("clear {}", path.display()), error))?
}

/// As [`clear`], on this thread.
///
/// # Errors
/// As there.
pub fn clear_blocking(path: &Path) -> Result<(), SandboxError> {
    let Err(error) = removal::remove(path) else { return Ok(()) };
    if is_left(path.file_name().unwrap_or_default()) {
        tracing::warn!(target: "rebuilder", "{} still stays: {error}", path.display());
        return Ok(());
    }
    let moved = set_aside(path).map_err(|reason| {
        let action = format!("delete {} ({error}) or rename it", path.display());
        SandboxError::new(action, reason)
    })?;
    tracing::warn!(
        target: "rebuilder",
        "a left-over stays, as {}, and is tried again later: {error}",
        moved.display()
    );
    Ok(())
}

/// Tries again to delete what was set aside in a folder.
pub async fn sweep(folder: &Path) {
    let folder = folder.to_owned();
    // A panic there is that thread's own affair: what stays is tried again.
    let _ended = tokio::task::spawn_blocking(move || {
        let Ok(entries) = std::fs::read_dir(&folder) else { return };
        for entry in entries.flatten().filter(|entry| is_left(&entry.file_name())) {
            if removal::remove(&entry.path()).is_ok() {
                tracing::info!(path = %entry.path().display(), "a left-over is gone");
            }
        }
    })
    .await;
}

/// Whether a name is that of something that was set aside.
fn is_left(name: &OsStr) -> bool {
    name.as_bytes().starts_with(PREFIX.as_bytes())
}

fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().as_bytes();
    let name = &name[..name.len().min(NAME_BYTES_MAX)];
    for number in 1..=NUMBERS_MAX {
        let mut to = format!("{PREFIX}{number}-").into_bytes();
        to.extend_from_slice(name);
        let to = path.with_file_name(OsString::from_vec(to));
        let flags = rustix::fs::RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(rustix::fs::CWD, path, rustix::fs::CWD, &to, flags) {
            Ok(()) => return Ok(to),
            Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(io::Error::other(format!("{NUMBERS_MAX} left-overs of that name stay already")))
}

const PREFIX: &str = ".left-";
/// Bytes of the former name that are kept: with the prefix less than the 255 that a name may have.
const NAME_BYTES_MAX: usize = 200;
/// Nobody has so many that cannot be deleted without looking into it.
const NUMBERS_MAX: u32 = 1000;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::removal::tests::set_user;
    use super::*;

    const NOBODY: u32 = 65534;

    /// Folders of somebody who is not root, each with one of root's inside, which stays; `None`:
    /// the test takes root.
    fn stuck(names: &[&OsStr]) -> Option<tempfile::TempDir> {
        if !nix::unistd::geteuid().is_root() {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        for name in names {
            let tree = folder.path().join(name);
            std::fs::create_dir_all(tree.join("in/deep")).unwrap();
            std::os::unix::fs::chown(&tree, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        Some(folder)
    }

    /// As that user: rights are a thread's own.
    fn as_nobody<T: Send>(work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                set_user(NOBODY);
                work()
            });
            other.join().unwrap()
        })
    }

    fn listed(folder: &Path) -> Vec<OsString> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn what_stays_makes_room_and_goes_when_it_can() {
        let Some(folder) = stuck(&["tree".as_ref(), "other".as_ref()]) else { return };
        let tree = folder.path().join("tree");
        as_nobody(|| {
            clear_blocking(&tree).unwrap();
            clear_blocking(&folder.path().join("other")).unwrap();
            // The next of that name.
            std::fs::create_dir(&tree).unwrap();
            std::fs::write(tree.join("file"), "").unwrap();
            clear_blocking(&tree).unwrap();
            // At a start everything is tried; what was set aside keeps its name.
            clear_blocking(&folder.path().join(".left-1-tree")).unwrap();
        });
        assert_eq!(listed(folder.path()), [".left-1-other", ".left-1-tree"]);
        std::fs::write(folder.path().join("bystander"), "").unwrap();
        sweep(folder.path()).await;
        assert_eq!(listed(folder.path()), ["bystander"]);
    }

    #[test]
    fn names_of_any_bytes_and_length_are_set_aside_beside_each_other() {
        let long = "n".repeat(255);
        let odd = OsStr::from_bytes(b"a \xff\n'b");
        let Some(folder) = stuck(&[long.as_ref(), odd]) else { return };
        as_nobody(|| {
            for name in [OsStr::new(&long), odd] {
                clear_blocking(&folder.path().join(name)).unwrap();
            }
        });
        let found = listed(folder.path());
        let expected = [
            OsString::from_vec(b".left-1-a \xff\n'b".to_vec()),
            OsString::from(format!(".left-1-{}", "n".repeat(200))),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_can_neither_go_nor_move_is_an_error_that_says_both() {
        let Some(folder) = stuck(&["tree".as_ref()]) else { return };
        std::os::unix::fs::chown(folder.path(), Some(0), Some(0)).unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let error = as_nobody(|| clear_blocking(&folder.path().join("tree")).unwrap_err());
        assert!(error.action.contains("tree (Permission denied"), "{error}");
        assert!(error.action.ends_with("or rename it"), "{error}");
    }

    #[tokio::test]
    async fn what_can_be_deleted_is_and_leaves_no_name() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        std::fs::create_dir_all(tree.join("a/b")).unwrap();
        clear(&tree).await.unwrap();
        clear(&tree).await.unwrap();
        assert_eq!(listed(folder.path()), Vec::<OsString>::new());
    }
}
