use crate::harness::{Harness, HarnessSettings, LEASE_SECS, names};
use crate::tools::until_true;

/// Cut for less than the lease: nobody notices but in the log.
#[test]
fn a_short_cut_loses_nothing_and_builds_nothing_twice() {
    let settings =
        HarnessSettings { packages: names(6), namespaces: true, ..HarnessSettings::default() };
    let harness = Harness::new(settings);
    let coordinator = harness.coordinator();
    let _workers = ["w1", "w2", "w3"].map(|name| harness.joined_worker(name));
    for name in names(6) {
        harness.until_begun(20, &name, 0);
    }
    let of_w1: Vec<String> =
        harness.runs().into_iter().filter(|r| r.worker == "w1").map(|r| r.name).collect();
    assert_eq!(of_w1.len(), 2, "each worker has its two");

    let network = harness.namespaces.as_ref().unwrap();
    network.cut("w1");
    // One build of the worker that is cut off ends meanwhile, and one goes on.
    harness.go(&of_w1[0]);
    until_true(20, "the report waits in the spool", || harness.spooled("w1") == 1);
    std::thread::sleep(core::time::Duration::from_secs(LEASE_SECS / 3));
    network.mend("w1");
    harness.go("all");
    harness.until_reproduced(60);
    harness.until_spools_empty(&["w1", "w2", "w3"]);
    harness.assert_built_once();
    let said = coordinator.said();
    assert!(!said.contains("worker-lost"), "no lease was lost");
}

/// Cut for longer: the job is built a second time, at most; both reports are kept.
#[test]
fn a_long_cut_builds_at_most_twice_and_keeps_both_reports() {
    let settings =
        HarnessSettings { packages: names(1), namespaces: true, ..HarnessSettings::default() };
    let harness = Harness::new(settings);
    let _coordinator = harness.coordinator();
    let first = harness.joined_worker("w1");
    assert_eq!(harness.until_begun(20, "p00", 0).worker, "w1");
    let _second = harness.joined_worker("w2");

    let network = harness.namespaces.as_ref().unwrap();
    network.cut("w1");
    let again = harness.until_begun(LEASE_SECS + 20, "p00", 1);
    assert_eq!(again.worker, "w2", "the lease is lost, another worker builds");
    // Both finish while they know nothing of each other.
    harness.go("p00@w1");
    until_true(20, "the first report waits in the spool", || harness.spooled("w1") == 1);
    harness.go("p00@w2");
    harness.until_reproduced(20);
    let ctl = harness.ctl();
    let second = ctl.verdicts();
    assert_eq!(second.len(), 1);
    assert_eq!(second[0].build, 1);

    network.mend("w1");
    harness.until_spools_empty(&["w1"]);
    first.until_said(10, 1, "report of attempt 1-1 accepted");
    let both = ctl.verdicts();
    assert_eq!(both.len(), 1);
    assert_eq!(both[0].build, 2, "a late verdict has a build of its own");
    assert_ne!(both[0].worker, second[0].worker);
    assert_eq!(both[0].status, "reproduced");
    assert_eq!(harness.begun("p00").len(), 2, "no third build");
    let status = ctl.ask(&["status"]);
    assert_eq!(status["jobs"]["decided"], 1, "{status}");
    assert_eq!(ctl.running(), []);
}
