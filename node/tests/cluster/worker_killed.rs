use crate::harness::{Harness, HarnessSettings, LEASE_SECS, names};
use crate::tools::{is_run, until_true, utc_ms};

/// A worker that is gone in the middle of its builds: they finish elsewhere, and nothing of it
/// lives on.
#[test]
fn the_jobs_of_a_killed_worker_finish_elsewhere() {
    let settings =
        HarnessSettings { packages: names(2), namespaces: true, ..HarnessSettings::default() };
    let harness = Harness::new(settings);
    let mut coordinator = harness.coordinator();
    let mut victim = harness.joined_worker("w1");
    for name in names(2) {
        assert_eq!(harness.until_begun(20, &name, 0).worker, "w1");
    }
    let _others = [harness.joined_worker("w2"), harness.joined_worker("w3")];

    victim.kill();
    // The lease has not run out, so that nobody else builds.
    let script = harness.join("script");
    until_true(10, "no script outlives its worker", || !is_run(&script));
    harness.go("all");
    harness.until_reproduced(LEASE_SECS + 30);

    let ctl = harness.ctl();
    let dead = ctl.worker("w1").unwrap()["id"].as_i64().unwrap();
    for verdict in ctl.verdicts() {
        assert_ne!(verdict.worker, dead, "{} finished elsewhere", verdict.name);
        let begun = harness.begun(&verdict.name);
        assert_eq!(begun.len(), 2, "{begun:?}");
        assert_ne!(begun[1].worker, "w1");
    }
    let by_dead = harness.runs().into_iter().filter(|run| run.is_end && run.worker == "w1");
    assert_eq!(by_dead.collect::<Vec<_>>(), [], "a killed build ends nothing");
    let lost = format!("worker-lost: silent for {LEASE_SECS} s");
    assert!(coordinator.said().contains(&lost), "a fault of ours, not of the package");
    assert!(coordinator.is_alive());
}

/// A worker that was killed closes nothing, and is not kept waiting by its own dead connection.
#[test]
fn a_killed_worker_is_let_in_again_at_once() {
    let harness = Harness::new(HarnessSettings { listed: &["w1"], ..HarnessSettings::default() });
    let mut coordinator = harness.coordinator();
    let mut worker = harness.joined_worker("w1");
    for round in 1..=2 {
        // Its new process builds nothing, so that the job is lost at once, as a fault, and begins
        // again.
        harness.until_begun(20, "p00", round - 1);
        worker.kill();
        let began = utc_ms();
        worker = harness.worker("w1");
        worker.until_said(20, round + 1, "connected to");
        let took = utc_ms() - began;
        assert!(took < 3000, "let in after {took} ms");
    }
    assert!(!worker.said().contains("another process"), "{}", worker.said());
    coordinator.until_said(10, 2, "worker-lost: the worker was restarted");
    assert!(coordinator.is_alive());
}

/// A machine that was copied with its key, behind the same address: whoever is there answers.
#[test]
fn a_copied_machine_is_refused_while_the_first_one_lives() {
    let harness = Harness::new(HarnessSettings { listed: &["w1"], ..HarnessSettings::default() });
    let coordinator = harness.coordinator();
    let mut first = harness.joined_worker("w1");
    harness.until_begun(20, "p00", 0);
    std::fs::create_dir(harness.join("copy")).unwrap();
    std::fs::copy(harness.join("w1/worker.key"), harness.join("copy/worker.key")).unwrap();
    let pin = format!("coordinator_key = \"{}\"\n", harness.coordinator_key().public_key());
    harness.write_worker("copy", &pin);
    let mut copy = harness.worker("copy");
    copy.until_said(20, 1, "another process with this key is connected");
    coordinator.until_said(20, 2, "another process with this key is connected");
    assert!(copy.is_alive(), "the first one may end");
    assert!(!copy.said().contains("connected to"), "{}", copy.said());
    assert!(first.is_alive() && !first.said().contains("connection lost"), "{}", first.said());
    harness.go("all");
    harness.until_reproduced(20);
    harness.assert_built_once();
    first.kill();
    copy.until_said(20, 1, "connected to");
}
