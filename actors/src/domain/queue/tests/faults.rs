use core::time::Duration;

use super::house::{GIB, HOUR, House, assignments, fault, good, group, groups, offer};
use crate::domain::queue::{Event, SessionId};
use crate::protocol::stored::v1::Place;
use crate::protocol::{Assignment, FaultKind, Stage};

fn one() -> (House, SessionId, Assignment) {
    let mut house = House::new();
    house.sync("p", "1", groups(&["a"]));
    let (session, granted) = house.ready(1);
    (house, session, granted[0].clone())
}

/// What is granted when time has passed, at once or at the worker's next status.
fn later(house: &mut House, session: SessionId, seen: u64, by: Duration) -> Vec<Assignment> {
    let granted = assignments(&house.advance(by));
    if granted.is_empty() { tell_idle(house, session, seen) } else { granted }
}

fn tell_idle(house: &mut House, session: SessionId, seen: u64) -> Vec<Assignment> {
    assignments(&house.told(session, seen, &[], &[]))
}

#[test]
fn faults_of_a_moment_wait_longer_each_time_and_park_after_the_limit() {
    let (mut house, session, mut assignment) = one();
    let job = assignment.attempt.job;
    let mut delays = Vec::new();
    for n in 1..=8 {
        house.report(session, 1, &assignment, fault(FaultKind::FetchFailed));
        if n == 8 {
            break;
        }
        let delay = house.delay(job);
        delays.push(delay.as_secs());
        assignment = later(&mut house, session, n, delay).remove(0);
    }
    assert_eq!(delays, [15, 30, 60, 120, 240, 480, 960]);
    let Place::Parked { fault: why, until, times, .. } = house.place(job) else { panic!() };
    assert_eq!(why.kind, FaultKind::FetchFailed);
    assert_eq!((*until, *times), (Some(house.now.utc.plus(24 * HOUR)), 1), "a day at first");
    assert_eq!(house.state(job).retries, 0, "a fault is never a verdict");
    // After a day it is tried once, and parked again.
    let assignment = later(&mut house, session, 8, 24 * HOUR).remove(0);
    house.report(session, 1, &assignment, fault(FaultKind::FetchFailed));
    let Place::Parked { until, .. } = house.place(job) else { panic!() };
    assert_eq!(*until, Some(house.now.utc.plus(48 * HOUR)));
    // A verdict forgets all of it.
    let assignment = assignments(&house.push("a")).remove(0);
    assert_eq!(house.state(job).faults, 0);
    house.report(session, 1, &assignment, good(&assignment));
    assert_eq!(house.state(job).faults, 0);
}

#[test]
fn another_worker_is_preferred_after_a_fault() {
    let (mut house, one, assignment) = one();
    let (two, _) = house.ready(2);
    house.report(one, 1, &assignment, fault(FaultKind::WorkerFailed));
    assert_eq!(later(&mut house, two, 0, Duration::from_secs(15)).len(), 1);
    let held: Vec<usize> = house.queue.workers.values().map(|w| w.held.len()).collect();
    assert_eq!(held, [0, 1]);
}

#[test]
fn a_single_worker_is_tried_again() {
    let (mut house, session, assignment) = one();
    house.report(session, 1, &assignment, fault(FaultKind::OutOfMemory));
    let granted = later(&mut house, session, 1, Duration::from_secs(15));
    assert_eq!(granted.len(), 1, "nobody has more: it may");
}

/// Found by reading: each of the two workers was kept from the job for the other's sake.
#[test]
fn two_workers_never_wait_for_each_other() {
    let (mut house, one, assignment) = one();
    let (two, _) = house.ready(2);
    house.told_with(two, 0, &[], &[], GIB);
    house.report(one, 1, &assignment, fault(FaultKind::OutOfMemory));
    let granted = later(&mut house, one, 1, Duration::from_secs(15));
    assert_eq!(granted.len(), 1);
}

#[test]
fn repeated_lack_of_memory_parks_until_a_larger_worker_comes() {
    let (mut house, session, assignment) = one();
    let job = assignment.attempt.job;
    house.report(session, 1, &assignment, fault(FaultKind::WorkerFailed));
    let assignment = later(&mut house, session, 1, Duration::from_secs(15)).remove(0);
    house.report(session, 1, &assignment, fault(FaultKind::OutOfMemory));
    assert!(matches!(house.place(job), Place::Queued { .. }), "the first of its kind");
    let assignment = later(&mut house, session, 2, Duration::from_secs(30)).remove(0);
    house.report(session, 1, &assignment, fault(FaultKind::OutOfMemory));
    assert!(matches!(house.place(job), Place::Parked { .. }));
    let effects = house.told_with(session, 3, &[], &[], 4 * GIB + GIB / 4);
    assert_eq!(assignments(&effects), [], "what is free wavers");
    let (large, _) = house.join_as(2, 1, offer(1));
    let effects = house.told_with(large, 0, &[], &[], 16 * GIB);
    assert_eq!(assignments(&effects).len(), 1);
    assert_eq!(house.state(job).grants.last().unwrap().worker.0, 2);
}

/// Found by the simulation: the worker with the smallest number tried for ever.
#[test]
fn where_nobody_has_more_memory_the_largest_tries_again() {
    let mut house = House::new();
    let small = house.join(2);
    house.sync("p", "1", groups(&["a"]));
    let (large, granted) = house.ready(1);
    let assignment = granted[0].clone();
    house.told_with(large, 1, &[assignment.attempt], &[], 64 * GIB);
    house.report(large, 1, &assignment, fault(FaultKind::OutOfMemory));
    house.advance(Duration::from_secs(10));
    house.told_with(small, 0, &[], &[], GIB);
    house.told_with(large, 1, &[], &[], 60 * GIB);
    let granted = assignments(&house.advance(Duration::from_secs(5)));
    assert_eq!(granted.len(), 1);
    let grants = &house.state(assignment.attempt.job).grants;
    assert_eq!(grants.iter().map(|g| g.worker.0).collect::<Vec<_>>(), [2, 2]);
}

#[test]
fn absurd_memory_does_not_strand_a_job() {
    let (mut house, session, assignment) = one();
    house.told_with(session, 1, &[assignment.attempt], &[], u64::MAX);
    house.report(session, 1, &assignment, fault(FaultKind::OutOfMemory));
    assert_eq!(later(&mut house, session, 1, Duration::from_secs(15)).len(), 1);
}

#[test]
fn unavailable_inputs_park_and_wake() {
    let park = || {
        let (mut house, session, assignment) = one();
        house.report(session, 1, &assignment, fault(FaultKind::InputsUnavailable));
        assert!(matches!(house.place(assignment.attempt.job), Place::Parked { .. }));
        (house, session)
    };
    let (mut house, session) = park();
    let effects = house.sync("p", "1", groups(&["a"]));
    assert_eq!(assignments(&effects), [], "an unchanged index wakes nothing");
    let effects = house.sync("other", "2", groups(&["z"]));
    assert_eq!(super::house::sources(&assignments(&effects)), ["z"], "nor does another's");
    house.told(session, 2, &[], &[]);
    let (mut house, _) = park();
    let effects = house.sync("p", "2", groups(&["a"]));
    assert_eq!(assignments(&effects).len(), 1, "a changed index");
    let (mut house, _) = park();
    assert_eq!(assignments(&house.push("a")).len(), 1, "an operator");
    let (mut house, session) = park();
    assert_eq!(later(&mut house, session, 1, 24 * HOUR).len(), 1, "a day");
}

#[test]
fn running_out_of_time_parks() {
    let (mut house, session, assignment) = one();
    house.report(session, 1, &assignment, fault(FaultKind::TimedOut(Stage::Build)));
    assert!(matches!(house.place(assignment.attempt.job), Place::Parked { .. }));
}

#[test]
fn a_worker_that_cancels_does_not_get_it_back_in_a_loop() {
    let (mut house, session, assignment) = one();
    let (_, effects) = house.report(session, 1, &assignment, fault(FaultKind::Cancelled));
    assert_eq!(assignments(&effects), []);
    assert_eq!(house.delay(assignment.attempt.job), Duration::from_secs(15));
}

#[test]
fn a_parked_job_that_nobody_wants_stays_out_and_comes_back_with_interest() {
    let (mut house, session, assignment) = one();
    let job = assignment.attempt.job;
    house.report(session, 1, &assignment, fault(FaultKind::InputsUnavailable));
    house.sync("p", "2", vec![]);
    house.advance(48 * HOUR);
    assert_eq!(tell_idle(&mut house, session, 1), []);
    assert_eq!(house.queue.next_deadline(house.now), None);
    let effects = house.sync("p", "3", vec![group("a", &["a.deb"])]);
    assert_eq!(assignments(&effects)[0].attempt.job, job);
}

/// Each attempt would cost two restarts, and more than five in a minute end the process.
#[test]
fn a_job_whose_report_cannot_be_read_is_parked_until_somebody_looked() {
    let (mut house, session, assignment) = one();
    let (stranger, _) = house.ready(2);
    let (job, attempt) = (assignment.attempt.job, assignment.attempt);
    house.handle(Event::SetAside(stranger, attempt));
    assert!(matches!(house.place(job), Place::Leased { .. }), "not its own attempt");
    house.handle(Event::SetAside(session, attempt));
    let Place::Parked { fault: why, .. } = house.place(job) else { panic!() };
    assert_eq!(why.kind, FaultKind::Cancelled);
    let parked = house.place(job).clone();
    // The same report again, after the answer was lost.
    house.handle(Event::SetAside(session, attempt));
    assert_eq!(*house.place(job), parked);
    assert_eq!(tell_idle(&mut house, session, 1), [], "nobody tries it");
    assert_eq!(assignments(&house.push("a"))[0].attempt.epoch.0, 2, "until it is pushed");
}
