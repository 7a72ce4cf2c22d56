//! Whatever a run lacks is seen from outside, whether or not the run says so, and what only looks
//! like a lack is not.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rebuilder_actors::protocol::{FaultKind, Stage};
use rebuilder_node::backend::{BuildError, Found, decide};
use rebuilder_node::sandbox::{Bind, Exit, Observed, Run, SandboxError, User, remove_tree};

use crate::fixture::Fixture;
use crate::limits::no_groups;
use crate::small_disk::SmallDisk;
use crate::wall::bind_program;

/// What becomes of a build that ended so; `None`: it stands.
fn fault(run: &Run) -> Option<FaultKind> {
    kind(decide(Found::Exit(Stage::Build, run.exit), &run.observed))
}

/// What becomes of a difference after such a build.
fn fault_of_difference(observed: &Observed) -> Option<FaultKind> {
    kind(decide(Found::Compared { reproduced: false }, observed))
}

fn kind(decided: Result<(), BuildError>) -> Option<FaultKind> {
    match decided {
        Ok(()) => None,
        Err(BuildError::Fault(fault)) => Some(fault.kind),
        Err(other) => panic!("{other:?}"),
    }
}

/// Needs 300 MB of memory.
const HUNGRY: &str = "head -c 300000000 /dev/zero | sort";

#[tokio::test]
async fn a_killed_process_is_seen_whatever_its_parents_make_of_it() {
    let Some(mut fixture) = Fixture::new().await else { return };
    if no_groups() {
        return;
    }
    fixture.spec.limits.memory_bytes = Some(64 << 20);
    // As a compiler's driver does: its own words, its own status.
    let driver = format!("({HUNGRY}) >/dev/null || {{ echo fatal error; exit 1; }}; exit 1");
    let run = fixture.observe(&driver).await;
    assert_eq!(fault(&run), Some(FaultKind::OutOfMemory), "{run:?}");
    // A grandchild that nobody waits for, in a build that goes on and ends well.
    let deaf = format!(
        "setsid sh -c '{HUNGRY} >/dev/null; : >/tmp/done' & \
         for i in $(seq 60); do [ -e /tmp/done ] && break; sleep 1; done; exit 0"
    );
    let run = fixture.observe(&deaf).await;
    if run.exit == Exit::Status(0) {
        assert_eq!(fault(&run), None, "{run:?}");
    }
    assert_eq!(fault_of_difference(&run.observed), Some(FaultKind::OutOfMemory), "{run:?}");
    // Shared memory counts as memory.
    let run = fixture.observe("head -c 100000000 /dev/zero > /dev/shm/x || exit 3").await;
    assert_eq!(fault_of_difference(&run.observed), Some(FaultKind::OutOfMemory), "{run:?}");
}

/// A worker that its service manager limits, and no limit of our own: this very test program, once
/// more, in a control group of 80 MB.
#[tokio::test]
async fn a_limit_of_the_worker_itself_kills_as_well() {
    let (old, new) = (Path::new("/sys/fs/cgroup/memory"), Path::new("/sys/fs/cgroup"));
    let (top, limit) = match old.join("memory.limit_in_bytes").exists() {
        true => (old, "memory.limit_in_bytes"),
        false => (new, "memory.max"),
    };
    let group = &top.join("rebuilder-test-outer");
    if !group.exists() && fs::create_dir(group).is_err() {
        eprintln!("SKIPPED: no memory group can be made here");
        return;
    }
    fs::write(group.join(limit), "80000000").unwrap();
    let entered = "echo 0 > \"$0\"/cgroup.procs && exec \"$@\"";
    let ran = Command::new("sh")
        .args(["-c", entered])
        .args([group, &std::env::current_exe().unwrap()])
        .args(["--exact", "--ignored", "shortage::in_a_limited_group"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
    tokio::time::sleep(Duration::from_millis(500)).await;
    fs::remove_dir(group).unwrap();
}

#[tokio::test]
#[ignore = "is run by the test above, in a control group"]
async fn in_a_limited_group() {
    let Some(fixture) = Fixture::new().await else { return };
    let run = fixture.observe(&format!("{HUNGRY} > /dev/null; exit 1")).await;
    assert_eq!(fault(&run), Some(FaultKind::OutOfMemory), "{run:?}");
}

#[tokio::test]
async fn killing_oneself_is_no_lack_of_memory() {
    let Some(fixture) = Fixture::new().await else { return };
    for script in ["(kill -9 -1); sleep 9", "kill -9 $$", "sh -c 'kill -9 $$'; exit 137"] {
        let run = fixture.observe(script).await;
        assert_eq!((run.exit, fault(&run)), (Exit::Status(137), None), "{script}: {run:?}");
    }
    // What was printed is no evidence either.
    let run = fixture.observe("echo 'No space left on device'; echo Killed; exit 2").await;
    assert_eq!((run.exit, fault(&run)), (Exit::Status(2), None), "{run:?}");
}

#[tokio::test]
async fn refused_processes_are_seen_though_the_failure_is_swallowed() {
    let Some(mut fixture) = Fixture::new().await else { return };
    if no_groups() {
        return;
    }
    fixture.spec.limits.processes = 30;
    let bomb = "i=0; while [ $i -lt 60 ]; do (sleep 3 &) 2>/dev/null; i=$((i+1)); done";
    for (ending, expected) in [("exit 1", Some(FaultKind::WorkerFailed)), ("exit 0", None)] {
        let script = format!("sh -c '{bomb}' 2>/dev/null; {ending}");
        let run = fixture.observe(&script).await;
        assert!(run.observed.forks_refused > 0, "{run:?}");
        assert_eq!(fault(&run), expected, "{run:?}");
        assert_eq!(fault_of_difference(&run.observed), Some(FaultKind::WorkerFailed));
    }
    fixture.spec.limits.processes = 200;
    let run = fixture.observe(&format!("{bomb}; exit 1")).await;
    assert_eq!(fault(&run), None, "{run:?}");
}

/// One that does nothing but ask would keep a processor busy until its time is up.
#[tokio::test]
async fn a_fork_bomb_is_ended_before_its_time() {
    let Some(mut fixture) = Fixture::new().await else { return };
    if no_groups() {
        return;
    }
    fixture.spec.limits.processes = 60;
    fixture.spec.limits.wall = Duration::from_secs(60);
    bind_program(&mut fixture);
    for user in [User::Builder, User::Root] {
        fixture.spec.user = user;
        let run = fixture.observe("/probe/probe bomb; exit 1").await;
        assert_eq!(run.exit, Exit::Status(137), "{run:?}");
        assert_eq!(fault(&run), Some(FaultKind::WorkerFailed), "{run:?}");
    }
}

#[tokio::test]
async fn a_file_over_the_limit_is_seen_sparse_or_not() {
    let Some(mut fixture) = Fixture::new().await else { return };
    fixture.spec.limits.disk_bytes = Some(20 << 20);
    for script in [
        "truncate -s 30M /tmp/image; exit 1",
        "echo x | dd of=/tmp/far bs=1 seek=40000000 2>/dev/null; exit 1",
        "mkdir -p /tmp/a/b; truncate -s 8G /tmp/a/b/.hidden; exit 0",
        // Gone at the end, but not at a look.
        "truncate -s 30M /tmp/brief; sleep 5; rm /tmp/brief; exit 1",
        "fallocate -l 30M /tmp/real; exit 1",
    ] {
        let run = fixture.observe(script).await;
        let found = fault_of_difference(&run.observed);
        assert_eq!(found, Some(FaultKind::DiskFull), "{script}: {run:?}");
        fixture.observe("rm -rf /tmp/*").await;
    }
    let run = fixture.observe("truncate -s 19M /tmp/image; exit 1").await;
    assert_eq!((run.exit, fault(&run)), (Exit::Status(1), None), "{run:?}");
}

#[tokio::test]
async fn a_full_disk_is_seen_when_it_is_full_for_a_moment_only() {
    let Some(mut fixture) = Fixture::new().await else { return };
    let Some(disk) = SmallDisk::new(400 << 20, 20_000) else { return };
    fixture.spec.root.upper = disk.path().join("upper");
    fixture.spec.root.work = disk.path().join("work");
    let run = fixture.observe("head -c 20000000 /dev/zero > /tmp/f; exit 1").await;
    assert_eq!(fault(&run), None, "{run:?}");
    // A neighbour takes all and gives it back, long before the run fails.
    let signals = fixture.path("signals");
    fs::create_dir(&signals).unwrap();
    let target = "/signals".into();
    fixture.spec.binds = vec![Bind { source: signals.clone(), target, read_only: true }];
    let file = disk.path().join("neighbour");
    let neighbour = tokio::task::spawn_blocking(move || {
        std::thread::sleep(Duration::from_secs(2));
        let mut full = fs::File::create(&file).unwrap();
        let block = vec![1; 1 << 20];
        while full.write_all(&block).is_ok() {}
        std::thread::sleep(Duration::from_secs(1));
        fs::remove_file(&file).unwrap();
        drop(full);
        std::thread::sleep(Duration::from_secs(1));
        fs::write(signals.join("done"), "").unwrap();
    });
    let victim = "until test -e /signals/done; do sleep 0.1; done; exit 1";
    let (run, neighbour) = tokio::join!(fixture.observe(victim), neighbour);
    neighbour.unwrap();
    assert_eq!(fault(&run), Some(FaultKind::DiskFull), "{run:?}");
    // By itself, tidied up before the end; and deleted while it is open, so that nothing of it is
    // in any folder.
    for own in [
        "dd if=/dev/zero of=/tmp/all bs=1M count=900; rm /tmp/*; sleep 1; exit 1",
        "exec 3>/tmp/x; rm /tmp/x; dd if=/dev/zero bs=1M count=900 >&3; exit 1",
    ] {
        let run = fixture.observe(own).await;
        assert_eq!(fault(&run), Some(FaultKind::DiskFull), "{own}: {run:?}");
    }
}

#[tokio::test]
async fn used_up_inodes_and_shared_memory_are_seen() {
    let Some(mut fixture) = Fixture::new().await else { return };
    let run = fixture.observe("head -c 2000000000 /dev/zero > /dev/shm/x; rm /dev/shm/x").await;
    let found = fault_of_difference(&run.observed);
    // Where memory is scarcer than that, it is what was short.
    let full = [Some(FaultKind::DiskFull), Some(FaultKind::OutOfMemory)];
    assert!(full.contains(&found), "{run:?}");
    let Some(disk) = SmallDisk::new(64 << 20, 3000) else { return };
    fixture.spec.root.upper = disk.path().join("upper");
    fixture.spec.root.work = disk.path().join("work");
    let run = fixture.observe("mkdir /tmp/few; cd /tmp/few; touch 1 2 3; exit 1").await;
    assert_eq!(fault(&run), None, "{run:?}");
    let many = "mkdir /tmp/d; cd /tmp/d; i=0; while [ $i -lt 5000 ]; do : > $i || break; \
        i=$((i+1)); done; exit 1";
    let run = fixture.observe(many).await;
    assert_eq!(fault(&run), Some(FaultKind::DiskFull), "{run:?}");
    remove_tree(&disk.path().join("upper/tmp")).await.unwrap();
    assert_eq!(fault(&fixture.observe("exit 2").await), None);
}

#[tokio::test]
async fn an_unpacking_over_its_limit_says_what_was_short() {
    let Some(fixture) = Fixture::new().await else { return };
    let tree = fixture.path("tree");
    fs::create_dir(&tree).unwrap();
    for number in 0..4000 {
        fs::write(tree.join(number.to_string()), "").unwrap();
    }
    let tar = fixture.path("many.tar");
    pack(&tree, &tar);
    fixture.sandbox.import_tar(&tar, &fixture.path("many")).await.unwrap();
    // More bytes than allowed, in what is a few kilobytes when compressed.
    let bomb = fixture.path("bomb.tar.gz");
    fs::remove_dir_all(&tree).unwrap();
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("zero"), vec![0; 50 << 20]).unwrap();
    pack(&tree, &bomb);
    assert!(fs::metadata(&bomb).unwrap().len() < 1 << 20);
    let error =
        fixture.sandbox.import_tar_of(&bomb, &fixture.path("bomb"), 10 << 20).await.unwrap_err();
    assert_eq!(short(&error), Some(FaultKind::DiskFull), "{error:?}");
    fixture.sandbox.import_tar_of(&bomb, &fixture.path("fits"), 60 << 20).await.unwrap();
    for tar in [&tar, &bomb] {
        let Some(disk) = SmallDisk::new(32 << 20, 2000) else { return };
        let error = fixture.sandbox.import_tar(tar, &disk.path().join("tree")).await.unwrap_err();
        assert_eq!(short(&error), Some(FaultKind::DiskFull), "{error:?}");
    }
    fs::write(&tar, "this is no tar").unwrap();
    let error = fixture.sandbox.import_tar(&tar, &fixture.path("none")).await.unwrap_err();
    assert_eq!(short(&error), None, "{error:?}");
}

fn short(error: &SandboxError) -> Option<FaultKind> {
    fault_of_difference(&error.observed)
}

fn pack(tree: &Path, tar: &Path) {
    let packed = Command::new("tar")
        .arg("--auto-compress")
        .args([Path::new("-cf"), tar, Path::new("-C"), tree, Path::new(".")])
        .status();
    assert!(packed.unwrap().success());
}
