//! Memory, processes and disk.

use std::fs;
use std::time::Duration;

use rebuilder_node::sandbox::Exit;

use crate::fixture::Fixture;

/// A machine on which no control group can be made (an ordinary container) has no such limit.
pub fn no_groups() -> bool {
    let found = crate::cgroup2::capabilities();
    let there = found.contains("MemoryGroup") && found.contains("PidsGroup");
    if !there {
        eprintln!("SKIPPED: no control group can be made here");
    }
    !there
}

#[tokio::test]
async fn too_much_memory_is_told_from_a_failure() {
    let Some(mut fixture) = Fixture::new().await else { return };
    if no_groups() {
        return;
    }
    fixture.spec.limits.memory_bytes = Some(48 << 20);
    // One line of endless length is kept in memory by `sort`.
    let run = fixture.observe("head -c 300000000 /dev/zero | sort >/dev/null; exit 7").await;
    assert!(run.observed.memory_kills > 0, "{run:?}");
    let run = fixture.observe("head -c 30000000 /dev/zero >/dev/null; exit 7").await;
    assert_eq!((run.exit, run.observed.memory_kills), (Exit::Status(7), 0));
    let own = format!("rebuilder-{}", std::process::id());
    let found = std::process::Command::new("find")
        .args(["/sys/fs/cgroup", "-name", &format!("{own}-*")])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
}

#[tokio::test]
async fn a_fork_bomb_is_bounded() {
    let Some(mut fixture) = Fixture::new().await else { return };
    fixture.spec.limits.processes = 30;
    let script = "i=0; while [ $i -lt 100 ]; do sleep 5 & i=$((i+1)); done";
    let (_, printed) = fixture.sh(script).await;
    assert!(printed.contains("fork"), "{printed}");
    fixture.spec.limits.processes = 200;
    let (exit, printed) = fixture.sh(script).await;
    assert_eq!((exit, printed.as_str()), (Exit::Status(0), ""));
}

#[tokio::test]
async fn output_is_slowed_and_never_lost() {
    let Some(mut fixture) = Fixture::new().await else { return };
    fixture.spec.limits.output_bytes_per_sec = Some(200_000);
    fixture.spec.limits.wall = Duration::from_secs(3);
    let (exit, printed) = fixture.sh("yes").await;
    assert_eq!(exit, Exit::TimedOut);
    // One buffer more in each second, the pipe's content, and a slow machine's fourth second.
    assert!((300_000..1_300_000).contains(&printed.len()), "{}", printed.len());
    fixture.spec.limits.wall = Duration::from_secs(60);
    let (exit, printed) = fixture.sh("seq 1 100000; echo end").await;
    assert_eq!((exit, printed.len()), (Exit::Status(0), 588_899));
}

#[tokio::test]
async fn files_and_the_disk_are_bounded() {
    let Some(mut fixture) = Fixture::new().await else { return };
    fixture.spec.limits.file_bytes = Some(1 << 20);
    let (exit, _) = fixture.sh("head -c 2000000 /dev/zero > /tmp/big; stat -c %s /tmp/big").await;
    assert_eq!(exit, Exit::Status(0));
    assert_eq!(fs::metadata(fixture.path("upper/tmp/big")).unwrap().len(), 1 << 20);
    fixture.spec.limits.disk_bytes = Some(10 << 20);
    let script = "i=0; while :; do head -c 1000000 /dev/zero > /tmp/big$i; i=$((i+1)); \
        [ $i -lt 30 ] || sleep 1; done";
    let (exit, _) = fixture.sh(script).await;
    assert_eq!(exit, Exit::DiskFull);
}
