use crate::tools::until_true;
use crate::world::{Wishes, World};

/// A report that is finished while the coordinator is down outlives a kill of its worker.
#[test]
fn a_spooled_report_outlives_its_worker_and_is_delivered_later() {
    let world = World::new(Wishes::default());
    let coordinator = world.coordinator();
    let mut worker = world.joined_worker("w1");
    world.until_begun(20, "p00", 0);
    coordinator.stop();
    world.go("p00");
    until_true(20, "the report waits in the spool", || world.spooled("w1") == 1);
    worker.kill();
    let worker = world.worker("w1");
    worker.until_said(20, 1, "1 reports wait in the spool");

    let _coordinator = world.coordinator();
    world.until_reproduced(60);
    world.until_spools_empty(&["w1"]);
    worker.until_said(10, 1, "report of attempt 1-1 accepted");
    world.assert_built_once();
    let log = world.ctl().call(&["pkgs", "log", "--name", "p00"]);
    assert_eq!((log.code, log.out.as_str()), (0, "building p00\n"), "its log came along");
}
