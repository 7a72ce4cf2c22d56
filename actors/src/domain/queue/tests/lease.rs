use core::time::Duration;

use super::harness::{
    HOUR, Harness, assignments, bad, cancelled, failed, fault, good, group, groups, offer,
};
use crate::domain::queue::{Effects, Event, Send, Settings};
use crate::protocol::stored::StoredPlace;
use crate::protocol::wire::v1::coordinator::Answer;
use crate::protocol::{AttemptId, Epoch, FaultKind, InputId};

fn waiting(place: &StoredPlace) -> crate::protocol::stored::Waiting {
    match place {
        StoredPlace::Queued { waiting, .. }
        | StoredPlace::Leased { waiting, .. }
        | StoredPlace::Parked { waiting, .. } => *waiting,
        StoredPlace::Decided | StoredPlace::Dropped => panic!("{place:?} has no waiting"),
    }
}

#[test]
fn granted_told_reported_decided() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a"]));
    let (session, granted) = harness.ready(1);
    let [one] = &granted[..] else { panic!("{granted:?}") };
    assert_eq!(one.attempt.epoch, Epoch(1));
    let effects = harness.status(session, 1, &[one.attempt], &[]);
    assert!(effects.batch.is_empty(), "heartbeats are never written");
    assert!(effects.sends.is_empty() && effects.notices.is_empty());
    harness.status(session, 1, &[], &[one.attempt]);
    assert!(matches!(harness.place(one.attempt.job), StoredPlace::Leased { .. }));
    let (answer, _) = harness.report(session, 1, one, good(one));
    assert_eq!(answer, Answer::Accepted);
    assert_eq!(*harness.place(one.attempt.job), StoredPlace::Decided);
    assert_eq!(harness.queue.next_deadline(harness.now), None);
}

#[test]
fn only_a_status_that_saw_the_grant_ends_it() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a"]));
    let (session, granted) = harness.ready(1);
    let job = granted[0].attempt.job;
    let before = waiting(harness.place(job));
    let effects = harness.status(session, 0, &[], &[]);
    assert!(effects.sends.is_empty(), "it is on its way, once");
    assert!(matches!(harness.place(job), StoredPlace::Leased { .. }));
    assert_eq!(harness.state(job).epoch, Epoch(1));
    let effects = harness.status(session, 1, &[], &[]);
    // Lost, back to its old place, and granted again at once.
    assert_eq!(assignments(&effects)[0].attempt.epoch, Epoch(2));
    assert_eq!(waiting(harness.place(job)), before);
}

#[test]
fn silence_ends_a_lease_after_its_period_and_signs_of_life_do_not() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a"]));
    let (session, granted) = harness.ready(1);
    let attempt = granted[0].attempt;
    let before = waiting(harness.place(attempt.job));
    for _ in 0..200 {
        harness.advance(Duration::from_secs(10));
        harness.status(session, 1, &[attempt], &[]);
    }
    // The next look; the lease lasts longer.
    assert_eq!(harness.queue.next_deadline(harness.now), Some(Duration::from_secs(30)));
    harness.advance(Duration::from_secs(899));
    assert!(matches!(harness.place(attempt.job), StoredPlace::Leased { .. }));
    harness.advance(Duration::from_secs(1));
    assert_eq!(waiting(harness.place(attempt.job)), before);
    assert_eq!(harness.delay(attempt.job), Duration::ZERO);
    // The connection lasts, the worker is silent: nothing more is given to it.
    assert!(matches!(harness.place(attempt.job), StoredPlace::Queued { .. }));
}

#[test]
fn a_wall_clock_that_steps_back_ends_nothing_and_repeats_nothing() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a", "b"]));
    let (session, granted) = harness.ready(1);
    let (_, effects) = harness.report(session, 1, &granted[0], failed());
    let second = assignments(&effects)[0].attempt;
    let effects = harness.step_back(72 * HOUR);
    assert!(effects.batch.is_empty() && effects.sends.is_empty());
    harness.status(session, 2, &[second], &[]);
    assert_eq!(harness.delay(granted[0].attempt.job), 96 * HOUR);
    let effects = harness.advance(Duration::from_secs(890));
    assert!(effects.is_empty(), "{effects:?}");
}

#[test]
fn a_worker_that_comes_back_goes_on() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a"]));
    let (session, granted) = harness.ready(1);
    harness.advance(2 * HOUR);
    assert!(matches!(harness.place(granted[0].attempt.job), StoredPlace::Queued { .. }));
    harness.status(session, 1, &[granted[0].attempt], &[]);
    assert!(matches!(harness.place(granted[0].attempt.job), StoredPlace::Leased { .. }));
    assert_eq!(harness.state(granted[0].attempt.job).epoch, Epoch(1), "no second attempt");
    let (answer, _) = harness.report(session, 1, &granted[0], good(&granted[0]));
    assert_eq!(answer, Answer::Accepted);
    assert_eq!(*harness.place(granted[0].attempt.job), StoredPlace::Decided);
}

/// Worker 1 lost its lease by silence, worker 2 has the second attempt.
fn two_attempts() -> (Harness, [(crate::domain::queue::SessionId, crate::protocol::Assignment); 2])
{
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a"]));
    let (one, first) = harness.ready(1);
    harness.advance(2 * HOUR);
    let (two, second) = harness.ready(2);
    assert_eq!(second[0].attempt.epoch, Epoch(2));
    (harness, [(one, first[0].clone()), (two, second[0].clone())])
}

#[test]
fn a_late_verdict_counts_and_cancels_the_second_attempt() {
    let (mut harness, [(one, first), (two, second)]) = two_attempts();
    let (answer, effects) = harness.report(one, 1, &first, good(&first));
    assert_eq!(answer, Answer::Accepted);
    assert_eq!(cancelled(&effects), [second.attempt]);
    assert_eq!(*harness.place(first.attempt.job), StoredPlace::Decided);
    // The second one's verdict is kept too, with a build of its own.
    let (answer, _) = harness.report(two, 2, &second, bad(&second));
    assert_eq!(answer, Answer::Accepted);
    assert_eq!(*harness.place(first.attempt.job), StoredPlace::Decided);
    assert_eq!(harness.queue.counters.build, 2);
    assert_eq!(harness.queue.counters.report, 2);
}

/// Found by simulation (seed 4): a status that crossed the order to stop brought the lease
/// back, and
/// when the worker had stopped, the job was granted at once, a day before its retry.
#[test]
fn a_status_that_crosses_the_order_to_stop_does_not_bring_the_lease_back() {
    let (mut harness, [(one, first), (two, second)]) = two_attempts();
    let (_, effects) = harness.report(one, 1, &first, bad(&first));
    assert_eq!(cancelled(&effects), [second.attempt]);
    harness.restart();
    let one = harness.join(1);
    harness.status(one, 1, &[], &[]);
    let again = harness.join(2);
    assert_ne!(again, two);
    let effects = harness.status(again, 2, &[second.attempt], &[]);
    assert_eq!(cancelled(&effects), [second.attempt]);
    assert!(matches!(harness.place(first.attempt.job), StoredPlace::Queued { .. }));
    let effects = harness.status(again, 2, &[], &[]);
    assert_eq!(assignments(&effects), []);
    assert_eq!(harness.delay(first.attempt.job), 24 * HOUR);
    let (answer, _) = harness.report(again, 2, &second, good(&second));
    assert_eq!(answer, Answer::Accepted, "what it built still counts");
}

#[test]
fn a_late_fault_is_superseded_and_changes_nothing() {
    let (mut harness, [(one, first), _]) = two_attempts();
    let before = harness.stored.clone();
    for _ in 0..2 {
        let (answer, effects) = harness.report(one, 1, &first, fault(FaultKind::DiskFull));
        assert_eq!(answer, Answer::Superseded);
        assert!(effects.batch.is_empty() && cancelled(&effects).is_empty());
    }
    assert_eq!(harness.stored, before);
}

#[test]
fn a_late_failure_does_not_delay_the_retry_of_a_later_attempt() {
    let (mut harness, [(one, first), (two, second)]) = two_attempts();
    harness.report(two, 2, &second, bad(&second));
    let before = (harness.state(first.attempt.job).retries, harness.delay(first.attempt.job));
    assert_eq!(before, (1, 24 * HOUR));
    harness.advance(HOUR);
    let (answer, _) = harness.report(one, 1, &first, failed());
    assert_eq!(answer, Answer::Accepted);
    let after = (harness.state(first.attempt.job).retries, harness.delay(first.attempt.job));
    assert_eq!(after, (1, 23 * HOUR));
}

/// A worker that repeats what it is not to do is not told each time: what it does not read would
/// grow.
#[test]
fn attempts_that_nobody_granted_are_cancelled_once_for_each_connection() {
    let mut harness = Harness::new();
    let (session, _) = harness.join_as(1, 1, offer(4));
    let unknown: Vec<AttemptId> =
        (1..=4).map(|job| AttemptId { job: InputId(900 + job), epoch: Epoch(1) }).collect();
    assert_eq!(cancelled(&harness.status(session, 0, &unknown, &[])), unknown);
    for _ in 0..100 {
        assert_eq!(cancelled(&harness.status(session, 0, &unknown, &[])), []);
    }
    // One of them ends and begins again; another connection knows nothing of the order.
    harness.status(session, 0, &unknown[1..], &[]);
    assert_eq!(cancelled(&harness.status(session, 0, &unknown, &[])), unknown[..1]);
    let (session, _) = harness.join_as(1, 1, offer(4));
    assert_eq!(cancelled(&harness.status(session, 0, &unknown, &[])), unknown);
}

#[test]
fn a_restarted_worker_loses_what_it_built_and_keeps_what_it_spooled() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a", "b"]));
    let (session, _) = harness.join_as(1, 1, offer(2));
    let granted = assignments(&harness.status(session, 0, &[], &[]));
    let [built, spooled] = &granted[..] else { panic!("{granted:?}") };
    let (session, effects) = harness.join_as(1, 1, offer(2));
    assert!(matches!(effects.sends[0], Send::Close { .. }), "the old connection is replaced");
    harness.status(session, 2, &[built.attempt], &[spooled.attempt]);
    harness.advance(Duration::from_secs(20));
    let (session, _) = harness.join_as(1, 2, offer(2));
    let effects = harness.status(session, 0, &[], &[spooled.attempt]);
    assert_eq!(assignments(&effects).len(), 1, "{effects:?}");
    assert_eq!(harness.state(built.attempt.job).epoch, Epoch(2));
    assert_eq!(harness.state(spooled.attempt.job).epoch, Epoch(1));
    let (answer, _) = harness.report(session, 1, spooled, good(spooled));
    assert_eq!(answer, Answer::Accepted);
}

#[test]
fn an_unseen_assignment_is_sent_again_as_it_is_now() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a"]));
    let (_, granted) = harness.ready(1);
    harness.sync("p", "2", vec![group("a", &["a.deb", "b.deb"])]);
    let session = harness.join(1);
    let again = assignments(&harness.status(session, 0, &[], &[]));
    assert_eq!(again[0].attempt, granted[0].attempt);
    assert_eq!(again[0].artifacts.len(), 2);
    let (answer, _) = harness.report(session, 1, &again[0], good(&again[0]));
    assert_eq!(answer, Answer::Accepted);
    assert_eq!(*harness.place(again[0].attempt.job), StoredPlace::Decided);
}

#[test]
fn claims_of_finished_attempts_do_not_draw_the_queue_into_one_worker() {
    let mut harness = Harness::new();
    let names: Vec<String> = (0..300).map(|n| format!("s{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    harness.sync("p", "1", groups(&names));
    let (session, granted) = harness.ready(1);
    let mut spooled: Vec<_> = granted.iter().map(|a| a.attempt).collect();
    for seen in 1..300 {
        let effects: Effects = harness.status(session, seen, &[], &spooled);
        spooled.extend(assignments(&effects).iter().map(|a| a.attempt));
    }
    assert_eq!(spooled.len(), 257, "256 in the spool and one slot");
}

#[test]
fn at_each_deadline_time_moves_on() {
    let mut harness = Harness::with(Settings::default());
    harness.sync("p", "1", groups(&["a", "b", "c"]));
    let (session, granted) = harness.ready(1);
    harness.report(session, 1, &granted[0], failed());
    for _ in 0..50 {
        let Some(next) = harness.queue.next_deadline(harness.now) else { break };
        assert!(next > Duration::ZERO);
        harness.advance(next);
    }
}

/// The shortest lease ends when a worker just still counts as attentive.
#[test]
fn a_job_lost_by_silence_is_not_given_back_to_the_silent_worker() {
    let lease = Duration::from_secs(30);
    let mut harness = Harness::with(Settings { lease, ..Settings::default() });
    harness.sync("p", "1", groups(&["a"]));
    let (silent, granted) = harness.ready(1);
    harness.advance(Duration::from_millis(500));
    harness.status(silent, 1, &[granted[0].attempt], &[]);
    let job = granted[0].attempt.job;
    // From the grant on, as the status came within the step in which leases are extended.
    let lost = harness.advance(lease - Duration::from_millis(500));
    assert_eq!(assignments(&lost), [], "nobody else is there");
    assert!(matches!(harness.place(job), StoredPlace::Queued { .. }));
    // It was only slow: it goes on.
    harness.status(silent, 1, &[granted[0].attempt], &[]);
    assert!(matches!(harness.place(job), StoredPlace::Leased { .. }));
}

/// Found by simulation: a job was dropped while its grant was on the way. The status that the
/// worker had sent before told of nothing, so that its one slot was given away again, and the
/// grant that arrived had begun meanwhile.
#[test]
fn a_grant_on_its_way_occupies_its_slot_although_it_was_taken_back() {
    for begins in [true, false] {
        let mut harness = Harness::new();
        harness.sync("p", "1", groups(&["a", "b"]));
        let (session, _) = harness.join_as(1, 1, offer(1));
        let granted = assignments(&harness.status(session, 0, &[], &[]));
        let [first] = &granted[..] else { panic!("one slot: {granted:?}") };
        assert_eq!(cancelled(&harness.drop_job(&first.key.source)), [first.attempt]);
        let crossed = harness.status(session, 0, &[], &[]);
        assert_eq!(assignments(&crossed), [], "it has not seen the grant");
        if begins {
            let effects = harness.status(session, 1, &[first.attempt], &[]);
            assert_eq!((assignments(&effects).len(), cancelled(&effects).len()), (0, 0));
        }
        let over = harness.status(session, 1, &[], &[]);
        assert_eq!(assignments(&over).len(), 1, "the order to stop was carried out");
    }
}

/// Over a new connection nothing is on its way: the grant was lost with the old one.
#[test]
fn a_grant_that_was_lost_with_its_connection_occupies_no_slot() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a", "b"]));
    let (session, _) = harness.join_as(1, 1, offer(1));
    let granted = assignments(&harness.status(session, 0, &[], &[]));
    harness.handle(Event::Left(session));
    let (session, _) = harness.join_as(1, 1, offer(1));
    assert_eq!(cancelled(&harness.drop_job(&granted[0].key.source)), [granted[0].attempt]);
    assert_eq!(assignments(&harness.status(session, 0, &[], &[])).len(), 1);
}
