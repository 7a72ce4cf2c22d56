//! Control groups of version 2, in a virtual machine where nobody else needs them (`.ci/cgroup2`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TOP: &str = "/sys/fs/cgroup";

/// Each of these fails, and is not skipped, where groups can be made.
const TESTS: [&str; 6] = [
    "cgroup2::groups_of_version_two_are_used",
    "limits::too_much_memory_is_told_from_a_failure",
    "limits::a_fork_bomb_is_bounded",
    "shortage::a_killed_process_is_seen_whatever_its_parents_make_of_it",
    "shortage::killing_oneself_is_no_lack_of_memory",
    "shortage::refused_processes_are_seen_though_the_failure_is_swallowed",
];

#[test]
#[ignore = "is run by .ci/cgroup2, in a virtual machine"]
fn in_a_machine_of_its_own() {
    enable(Path::new(TOP));
    // What service managers do: the process alone in what it may divide, which is made anew for
    // each start as it cannot be entered any more, or in a leaf of it.
    for (number, test) in TESTS.iter().enumerate() {
        let alone = delegated(&format!("alone-{number}"));
        run_in(&alone, &[test]);
        assert_eq!(left_in(&alone), None);
    }
    let parent = delegated("parent");
    let leaf = parent.join("leaf");
    fs::create_dir(&leaf).unwrap();
    run_in(&leaf, &TESTS);
    assert_eq!(left_in(&parent), None);
    // A group that was given to nobody is left alone, and its limit is known all the same.
    let foreign = Path::new(TOP).join("foreign");
    fs::create_dir(&foreign).unwrap();
    run_in(&foreign, &["cgroup2::groups_of_nobody_are_left_alone"]);
    run_in(Path::new(TOP), &["shortage::a_limit_of_the_worker_itself_kills_as_well"]);
}

#[test]
#[ignore = "is run by the test above, in a delegated group"]
fn groups_of_version_two_are_used() {
    let found = capabilities();
    assert!(found.contains("MemoryGroup") && found.contains("PidsGroup"), "{found}");
    let own = fs::read_to_string("/proc/self/cgroup").unwrap();
    assert!(own == "0::/alone-0/worker\n" || own == "0::/parent/leaf\n", "{own}");
}

#[test]
#[ignore = "is run by the test above, in a group of somebody else's"]
fn groups_of_nobody_are_left_alone() {
    let found = capabilities();
    assert!(!found.contains("MemoryGroup") && !found.contains("PidsGroup"), "{found}");
    assert_eq!(fs::read_to_string("/proc/self/cgroup").unwrap(), "0::/foreign\n");
}

/// What a report would say.
pub fn capabilities() -> String {
    use rebuilder_node::sandbox::{Personality, Wall};

    let evidence = crate::fixture::sandbox().evidence(Wall::default(), Personality::Native);
    format!("{:?}", evidence.capabilities)
}

/// A group as `Delegate=yes` makes it.
fn delegated(name: &str) -> PathBuf {
    let group = Path::new(TOP).join(name);
    fs::create_dir(&group).unwrap();
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(&group, "trusted.delegate", b"1", flags).unwrap();
    group
}

/// A group of a run that stayed.
fn left_in(group: &Path) -> Option<PathBuf> {
    let mut entries = fs::read_dir(group).unwrap().map(|entry| entry.unwrap().path());
    entries.find(|path| path.to_string_lossy().contains("rebuilder-"))
}

fn enable(group: &Path) {
    fs::write(group.join("cgroup.subtree_control"), "+memory +pids").unwrap();
}

/// Runs tests of this program, each in a process that begins in the group.
fn run_in(group: &Path, tests: &[&str]) {
    for test in tests {
        let entered = "echo 0 >\"$0/cgroup.procs\" && exec \"$@\"";
        let ran = Command::new("sh")
            .args(["-c", entered])
            .args([group, &std::env::current_exe().unwrap()])
            .args(["--exact", "--include-ignored", "--nocapture", test])
            .output()
            .unwrap();
        let said = [ran.stdout, ran.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let is_right =
            ran.status.success() && said.contains("1 passed") && !said.contains("SKIPPED");
        assert!(is_right, "{test} in {}: {}: {said}", group.display(), ran.status);
        #[expect(clippy::print_stdout, reason = "the log of the virtual machine")]
        {
            println!("{} ok in {}", test, group.display());
        }
    }
}
