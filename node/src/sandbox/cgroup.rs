//! Which control groups this process may use: the old layout (version 1, one tree per controller)
//! or a delegated part of the unified one (version 2).

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use serde::{Deserialize, Serialize};

/// Below which folders the groups of runs are made. Existing groups are never changed, but for one:
/// a unified group that was delegated to this process is split into leaves, as version 2 demands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layout {
    /// Version 1: one tree for each controller.
    Separate {
        /// Folder of the memory controller; `None`: it cannot be used.
        memory: Option<PathBuf>,
        /// Folder of the controller that counts processes; `None`: it cannot be used.
        pids: Option<PathBuf>,
    },
    /// Version 2: one hierarchy, in which a group has every controller that its parent passes on.
    Unified {
        /// Folder whose children have both controllers.
        parent: PathBuf,
    },
    /// None can be used: weaker limits only.
    #[default]
    Absent,
}

impl Layout {
    /// Asks the kernel.
    pub(super) fn detect() -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let memory = separate(&mounts, &own, "memory").filter(|folder| may_make_groups(folder));
        let pids = separate(&mounts, &own, "pids").filter(|folder| may_make_groups(folder));
        if memory.is_some() || pids.is_some() {
            return Self::Separate { memory, pids };
        }
        let parent = unified(&mounts, &own).and_then(|own| delegated_parent(&own));
        match parent.filter(|folder| may_make_groups(folder)) {
            Some(parent) => Self::Unified { parent },
            None => Self::Absent,
        }
    }

    /// Version of control groups; `None`: none can be used.
    pub fn version(&self) -> Option<u32> {
        match self {
            Self::Separate { .. } => Some(1),
            Self::Unified { .. } => Some(2),
            Self::Absent => None,
        }
    }

    /// Whether the memory of a run is counted and can be limited.
    pub fn limits_memory(&self) -> bool {
        matches!(self, Self::Separate { memory: Some(_), .. } | Self::Unified { .. })
    }

    /// Whether the processes of a run are counted and can be limited.
    pub fn limits_processes(&self) -> bool {
        matches!(self, Self::Separate { pids: Some(_), .. } | Self::Unified { .. })
    }
}

/// What the control groups in which this process is leave for it and its children; `None`: no
/// limit, or none that can be seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupLimits {
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u64>,
}

impl GroupLimits {
    /// Asks the kernel.
    pub fn read() -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let unified = unified(&mounts, &own);
        let smallest = |controller: &str, old: &str, new: &str| {
            let old = separate(&mounts, &own, controller).and_then(|own| lowest(&own, old));
            let new = unified.as_deref().and_then(|own| lowest(own, new));
            old.into_iter().chain(new).min()
        };
        Self {
            memory_bytes: smallest("memory", "memory.limit_in_bytes", "memory.max"),
            processes: smallest("pids", "pids.max", "pids.max"),
        }
    }
}

/// The smallest number in a file of this group and of all above it; `max` is none.
fn lowest(own: &Path, file: &str) -> Option<u64> {
    let read = |folder: &Path| fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok();
    own.ancestors().filter_map(read).min()
}

/// The folder of the group in which this process is, in the tree of one controller of version 1.
/// Groups of runs are made below it, so that whatever limits the worker limits them too.
fn separate(mounts: &str, own: &str, controller: &str) -> Option<PathBuf> {
    let has = |list: &str| list.split(',').any(|option| option == controller);
    let mount = mounts
        .lines()
        .filter_map(Mount::parse)
        .find(|mount| mount.kind == "cgroup" && has(mount.options))?;
    let path = own.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        has(controllers).then_some(path)
    });
    // A group outside of what is mounted here cannot be named.
    let inside = path.and_then(|path| Path::new(path).strip_prefix(&mount.root).ok());
    Some(inside.map_or_else(|| mount.point.clone(), |inside| mount.point.join(inside)))
}

/// The folder of the group in which this process is, in version 2.
fn unified(mounts: &str, own: &str) -> Option<PathBuf> {
    let mount = mounts.lines().filter_map(Mount::parse).find(|mount| mount.kind == "cgroup2")?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    let inside = Path::new(path).strip_prefix(&mount.root).ok()?;
    Some(mount.point.join(inside))
}

/// A folder of version 2 whose children get both controllers, if one was given to this process.
fn delegated_parent(own: &Path) -> Option<PathBuf> {
    // The service manager has put us into a leaf of what it delegated, or we did so before.
    if let Some(parent) = own.parent().filter(|parent| is_delegated(parent)) {
        return enable(parent).then(|| parent.to_owned());
    }
    if !is_delegated(own) {
        return None;
    }
    if enable(own) {
        return Some(own.to_owned());
    }
    // A group with processes cannot have children with controllers: move into a leaf, if alone.
    let pid = std::process::id().to_string();
    if fs::read_to_string(own.join("cgroup.procs")).ok()?.trim() != pid {
        return None;
    }
    let leaf = own.join("worker");
    fs::create_dir_all(&leaf).ok()?;
    fs::write(leaf.join("cgroup.procs"), pid).ok()?;
    enable(own).then(|| own.to_owned())
}

/// Whether the service manager marked a group as ours to divide.
fn is_delegated(folder: &Path) -> bool {
    ["user.delegate", "trusted.delegate"].into_iter().any(|name| {
        super::init::extended_attribute(folder, name).is_some_and(|value| value == b"1")
    })
}

fn enable(folder: &Path) -> bool {
    let enabled = |folder: &Path| {
        let now = fs::read_to_string(folder.join("cgroup.subtree_control")).unwrap_or_default();
        ["memory", "pids"].iter().all(|wanted| now.split_whitespace().any(|has| has == *wanted))
    };
    let ask = || fs::write(folder.join("cgroup.subtree_control"), "+memory +pids");
    enabled(folder) || (ask().is_ok() && enabled(folder))
}

fn may_make_groups(folder: &Path) -> bool {
    // Several threads of a process may ask at a time.
    static PROBES: AtomicU32 = AtomicU32::new(0);
    let number = PROBES.fetch_add(1, Ordering::Relaxed);
    let probe = folder.join(format!("rebuilder-probe-{}-{number}", std::process::id()));
    fs::create_dir(&probe).is_ok() && fs::remove_dir(&probe).is_ok()
}

/// What matters of one line of `mountinfo` (proc(5)).
struct Mount<'a> {
    root: PathBuf,
    point: PathBuf,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ').skip(3);
        let mut right = right.split(' ');
        let (root, point) = (plain(left.next()?), plain(left.next()?));
        let (kind, _source, options) = (right.next()?, right.next()?, right.next()?);
        Some(Self { root, point, kind, options })
    }
}

/// A path of `mountinfo`, where blanks, tabs, line feeds and `\\` stand as octal numbers.
fn plain(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let number = after.get(..3).filter(|_| first == b'\\');
        let number = number.and_then(|digits| str::from_utf8(digits).ok());
        let (byte, length) = match number.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => (byte, 4),
            None => (first, 1),
        };
        bytes.push(byte);
        rest = &rest[length..];
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "\
31 24 0:26 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
32 24 0:27 / /sys/fs/cgroup/memory rw,relatime shared:3 - cgroup cgroup rw,memory
33 24 0:28 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
34 24 0:29 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";
    const NEW: &str = "\
29 23 0:25 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate";

    #[test]
    fn the_old_layout_has_a_folder_per_controller() {
        let own = "5:devices:/\n4:memory:/site/worker\n2:cpu,pids:/\n0::/\n";
        let found = |controller| separate(OLD, own, controller);
        assert_eq!(found("memory"), Some(PathBuf::from("/sys/fs/cgroup/memory/site/worker")));
        assert_eq!(found("pids"), Some(PathBuf::from("/sys/fs/cgroup/pids")));
        assert_eq!(separate(NEW, own, "memory"), None);
        // In a container the group is named from the host's root, which is not mounted.
        let contained = OLD.replace("0:27 / ", "0:27 /box ");
        let folder = |own| separate(&contained, own, "memory").unwrap();
        assert_eq!(folder("4:memory:/box/in\n"), Path::new("/sys/fs/cgroup/memory/in"));
        assert_eq!(folder("4:memory:/elsewhere\n"), Path::new("/sys/fs/cgroup/memory"));
    }

    #[test]
    fn odd_places_of_the_trees_are_read() {
        let mounts = "31 24 0:26 /a\\040b /mnt/a\\040b\\134c\\012d rw - cgroup cgroup rw,memory";
        let place = |own| separate(mounts, own, "memory").unwrap();
        assert_eq!(place("4:memory:/a b/site\n"), Path::new("/mnt/a b\\c\nd/site"));
        assert_eq!(place("4:memory:/\n"), Path::new("/mnt/a b\\c\nd"));
        for (text, expected) in [("/x\\", "/x\\"), ("/\\04", "/\\04"), ("/\\999", "/\\999")] {
            assert_eq!(plain(text), Path::new(expected));
        }
    }

    #[test]
    fn the_smallest_limit_above_counts() {
        let root = tempfile::tempdir().unwrap();
        let own = root.path().join("site/worker");
        fs::create_dir_all(&own).unwrap();
        fs::write(root.path().join("memory.max"), "9000\n").unwrap();
        assert_eq!(lowest(&own, "memory.max"), Some(9000));
        fs::write(root.path().join("site/memory.max"), "max\n").unwrap();
        fs::write(own.join("memory.max"), "12000\n").unwrap();
        assert_eq!(lowest(&own, "memory.max"), Some(9000));
        assert_eq!(lowest(&own, "pids.max"), None);
    }

    #[test]
    fn the_new_layout_has_the_folder_of_the_own_group() {
        let own = "0::/system.slice/rebuilder.service\n";
        assert_eq!(
            unified(NEW, own),
            Some(PathBuf::from("/sys/fs/cgroup/system.slice/rebuilder.service"))
        );
        assert_eq!(unified("", own), None);
        assert_eq!(unified(NEW, "8:pids:/\n"), None);
    }

    #[test]
    fn a_group_that_was_not_given_to_us_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("cgroup.subtree_control"), "memory pids").unwrap();
        assert_eq!(delegated_parent(folder.path()), None);
    }
}
