use std::path::Path;

use crate::tools::until_true;
use crate::world::{LEASE_SECS, Wishes, World, names};

/// A worker that is gone in the middle of its builds: they finish elsewhere, and nothing of it
/// lives on.
#[test]
fn the_jobs_of_a_killed_worker_finish_elsewhere() {
    let wishes = Wishes { packages: names(2), namespaces: true, ..Wishes::default() };
    let world = World::new(wishes);
    let mut coordinator = world.coordinator();
    let mut victim = world.joined_worker("w1");
    for name in names(2) {
        assert_eq!(world.until_begun(20, &name, 0).worker, "w1");
    }
    let _others = [world.joined_worker("w2"), world.joined_worker("w3")];

    victim.kill();
    // The lease has not run out, so that nobody else builds.
    let script = world.join("script");
    until_true(10, "no script outlives its worker", || !is_run(&script));
    world.go("all");
    world.until_reproduced(LEASE_SECS + 30);

    let ctl = world.ctl();
    let dead = ctl.worker("w1").unwrap()["id"].as_i64().unwrap();
    for verdict in ctl.verdicts() {
        assert_ne!(verdict.worker, dead, "{} finished elsewhere", verdict.name);
        let begun = world.begun(&verdict.name);
        assert_eq!(begun.len(), 2, "{begun:?}");
        assert_ne!(begun[1].worker, "w1");
    }
    let by_dead = world.runs().into_iter().filter(|run| run.is_end && run.worker == "w1");
    assert_eq!(by_dead.collect::<Vec<_>>(), [], "a killed build ends nothing");
    let lost = format!("WorkerLost: silent for {LEASE_SECS} s");
    assert!(coordinator.said().contains(&lost), "a fault of ours, not of the package");
    assert!(coordinator.is_alive());
}

/// True when some process has this file among its arguments.
fn is_run(script: &Path) -> bool {
    let script = script.to_str().unwrap().as_bytes();
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let mut lines = processes.filter_map(|p| std::fs::read(p.path().join("cmdline")).ok());
    lines.any(|line| line.split(|byte| *byte == 0).any(|argument| argument == script))
}
