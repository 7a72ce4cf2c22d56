use crate::level::run;
use crate::plan::{Level, Outcome, Plan};

/// No trouble at all.
fn quiet(seed: u64) -> Plan {
    let plan = Plan::of(Level::Cluster, seed);
    Plan { workers: Some(2), faults: Some(Vec::new()), length: Some(10), ..plan }
}

fn outcome(plan: &Plan) -> Outcome {
    run(plan).expect("a possible plan")
}

#[test]
fn two_workers_without_trouble_do_all_work() {
    let outcome = outcome(&quiet(1));
    assert_eq!(outcome.failure, None);
    assert!(outcome.builds > 5, "{outcome:?}");
}

#[test]
fn the_same_seed_has_the_same_history() {
    let plan = |seed| Plan { digest: true, ..Plan::of(Level::Cluster, seed) };
    let (one, two) = (outcome(&plan(3)), outcome(&plan(3)));
    assert_eq!(one, two);
    assert_ne!(one.digest, outcome(&plan(4)).digest);
}
