//! How runs end, and that nothing survives them.

use std::fs;
use std::time::Duration;

use rebuilder_node::sandbox::{Exit, User};
use tokio_util::sync::CancellationToken;

use crate::fixture::{Fixture, processes_with};

#[tokio::test]
async fn the_status_is_the_commands() {
    let Some(mut fixture) = Fixture::new().await else { return };
    for status in [0, 1, 42, 255] {
        let (exit, _) = fixture.sh(&format!("exit {status}")).await;
        assert_eq!(exit, Exit::Status(status));
    }
    assert_eq!(fixture.sh("kill -TERM $$; sleep 9").await.0, Exit::Status(143));
    assert_eq!(fixture.sh("kill -KILL $$; sleep 9").await.0, Exit::Status(137));
    let (exit, printed) = fixture.sh("exec /absent/program").await;
    assert_eq!(exit, Exit::Status(127), "{printed}");
    fixture.spec.environment.insert("PATH".to_owned(), "/nowhere".to_owned());
    let (exit, printed) = fixture.sh("true").await;
    assert_eq!((exit, printed.starts_with("sh: ")), (Exit::Status(127), true), "{printed}");
}

#[tokio::test]
async fn the_output_is_complete_and_in_order() {
    let Some(fixture) = Fixture::new().await else { return };
    let script = "i=0; while [ $i -lt 3000 ]; do echo o$i; echo e$i >&2; i=$((i+1)); done; \
        seq 1 300000";
    let (exit, printed) = fixture.sh(script).await;
    assert_eq!(exit, Exit::Status(0));
    let first = (0..3000).flat_map(|i| [format!("o{i}"), format!("e{i}")]);
    let expected = first.chain((1..=300_000).map(|i| i.to_string()));
    assert!(printed.lines().eq(expected));
}

#[tokio::test]
async fn a_daemon_does_not_survive() {
    let Some(fixture) = Fixture::new().await else { return };
    let (exit, _) = fixture
        .sh("(setsid sh -c 'setsid sleep 98761' >/dev/null 2>&1 &) ; setsid sleep 98761 & sleep 1")
        .await;
    assert_eq!(exit, Exit::Status(0));
    assert_eq!(processes_with("98761"), 0);
}

#[tokio::test]
async fn time_runs_out() {
    let Some(mut fixture) = Fixture::new().await else { return };
    fixture.spec.limits.wall = Duration::from_secs(5);
    let (exit, printed) = fixture
        .sh("trap '' TERM INT HUP; setsid sleep 98762 & echo started; while :; do sleep 1; done")
        .await;
    assert_eq!((exit, printed.as_str()), (Exit::TimedOut, "started\n"));
    assert_eq!(processes_with("98762"), 0);
    // Endless output does not keep the limit from being seen.
    assert_eq!(fixture.sh("yes").await.0, Exit::TimedOut);
}

#[tokio::test]
async fn a_run_can_be_cancelled() {
    let Some(fixture) = Fixture::new().await else { return };
    let cancel = CancellationToken::new();
    let later = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        cancel.cancel();
    };
    let (ended, ()) =
        tokio::join!(fixture.try_sh("setsid sleep 98763 & sleep 98763", &cancel), later);
    assert_eq!(ended.unwrap().0, Exit::Cancelled);
    assert_eq!(processes_with("98763"), 0);
    assert!(cancel.is_cancelled());
    // Before it starts, too.
    assert_eq!(fixture.try_sh("true", &cancel).await.unwrap().0, Exit::Cancelled);
}

#[tokio::test]
async fn a_dropped_run_is_killed() {
    let Some(fixture) = Fixture::new().await else { return };
    let cancel = CancellationToken::new();
    let run = fixture.try_sh("setsid sleep 98764 & sleep 98764", &cancel);
    assert!(tokio::time::timeout(Duration::from_secs(2), run).await.is_err());
    for _ in 0..100 {
        if processes_with("98764") == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("processes are left");
}

#[tokio::test]
async fn a_second_run_goes_on_where_the_first_ended_and_nothing_stays_mounted() {
    let Some(mut fixture) = Fixture::new().await else { return };
    fixture.spec.user = User::Root;
    assert_eq!(fixture.sh("echo kept > /tmp/kept; rm /etc/passwd").await.0, Exit::Status(0));
    let (_, printed) = fixture.sh("cat /tmp/kept; ls /etc; pwd").await;
    assert_eq!(printed, "kept\n/\n");
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&fixture.folder.path().display().to_string()), "{mounts}");
    // The lower layer is untouched.
    assert!(fixture.path("lower/etc/passwd").exists());
}

#[tokio::test]
async fn what_cannot_be_made_is_an_error_that_says_why() {
    let Some(mut fixture) = Fixture::new().await else { return };
    fixture.spec.root.lowers = vec![fixture.path("absent")];
    let error = fixture.try_sh("true", &CancellationToken::new()).await.unwrap_err();
    assert!(error.action.contains("absent"), "{error}");
    let Some(mut fixture) = Fixture::new().await else { return };
    fixture.spec.directory = "/absent/folder".into();
    let error = fixture.try_sh("true", &CancellationToken::new()).await.unwrap_err();
    assert!(error.action.contains("/absent/folder"), "{error}");
}
