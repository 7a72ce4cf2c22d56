use rebuilder_actors::protocol::wire::v1::ctl::{PackageFilter, Request, Response};

use crate::harness::{Harness, HarnessSettings};
use crate::peer::Admin;
use crate::tools::{until_true, utc_ms};

const ROUNDS: usize = 9;

/// Work is pushed: how long from an operator's order until the build's script runs, on an idle
/// node.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_starts_soon_after_it_is_queued() {
    let harness = Harness::new(HarnessSettings::default());
    let _coordinator = harness.coordinator();
    let _worker = harness.joined_worker("w1");
    harness.go("all");
    harness.until_reproduced(20);
    let key = rebuilder_transport::key_file::load(
        &harness.join("c/ctl.key"),
        rebuilder_transport::key_file::Access::Group,
    );
    let admin = Admin::connect(&harness.address, &key.unwrap()).await;
    let mut took_ms = Vec::new();
    for round in 1..=ROUNDS {
        let filter = PackageFilter { name: Some("p00".into()), ..PackageFilter::default() };
        let ordered_at = utc_ms();
        let rows = admin.ask(&Request::QueuePush { filter, priority: 0 }).await;
        assert!(matches!(rows[..], [Response::Done { affected: 1, .. }]), "{rows:?}");
        let run = harness.until_begun(10, "p00", round);
        took_ms.push(run.at_ms - ordered_at);
        let ctl = harness.ctl();
        until_true(10, "the job is decided again", || ctl.ask(&["status"])["jobs"]["decided"] == 1);
    }
    // What the field's manual begins with: try all of one status again.
    let ctl = harness.ctl();
    for (round, status) in [(ROUNDS + 1, "GOOD,FAIL"), (ROUNDS + 2, "reproduced")] {
        let done = ctl.ask(&["queue", "push", "--status", status]);
        assert_eq!(done["affected"], 1, "{done}");
        harness.until_begun(10, "p00", round);
        until_true(10, "the job is decided again", || ctl.ask(&["status"])["jobs"]["decided"] == 1);
    }
    assert_eq!(ctl.call(&["queue", "push", "--status", "BAD", "--name", "*"]).code, 5);
    took_ms.sort_unstable();
    let median = took_ms[ROUNDS / 2];
    eprintln!("from order to running script: median {median} ms of {took_ms:?}");
    assert!(median < 2000, "{took_ms:?}");
}
