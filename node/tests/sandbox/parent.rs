//! The worker itself is killed.

use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::fixture::{Fixture, processes_with};

/// Runs this test program once more as the worker that will be killed.
#[test]
fn nothing_survives_a_killed_worker() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: the sandbox needs root, and so do its tests");
        return;
    }
    let mut worker = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "parent::the_worker", "--ignored"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until(|| processes_with("98765") >= 3, "the sandbox has not started");
    worker.kill().unwrap();
    worker.wait().unwrap();
    until(|| processes_with("98765") == 0, "processes are left");
}

#[tokio::test]
#[ignore = "is started, and killed, by nothing_survives_a_killed_worker"]
async fn the_worker() {
    let Some(fixture) = Fixture::new().await else { return };
    fixture.sh("setsid sleep 98765 & setsid sleep 98765 & sleep 98765; sleep 1").await;
}

fn until(condition: impl Fn() -> bool, otherwise: &str) {
    for _ in 0..300 {
        if condition() {
            return;
        }
        sleep(Duration::from_millis(100));
    }
    panic!("{otherwise}");
}
