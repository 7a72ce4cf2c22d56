use rebuilder_actors::protocol::Sha256;

use crate::harness::{Harness, HarnessSettings};
use crate::tools::{run, until_true};

/// A report that is finished while the coordinator is down outlives a kill of its worker.
#[test]
fn a_spooled_report_outlives_its_worker_and_is_delivered_later() {
    let harness = Harness::new(HarnessSettings::default());
    let coordinator = harness.coordinator();
    let mut worker = harness.joined_worker("w1");
    harness.until_begun(20, "p00", 0);
    coordinator.stop();
    harness.go("p00");
    until_true(20, "the report waits in the spool", || harness.spooled("w1") == 1);
    worker.kill();
    let worker = harness.worker("w1");
    worker.until_said(20, 1, "still in the spool: 1 report");

    let _coordinator = harness.coordinator();
    harness.until_reproduced(60);
    harness.until_spools_empty(&["w1"]);
    worker.until_said(10, 1, "report of attempt 1-1 accepted");
    harness.assert_built_once();
    let log = harness.ctl().call(&["pkgs", "log", "--name", "p00"]);
    assert_eq!((log.code, log.out.as_str()), (0, "building p00\n"), "its log came along");
}

/// The answer was lost, or the removal from the spool was: the report is offered again, and
/// answered again, although its log is no longer wanted.
#[test]
fn a_report_that_was_answered_already_is_answered_again() {
    let harness = Harness::new(HarnessSettings::default());
    let coordinator = harness.coordinator();
    let mut worker = harness.joined_worker("w1");
    harness.until_begun(20, "p00", 0);
    coordinator.stop();
    harness.go("p00");
    until_true(20, "the report waits in the spool", || harness.spooled("w1") == 1);
    worker.kill();
    let folder = harness.join("");
    run(&folder, &["cp", "-a", "w1", "before"]);

    let _coordinator = harness.coordinator();
    let worker = harness.joined_worker("w1");
    worker.until_said(20, 1, "report of attempt 1-1 accepted");
    worker.stop();
    assert_eq!(harness.spooled("w1"), 0);
    run(&folder, &["rm", "-r", "w1"]);
    run(&folder, &["cp", "-a", "before", "w1"]);
    assert_eq!(harness.spooled("w1"), 1);
    let worker = harness.worker("w1");
    worker.until_said(40, 2, "report of attempt 1-1 accepted");
    harness.until_spools_empty(&["w1"]);
    let verdicts = harness.ctl().verdicts();
    assert_eq!((verdicts.len(), verdicts[0].build), (1, 1), "it counts once");
    harness.assert_built_once();
}

/// A disk of the coordinator that fails for a while, on which logs should be kept.
#[test]
fn a_log_that_could_not_be_kept_is_sent_again() {
    let harness = Harness::new(HarnessSettings::default());
    let coordinator = harness.coordinator();
    let (parts, away) = (harness.join("c/parts"), harness.join("c/away"));
    std::fs::rename(&parts, &away).unwrap();
    std::fs::write(&parts, "in the way").unwrap();
    let worker = harness.joined_worker("w1");
    harness.go("p00");
    coordinator.until_said(20, 1, "part log-1-1: ");
    until_true(20, "the report waits in the spool", || harness.spooled("w1") == 1);
    std::fs::remove_file(&parts).unwrap();
    std::fs::rename(&away, &parts).unwrap();
    harness.until_reproduced(30);
    harness.until_spools_empty(&["w1"]);
    assert!(!worker.said().contains("connection lost"), "{}", worker.said());
    let log = harness.ctl().call(&["pkgs", "log", "--name", "p00"]);
    assert_eq!(log.out, "building p00\n");
}

/// As after a step back to an older release.
#[test]
fn the_log_of_a_spooled_report_that_cannot_be_read_stays() {
    let harness = Harness::new(HarnessSettings::default());
    let coordinator = harness.coordinator();
    let mut worker = harness.joined_worker("w1");
    harness.until_begun(20, "p00", 0);
    coordinator.stop();
    harness.go("p00");
    until_true(20, "the report waits in the spool", || harness.spooled("w1") == 1);
    worker.kill();
    let entry = harness.join("w1/spool/entries/report-1-1");
    let mut content = std::fs::read(&entry).unwrap();
    // Eight bytes say what it is, the digest of the content and the content follow.
    content.truncate(8);
    let unknown = b"\xff\xffof another release";
    content.extend(Sha256::of(unknown).0);
    content.extend(unknown);
    std::fs::write(&entry, content).unwrap();
    let parts = harness.join("w1/parts");
    std::fs::write(parts.join("log-7-3"), "of an attempt that a kill ended").unwrap();

    let worker = harness.worker("w1");
    worker.until_said(20, 1, "spool: report-1-1 cannot be read");
    worker.until_said(20, 1, "removed 1 logs of attempts that ended without a report");
    assert!(!parts.join("log-7-3").exists());
    assert_eq!(std::fs::read_to_string(parts.join("log-1-1")).unwrap(), "building p00\n");
    assert_eq!(harness.spooled("w1"), 1, "the report stays as well");
}
