use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{SigHandler, Signal, signal};

use crate::harness::{Harness, HarnessSettings};
use crate::tools::{node_program, until_true};

/// What a node exits with that SIGHUP stopped, and one that did not wait for its own end.
const HUNG_UP: i32 = 129;
const FORCED: i32 = 130;

#[test]
fn signals_without_a_meaning_change_nothing() {
    let harness = Harness::new(HarnessSettings { listed: &["w1"], ..HarnessSettings::default() });
    let mut coordinator = harness.coordinator();
    let mut worker = harness.joined_worker("w1");
    harness.until_begun(20, "p00", 0);
    for node in [&mut coordinator, &mut worker] {
        for signal in [Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGPIPE] {
            node.signal(signal);
        }
        node.until_said(10, 1, "SIGUSR1 ignored");
        node.until_said(10, 1, "SIGUSR2 ignored");
        assert!(node.is_alive());
    }
    harness.go("all");
    harness.until_reproduced(20);
    harness.assert_built_once();
}

#[test]
fn a_hangup_stops_in_order() {
    #[expect(unsafe_code, reason = "signal(2) is")]
    // SAFETY: no handler is set. `nohup` starts tests, and so their nodes, with SIGHUP ignored.
    unsafe {
        signal(Signal::SIGHUP, SigHandler::SigDfl).unwrap();
    }
    let harness = Harness::new(HarnessSettings { listed: &["w1"], ..HarnessSettings::default() });
    let mut coordinator = harness.coordinator();
    let mut worker = harness.joined_worker("w1");
    worker.signal(Signal::SIGHUP);
    assert_eq!(worker.until_ended(60), HUNG_UP, "{}", worker.said());
    coordinator.until_said(60, 1, "disconnected");
    coordinator.signal(Signal::SIGHUP);
    assert_eq!(coordinator.until_ended(60), HUNG_UP, "{}", coordinator.said());
    for node in [&coordinator, &worker] {
        assert!(node.said().contains("stopping (SIGHUP)"), "{}", node.said());
    }
    // It can be started again, from where it was.
    let coordinator = harness.coordinator();
    let _worker = harness.joined_worker("w1");
    harness.go("all");
    harness.until_reproduced(60);
    coordinator.stop();
}

/// `nohup` starts a program with SIGHUP ignored.
#[test]
fn a_hangup_that_was_ignored_from_the_start_stays_ignored() {
    let harness = Harness::new(HarnessSettings { listed: &["w1"], ..HarnessSettings::default() });
    let mut command = Command::new(node_program());
    command.args(["--role", "coordinator", "--config"]).arg(harness.join("c.toml"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    #[expect(unsafe_code, reason = "what `nohup` does, between fork and execve")]
    // SAFETY: signal(2) is safe after fork.
    unsafe {
        command.pre_exec(|| {
            signal(Signal::SIGHUP, SigHandler::SigIgn)?;
            Ok(())
        });
    }
    let mut child = command.spawn().unwrap();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("listens on")));
    nix::sys::signal::kill(pid, Signal::SIGHUP).unwrap();
    assert!(lines.any(|line| line.contains("SIGHUP ignored")));
    assert!(child.try_wait().unwrap().is_none());
    nix::sys::signal::kill(pid, Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// A node whose log nobody reads any more goes on.
#[test]
fn a_log_that_is_gone_ends_nothing() {
    let harness = Harness::new(HarnessSettings { listed: &["w1"], ..HarnessSettings::default() });
    let mut command = Command::new(node_program());
    command.args(["--role", "coordinator", "--config"]).arg(harness.join("c.toml"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stderr.take());
    let ctl = harness.ctl();
    until_true(20, "the coordinator answers", || ctl.try_ask(&["status"]).is_some());
    // Each connection of a worker is a line of the log.
    let worker = harness.joined_worker("w1");
    harness.go("all");
    harness.until_reproduced(30);
    worker.stop();
    until_true(10, "the worker is gone", || !ctl.is_connected("w1"));
    assert!(child.try_wait().unwrap().is_none());
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A second SIGTERM does not wait for what the first one began.
#[test]
fn asked_twice_it_ends_at_once() {
    let harness = Harness::new(HarnessSettings { listed: &["w1"], ..HarnessSettings::default() });
    // A build that does not listen to its end: an orderly stop waits for it.
    harness.hook("p00", "trap '' TERM\n");
    let _coordinator = harness.coordinator();
    let mut worker = harness.joined_worker("w1");
    harness.until_begun(20, "p00", 0);
    worker.signal(Signal::SIGTERM);
    worker.until_said(10, 1, "stopping (SIGTERM)");
    std::thread::sleep(Duration::from_millis(20));
    worker.signal(Signal::SIGINT);
    let code = worker.until_ended(5);
    assert!(code == FORCED || code == 0, "{code}: {}", worker.said());
}
