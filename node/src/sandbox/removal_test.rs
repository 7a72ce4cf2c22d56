use std::os::fd::AsFd as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{IFlags, Mode, OFlags};

use super::*;

/// A folder with a tree in it, and something beside the tree that must stay.
fn world() -> (tempfile::TempDir, PathBuf) {
    world_in(&std::env::temp_dir())
}

fn world_in(place: &Path) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir_in(place).unwrap();
    let tree = folder.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    std::fs::create_dir(folder.path().join("outside")).unwrap();
    std::fs::write(folder.path().join("outside/file"), "stays").unwrap();
    (folder, tree)
}

fn assert_gone(folder: &tempfile::TempDir) {
    assert!(!folder.path().join("tree").exists());
    assert_eq!(std::fs::read_to_string(folder.path().join("outside/file")).unwrap(), "stays");
}

/// Folders in folders, far beyond the length of a path, some with a file.
fn deepen(tree: &Path, depth: usize) {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at = rustix::fs::open(tree, flags, Mode::empty()).unwrap();
    for number in 0..depth {
        rustix::fs::mkdirat(&at, "a", Mode::from_raw_mode(0o755)).unwrap();
        let file = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
        if number % 16 == 0 {
            drop(rustix::fs::openat(&at, "f", file, Mode::from_raw_mode(0o600)).unwrap());
        }
        at = rustix::fs::openat(&at, "a", flags, Mode::empty()).unwrap();
    }
}

#[test]
fn depth_does_not_matter() {
    let (folder, tree) = world();
    deepen(&tree, 3000);
    remove(&tree).unwrap();
    assert_gone(&folder);
}

/// In memory, where it takes two seconds: what is deleted is asked for by name alone, whatever
/// keeps it. A disk that others use takes a minute (`--ignored`).
#[test]
fn a_depth_of_a_hundred_thousand_does_not_matter() {
    let memory = Path::new("/dev/shm");
    remove_deep(if memory.is_dir() { memory } else { Path::new("/tmp") });
}

#[test]
#[ignore = "a minute of a busy disk; `make test-hostile` runs it"]
fn a_depth_of_a_hundred_thousand_does_not_matter_on_disk() {
    remove_deep(&std::env::temp_dir());
}

fn remove_deep(place: &Path) {
    let (folder, tree) = world_in(place);
    deepen(&tree, 100_000);
    let before = std::fs::read_dir("/proc/self/fd").unwrap().count();
    remove(&tree).unwrap();
    assert_gone(&folder);
    let after = std::fs::read_dir("/proc/self/fd").unwrap().count();
    assert!(after <= before + 8, "{before} descriptors, then {after}");
}

#[test]
fn what_is_absent_is_deleted_already() {
    let (folder, tree) = world();
    remove(&folder.path().join("nowhere/at/all")).unwrap();
    remove(&folder.path().join("nowhere")).unwrap();
    std::fs::remove_dir(&tree).unwrap();
    std::fs::write(&tree, "a file").unwrap();
    remove(&tree).unwrap();
    assert_gone(&folder);
}

#[test]
fn links_are_deleted_and_not_followed() {
    let (folder, tree) = world();
    symlink(folder.path().join("outside"), tree.join("folder")).unwrap();
    symlink(folder.path().join("outside/file"), tree.join("file")).unwrap();
    symlink("..", tree.join("up")).unwrap();
    symlink("nowhere", tree.join("nowhere")).unwrap();
    remove(&tree).unwrap();
    assert_gone(&folder);
    symlink(folder.path().join("outside"), &tree).unwrap();
    remove(&tree).unwrap();
    assert_gone(&folder);
}

#[test]
fn many_entries_and_odd_names_go() {
    let (folder, tree) = world();
    for n in 0..3 * NAMES_MAX {
        std::fs::write(tree.join(format!("{n}")), "").unwrap();
    }
    for name in [".rebuilder-removed-1", "-rf", "a\nb", "*", "\u{1b}]0;x"] {
        std::fs::create_dir_all(tree.join(name).join("x/y")).unwrap();
    }
    std::fs::create_dir_all(tree.join(OsStr::from_bytes(b"\xff\xfe")).join("x")).unwrap();
    remove(&tree).unwrap();
    assert_gone(&folder);
}

/// As a user who is not root, to whom rights matter.
#[test]
fn rights_are_given_where_they_were_taken() {
    let (folder, tree) = world();
    if !nix::unistd::geteuid().is_root() {
        return close_and_remove(&folder, &tree);
    }
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    std::os::unix::fs::chown(&tree, Some(65534), Some(65534)).unwrap();
    // Rights are a thread's own: the others of this process stay root.
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            set_user(65534);
            close_and_remove(&folder, &tree);
        });
        other.join().unwrap();
    });
}

fn close_and_remove(folder: &tempfile::TempDir, tree: &Path) {
    std::fs::create_dir_all(tree.join("a/b/c")).unwrap();
    std::fs::write(tree.join("a/b/c/f"), "").unwrap();
    std::fs::create_dir_all(tree.join("empty")).unwrap();
    for (path, mode) in [("a/b/c", 0o000), ("a/b", 0o500), ("a", 0o100), ("empty", 0o000), ("", 0)]
    {
        let rights = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(tree.join(path), rights).unwrap();
    }
    remove(tree).unwrap();
    assert_gone(folder);
}

/// setresuid(2) of this thread alone, which the library's function would extend to all of them.
#[expect(unsafe_code, reason = "a system call for one thread, which has no function")]
pub(in crate::sandbox) fn set_user(id: u32) {
    // SAFETY: the call takes three numbers and touches no memory.
    let done = unsafe { nix::libc::syscall(nix::libc::SYS_setresuid, id, id, id) };
    assert_eq!(done, 0);
}

#[test]
fn attributes_and_mounts_do_not_keep_it() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let (folder, tree) = world();
    std::fs::create_dir_all(tree.join("locked/in")).unwrap();
    std::fs::write(tree.join("locked/in/f"), "").unwrap();
    std::fs::write(tree.join("appended"), "").unwrap();
    for (path, flag) in [
        ("locked/in/f", IFlags::IMMUTABLE),
        ("locked/in", IFlags::IMMUTABLE),
        ("locked", IFlags::APPEND),
        ("appended", IFlags::APPEND),
    ] {
        let file = std::fs::File::open(tree.join(path)).unwrap();
        // A file system without attributes (tmpfs of older kernels) has nothing to take away.
        let _unsupported = rustix::fs::ioctl_setflags(file.as_fd(), flag);
    }
    std::fs::create_dir(tree.join("mounted")).unwrap();
    let outside = folder.path().join("outside");
    let bound = Command::new("mount")
        .arg("--bind")
        .args([&outside, &tree.join("mounted")])
        .status()
        .unwrap();
    assert!(bound.success());
    remove(&tree).unwrap();
    assert_gone(&folder);
}

/// Somebody exchanges folders for links while the tree is deleted: what they lead to stays.
#[test]
fn a_race_leads_nowhere() {
    let (folder, tree) = world();
    for n in 0..200 {
        std::fs::create_dir_all(tree.join(format!("d{n}/x"))).unwrap();
    }
    let outside = folder.path().join("outside");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in (0..200).rev() {
                if stop.load(std::sync::atomic::Ordering::Relaxed) {
                    return;
                }
                let (dir, aside) = (tree.join(format!("d{n}")), tree.join(format!("e{n}")));
                if std::fs::rename(&dir, &aside).is_ok() {
                    let _lost = symlink(&outside, &dir);
                }
            }
        });
        let _raced = remove(&tree);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    remove(&tree).unwrap();
    assert_gone(&folder);
}
