use std::collections::BTreeSet;

use super::{Plan, run};

/// No trouble at all.
fn quiet(seed: u64) -> Plan {
    Plan { workers: Some(2), faults: Some(BTreeSet::new()), minutes: 10, ..Plan::of(seed) }
}

#[test]
fn two_workers_without_trouble_do_all_work() {
    let outcome = run(&quiet(1));
    assert_eq!(outcome.failure, None);
    assert!(outcome.reports > 5, "{outcome:?}");
}

#[test]
fn the_same_seed_has_the_same_history() {
    let (one, two) = (run(&Plan::of(3)), run(&Plan::of(3)));
    assert_eq!(one, two);
    assert_ne!(one.digest, run(&Plan::of(4)).digest);
}
