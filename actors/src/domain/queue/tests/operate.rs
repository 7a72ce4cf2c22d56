use super::harness::*;
use crate::domain::queue::Order;
use crate::protocol::InputId;
use crate::protocol::stored::StoredPlace;

fn push(jobs: &[i32]) -> Order {
    Order::PushJobs { jobs: jobs.iter().copied().map(InputId).collect(), priority: 5 }
}

fn drop(jobs: &[i32]) -> Order {
    Order::DropJobs { jobs: jobs.iter().copied().map(InputId).collect() }
}

#[test]
fn a_push_of_a_running_job_says_where_it_runs_and_is_no_failure() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a", "b"]));
    let (_, granted) = harness.ready(1);
    let running = granted[0].attempt;
    let name = &granted[0].key.source;
    let (affected, text) = harness.ordered(push(&[running.job.0]));
    assert_eq!(affected, 1);
    let expected = format!("1 job runs already: {name} 1 (amd64), attempt {running} on builder");
    assert_eq!(text, expected);
    let (affected, text) = harness.ordered(push(&[1, 2]));
    assert_eq!(affected, 2);
    assert_eq!(text, format!("1 job queued with priority 5; {expected}"));
    assert!(matches!(harness.place(running.job), StoredPlace::Leased { .. }), "it goes on");
}

#[test]
fn what_is_not_wanted_any_more_is_passed_over() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a", "b"]));
    harness.sync("p", "2", groups(&["b"]));
    assert_eq!(harness.ordered(push(&[1, 77])), (0, "0 jobs queued with priority 5".into()));
    assert_eq!(harness.ordered(drop(&[1])).0, 0);
    assert_eq!(harness.ordered(push(&[1, 2])).0, 1);
}

#[test]
fn a_drop_says_what_it_left() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a", "b", "c"]));
    assert_eq!(harness.ordered(drop(&[1])), (1, "1 job dropped until the version changes".into()));
    let text = "1 job dropped until the version changes; 1 job dropped before";
    assert_eq!(harness.ordered(drop(&[1, 2])), (2, text.into()));
    let (session, granted) = harness.ready(1);
    harness.report(session, 1, &granted[0], good(&granted[0]));
    let text = "0 jobs dropped until the version changes; 1 job is decided and not in the queue";
    assert_eq!(harness.ordered(drop(&[granted[0].attempt.job.0])), (0, text.into()));
    assert_eq!(harness.ordered(push(&[1])), (1, "1 job queued with priority 5".into()));
    assert_ne!(*harness.place(InputId(1)), StoredPlace::Dropped, "a push takes it back");
}
