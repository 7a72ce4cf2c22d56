//! Which control groups this process may use: the old layout (version 1, one tree per controller)
//! or a delegated part of the unified one (version 2).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

/// Below which folders the groups of runs are made. Existing groups are never changed, but for one:
/// a unified group that was delegated to this process is split into leaves, as version 2 demands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Layout {
    /// One tree for each controller; `None`: that one cannot be used.
    Separate { memory: Option<PathBuf>, pids: Option<PathBuf> },
    /// One folder whose children have both controllers.
    Unified { parent: PathBuf },
    /// None can be used: weaker limits only.
    #[default]
    Absent,
}

/// What this machine offers; found once.
pub(super) fn layout() -> &'static Layout {
    static FOUND: OnceLock<Layout> = OnceLock::new();
    FOUND.get_or_init(|| {
        let found = detect();
        match &found {
            Layout::Absent => tracing::warn!(
                "no control group can be used: a run's memory is not limited, its processes only \
                 per user; run as root, with `Delegate=yes` in the service's unit"
            ),
            Layout::Separate { memory: None, .. } => {
                tracing::warn!("no memory control group can be used: memory is not limited");
            }
            Layout::Separate { pids: None, .. } => {
                tracing::warn!("no pids control group can be used: weaker limit on processes");
            }
            _ => {}
        }
        found
    })
}

fn detect() -> Layout {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let memory = separate(&mounts, "memory").filter(|folder| may_make_groups(folder));
    let pids = separate(&mounts, "pids").filter(|folder| may_make_groups(folder));
    if memory.is_some() || pids.is_some() {
        return Layout::Separate { memory, pids };
    }
    let parent = unified(&mounts, &own).and_then(|own| delegated_parent(&own));
    match parent.filter(|folder| may_make_groups(folder)) {
        Some(parent) => Layout::Unified { parent },
        None => Layout::Absent,
    }
}

/// Where the tree of one controller of version 1 is mounted.
fn separate(mounts: &str, controller: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let mount = Mount::parse(line)?;
        let has = mount.options.split(',').any(|option| option == controller);
        (mount.kind == "cgroup" && has).then(|| PathBuf::from(mount.point))
    })
}

/// The folder of the group in which this process is, in version 2.
fn unified(mounts: &str, own: &str) -> Option<PathBuf> {
    let mount = mounts.lines().filter_map(Mount::parse).find(|mount| mount.kind == "cgroup2")?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    let inside = Path::new(path).strip_prefix(mount.root).ok()?;
    Some(Path::new(mount.point).join(inside))
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
    let probe = folder.join(format!("rebuilder-probe-{}", std::process::id()));
    fs::create_dir(&probe).is_ok() && fs::remove_dir(&probe).is_ok()
}

/// What matters of one line of `mountinfo` (proc(5)).
struct Mount<'a> {
    root: &'a str,
    point: &'a str,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ').skip(3);
        let mut right = right.split(' ');
        let (root, point) = (left.next()?, left.next()?);
        let (kind, _source, options) = (right.next()?, right.next()?, right.next()?);
        Some(Self { root, point, kind, options })
    }
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
        assert_eq!(separate(OLD, "memory"), Some(PathBuf::from("/sys/fs/cgroup/memory")));
        assert_eq!(separate(OLD, "pids"), Some(PathBuf::from("/sys/fs/cgroup/pids")));
        assert_eq!(separate(NEW, "memory"), None);
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
