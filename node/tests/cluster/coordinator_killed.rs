use std::collections::{BTreeMap, BTreeSet};

use crate::ctl::{Ctl, Verdict};
use crate::harness::{Harness, HarnessSettings, names};
use crate::node::Node;
use crate::tools::until_true;

const WORKERS: [&str; 3] = ["w1", "w2", "w3"];
const PACKAGES: usize = 48;

/// The coordinator is gone, twice, while reports stream in. Workers build on; what was acknowledged
/// is there; nothing is there twice or built twice.
#[test]
fn a_coordinator_killed_under_load_loses_nothing() {
    let settings = HarnessSettings {
        packages: names(PACKAGES),
        namespaces: true,
        ..HarnessSettings::default()
    };
    let harness = Harness::new(settings);
    for (n, name) in names(PACKAGES).iter().enumerate() {
        harness.hook(name, &format!("sleep 0.{}\n", 3 + n % 7));
    }
    let mut coordinator = harness.coordinator();
    let workers = WORKERS.map(|name| harness.joined_worker(name));
    harness.go("all");
    let ctl = harness.ctl();
    for reports in [5, 15] {
        let seen = until_reports(&ctl, reports);
        coordinator.kill();
        let acknowledged = acknowledged(&workers);
        // They finish what they build, and keep it.
        until_true(20, "finished reports wait in spools", || {
            WORKERS.iter().map(|w| harness.spooled(w)).sum::<usize>() >= WORKERS.len()
        });
        coordinator = harness.coordinator();
        let after = ctl.verdicts();
        for verdict in &seen {
            assert!(after.contains(verdict), "{verdict:?} was shown before the kill");
        }
        let jobs: BTreeSet<i64> = after.iter().map(|v| v.job).collect();
        let lost: Vec<_> = acknowledged.keys().filter(|job| !jobs.contains(job)).collect();
        assert!(lost.is_empty(), "acknowledged, and not there any more: {lost:?}");
    }
    harness.until_reproduced(60);
    harness.until_spools_empty(&WORKERS);
    harness.assert_built_once();

    let verdicts = ctl.verdicts();
    let builds: BTreeSet<i64> = verdicts.iter().map(|v| v.build).collect();
    let wanted: BTreeSet<i64> = (1..=i64::try_from(PACKAGES).unwrap()).collect();
    assert_eq!(builds, wanted, "each report is there once, and no number is used twice");
    let answers = acknowledged(&workers);
    assert_eq!(answers.len(), PACKAGES);
    assert!(answers.values().all(|count| *count == 1), "one answer each: {answers:?}");
    assert!(ctl.running().is_empty());
}

/// Waits until so many packages have a verdict.
fn until_reports(ctl: &Ctl, count: usize) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    until_true(40, &format!("{count} packages have a verdict"), || {
        verdicts = ctl.verdicts();
        verdicts.len() >= count
    });
    assert!(verdicts.len() < PACKAGES, "the load is over before the kill");
    verdicts
}

/// Jobs of the reports that workers say were accepted, with how often they say it.
fn acknowledged(workers: &[Node]) -> BTreeMap<i64, usize> {
    let mut jobs = BTreeMap::new();
    for said in workers.iter().map(Node::said) {
        for line in said.lines() {
            let Some((_, rest)) = line.split_once("report of attempt ") else { continue };
            let Some((attempt, answer)) = rest.split_once(' ') else { continue };
            if answer != "accepted: 1 reproduced" {
                continue;
            }
            let (job, _) = attempt.split_once('-').unwrap();
            *jobs.entry(job.parse().unwrap()).or_insert(0) += 1;
        }
    }
    jobs
}
