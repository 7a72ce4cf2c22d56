use crate::tools::until_true;
use crate::world::{LEASE_SECS, Wishes, World, names};

/// Cut for less than the lease: nobody notices but in the log.
#[test]
fn a_short_cut_loses_nothing_and_builds_nothing_twice() {
    let wishes = Wishes { packages: names(6), namespaces: true, ..Wishes::default() };
    let world = World::new(wishes);
    let coordinator = world.coordinator();
    let _workers = ["w1", "w2", "w3"].map(|name| world.joined_worker(name));
    for name in names(6) {
        world.until_begun(20, &name, 0);
    }
    let of_w1: Vec<String> =
        world.runs().into_iter().filter(|r| r.worker == "w1").map(|r| r.name).collect();
    assert_eq!(of_w1.len(), 2, "each worker has its two");

    let network = world.namespaces.as_ref().unwrap();
    network.cut("w1");
    // One build of the worker that is cut off ends meanwhile, and one goes on.
    world.go(&of_w1[0]);
    until_true(20, "the report waits in the spool", || world.spooled("w1") == 1);
    std::thread::sleep(core::time::Duration::from_secs(LEASE_SECS / 3));
    network.mend("w1");
    world.go("all");
    world.until_reproduced(60);
    world.until_spools_empty(&["w1", "w2", "w3"]);
    world.assert_built_once();
    let said = coordinator.said();
    assert!(!said.contains("WorkerLost"), "no lease was lost");
}

/// Cut for longer: the job is built a second time, at most; both reports are kept.
#[test]
fn a_long_cut_builds_at_most_twice_and_keeps_both_reports() {
    let wishes = Wishes { packages: names(1), namespaces: true, ..Wishes::default() };
    let world = World::new(wishes);
    let _coordinator = world.coordinator();
    let first = world.joined_worker("w1");
    assert_eq!(world.until_begun(20, "p00", 0).worker, "w1");
    let _second = world.joined_worker("w2");

    let network = world.namespaces.as_ref().unwrap();
    network.cut("w1");
    let again = world.until_begun(LEASE_SECS + 20, "p00", 1);
    assert_eq!(again.worker, "w2", "the lease is lost, another worker builds");
    // Both finish while they know nothing of each other.
    world.go("p00@w1");
    until_true(20, "the first report waits in the spool", || world.spooled("w1") == 1);
    world.go("p00@w2");
    world.until_reproduced(20);
    let ctl = world.ctl();
    let second = ctl.verdicts();
    assert_eq!(second.len(), 1);
    assert_eq!(second[0].build, 1);

    network.mend("w1");
    world.until_spools_empty(&["w1"]);
    first.until_said(10, 1, "report of attempt 1-1 accepted");
    let both = ctl.verdicts();
    assert_eq!(both.len(), 1);
    assert_eq!(both[0].build, 2, "a late verdict has a build of its own");
    assert_ne!(both[0].worker, second[0].worker);
    assert_eq!(both[0].status, "reproduced");
    assert_eq!(world.begun("p00").len(), 2, "no third build");
    let status = ctl.ask(&["status"]);
    assert_eq!(status["jobs"]["decided"], 1, "{status}");
    assert_eq!(ctl.running(), []);
}
