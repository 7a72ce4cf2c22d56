use core::time::Duration;

use super::harness::{GIB, HOUR, Harness, assignments, fault, good, group, groups, offer};
use crate::domain::queue::{Event, SessionId};
use crate::protocol::stored::StoredPlace;
use crate::protocol::{Assignment, FaultKind, Stage};

fn one() -> (Harness, SessionId, Assignment) {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a"]));
    let (session, granted) = harness.ready(1);
    (harness, session, granted[0].clone())
}

/// What is granted when time has passed, at once or at the worker's next status.
fn later(harness: &mut Harness, session: SessionId, seen: u64, by: Duration) -> Vec<Assignment> {
    let granted = assignments(&harness.advance(by));
    if granted.is_empty() { tell_idle(harness, session, seen) } else { granted }
}

fn tell_idle(harness: &mut Harness, session: SessionId, seen: u64) -> Vec<Assignment> {
    assignments(&harness.status(session, seen, &[], &[]))
}

#[test]
fn faults_of_a_moment_wait_longer_each_time_and_park_after_the_limit() {
    let (mut harness, session, mut assignment) = one();
    let job = assignment.attempt.job;
    let mut delays = Vec::new();
    for n in 1..=8 {
        harness.report(session, 1, &assignment, fault(FaultKind::FetchFailed));
        if n == 8 {
            break;
        }
        let delay = harness.delay(job);
        delays.push(delay.as_secs());
        assignment = later(&mut harness, session, n, delay).remove(0);
    }
    assert_eq!(delays, [15, 30, 60, 120, 240, 480, 960]);
    let StoredPlace::Parked { fault: why, until, times, .. } = harness.place(job) else { panic!() };
    assert_eq!(why.kind, FaultKind::FetchFailed);
    assert_eq!((*until, *times), (Some(harness.now.utc.plus(24 * HOUR)), 1), "a day at first");
    assert_eq!(harness.state(job).retries, 0, "a fault is never a verdict");
    // After a day it is tried once, and parked again.
    let assignment = later(&mut harness, session, 8, 24 * HOUR).remove(0);
    harness.report(session, 1, &assignment, fault(FaultKind::FetchFailed));
    let StoredPlace::Parked { until, .. } = harness.place(job) else { panic!() };
    assert_eq!(*until, Some(harness.now.utc.plus(48 * HOUR)));
    // A verdict forgets all of it.
    let assignment = assignments(&harness.push("a")).remove(0);
    assert_eq!(harness.state(job).faults, 0);
    harness.report(session, 1, &assignment, good(&assignment));
    assert_eq!(harness.state(job).faults, 0);
}

#[test]
fn another_worker_is_preferred_after_a_fault() {
    let (mut harness, one, assignment) = one();
    let (two, _) = harness.ready(2);
    harness.report(one, 1, &assignment, fault(FaultKind::WorkerFailed));
    assert_eq!(later(&mut harness, two, 0, Duration::from_secs(15)).len(), 1);
    let held: Vec<usize> = harness.queue.workers.values().map(|w| w.held.len()).collect();
    assert_eq!(held, [0, 1]);
}

#[test]
fn a_single_worker_is_tried_again() {
    let (mut harness, session, assignment) = one();
    harness.report(session, 1, &assignment, fault(FaultKind::OutOfMemory));
    let granted = later(&mut harness, session, 1, Duration::from_secs(15));
    assert_eq!(granted.len(), 1, "nobody has more: it may");
}

/// Found by reading: each of the two workers was kept from the job for the other's sake.
#[test]
fn two_workers_never_wait_for_each_other() {
    let (mut harness, one, assignment) = one();
    let (two, _) = harness.ready(2);
    harness.status_with(two, 0, &[], &[], GIB);
    harness.report(one, 1, &assignment, fault(FaultKind::OutOfMemory));
    let granted = later(&mut harness, one, 1, Duration::from_secs(15));
    assert_eq!(granted.len(), 1);
}

#[test]
fn repeated_lack_of_memory_parks_until_a_larger_worker_comes() {
    let (mut harness, session, assignment) = one();
    let job = assignment.attempt.job;
    harness.report(session, 1, &assignment, fault(FaultKind::WorkerFailed));
    let assignment = later(&mut harness, session, 1, Duration::from_secs(15)).remove(0);
    harness.report(session, 1, &assignment, fault(FaultKind::OutOfMemory));
    assert!(matches!(harness.place(job), StoredPlace::Queued { .. }), "the first of its kind");
    let assignment = later(&mut harness, session, 2, Duration::from_secs(30)).remove(0);
    harness.report(session, 1, &assignment, fault(FaultKind::OutOfMemory));
    assert!(matches!(harness.place(job), StoredPlace::Parked { .. }));
    let effects = harness.status_with(session, 3, &[], &[], 4 * GIB + GIB / 4);
    assert_eq!(assignments(&effects), [], "what is free wavers");
    let (large, _) = harness.join_as(2, 1, offer(1));
    let effects = harness.status_with(large, 0, &[], &[], 16 * GIB);
    assert_eq!(assignments(&effects).len(), 1);
    assert_eq!(harness.state(job).grants.last().unwrap().worker.0, 2);
}

/// Found by the simulation: the worker with the smallest number tried for ever.
#[test]
fn where_nobody_has_more_memory_the_largest_tries_again() {
    let mut harness = Harness::new();
    let small = harness.join(2);
    harness.sync("p", "1", groups(&["a"]));
    let (large, granted) = harness.ready(1);
    let assignment = granted[0].clone();
    harness.status_with(large, 1, &[assignment.attempt], &[], 64 * GIB);
    harness.report(large, 1, &assignment, fault(FaultKind::OutOfMemory));
    harness.advance(Duration::from_secs(10));
    harness.status_with(small, 0, &[], &[], GIB);
    harness.status_with(large, 1, &[], &[], 60 * GIB);
    let granted = assignments(&harness.advance(Duration::from_secs(5)));
    assert_eq!(granted.len(), 1);
    let grants = &harness.state(assignment.attempt.job).grants;
    assert_eq!(grants.iter().map(|g| g.worker.0).collect::<Vec<_>>(), [2, 2]);
}

#[test]
fn absurd_memory_does_not_strand_a_job() {
    let (mut harness, session, assignment) = one();
    harness.status_with(session, 1, &[assignment.attempt], &[], u64::MAX);
    harness.report(session, 1, &assignment, fault(FaultKind::OutOfMemory));
    assert_eq!(later(&mut harness, session, 1, Duration::from_secs(15)).len(), 1);
}

#[test]
fn unavailable_inputs_park_and_wake() {
    let park = || {
        let (mut harness, session, assignment) = one();
        harness.report(session, 1, &assignment, fault(FaultKind::InputsUnavailable));
        assert!(matches!(harness.place(assignment.attempt.job), StoredPlace::Parked { .. }));
        (harness, session)
    };
    let (mut harness, session) = park();
    let effects = harness.sync("p", "1", groups(&["a"]));
    assert_eq!(assignments(&effects), [], "an unchanged index wakes nothing");
    let effects = harness.sync("other", "2", groups(&["z"]));
    assert_eq!(super::harness::sources(&assignments(&effects)), ["z"], "nor does another's");
    harness.status(session, 2, &[], &[]);
    let (mut harness, _) = park();
    let effects = harness.sync("p", "2", groups(&["a"]));
    assert_eq!(assignments(&effects).len(), 1, "a changed index");
    let (mut harness, _) = park();
    assert_eq!(assignments(&harness.push("a")).len(), 1, "an operator");
    let (mut harness, session) = park();
    assert_eq!(later(&mut harness, session, 1, 24 * HOUR).len(), 1, "a day");
}

#[test]
fn running_out_of_time_parks() {
    let (mut harness, session, assignment) = one();
    harness.report(session, 1, &assignment, fault(FaultKind::TimedOut(Stage::Build)));
    assert!(matches!(harness.place(assignment.attempt.job), StoredPlace::Parked { .. }));
}

#[test]
fn a_worker_that_cancels_does_not_get_it_back_in_a_loop() {
    let (mut harness, session, assignment) = one();
    let (_, effects) = harness.report(session, 1, &assignment, fault(FaultKind::Cancelled));
    assert_eq!(assignments(&effects), []);
    assert_eq!(harness.delay(assignment.attempt.job), Duration::from_secs(15));
}

#[test]
fn a_parked_job_that_nobody_wants_stays_out_and_comes_back_with_interest() {
    let (mut harness, session, assignment) = one();
    let job = assignment.attempt.job;
    harness.report(session, 1, &assignment, fault(FaultKind::InputsUnavailable));
    harness.sync("p", "2", vec![]);
    harness.advance(48 * HOUR);
    assert_eq!(tell_idle(&mut harness, session, 1), []);
    assert_eq!(harness.queue.next_deadline(harness.now), None);
    let effects = harness.sync("p", "3", vec![group("a", &["a.deb"])]);
    assert_eq!(assignments(&effects)[0].attempt.job, job);
}

/// Each attempt would cost two restarts, and more than five in a minute end the process.
#[test]
fn a_job_whose_report_cannot_be_read_is_parked_until_somebody_looked() {
    let (mut harness, session, assignment) = one();
    let (stranger, _) = harness.ready(2);
    let (job, attempt) = (assignment.attempt.job, assignment.attempt);
    harness.handle(Event::SetAside(stranger, attempt));
    assert!(matches!(harness.place(job), StoredPlace::Leased { .. }), "not its own attempt");
    harness.handle(Event::SetAside(session, attempt));
    let StoredPlace::Parked { fault: why, .. } = harness.place(job) else { panic!() };
    assert_eq!(why.kind, FaultKind::Cancelled);
    let parked = harness.place(job).clone();
    // The same report again, after the answer was lost.
    harness.handle(Event::SetAside(session, attempt));
    assert_eq!(*harness.place(job), parked);
    assert_eq!(tell_idle(&mut harness, session, 1), [], "nobody tries it");
    assert_eq!(assignments(&harness.push("a"))[0].attempt.epoch.0, 2, "until it is pushed");
}
