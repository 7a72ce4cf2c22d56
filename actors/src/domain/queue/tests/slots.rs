//! An answered attempt occupies no slot, whatever is said of it later.

use core::time::Duration;

use super::harness::{Harness, assignments, bad, fault, good, groups, offer};
use crate::domain::queue::SessionId;
use crate::domain::queue::worker::Session;
use crate::protocol::wire::v1::coordinator::Answer;
use crate::protocol::{Assignment, AttemptId, Epoch, FaultKind, InputId};

/// A worker with two slots, both taken, and more jobs than that.
fn two_slots() -> (Harness, SessionId, Vec<Assignment>) {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a", "b", "c", "d", "e", "f"]));
    let (session, _) = harness.join_as(1, 1, offer(2));
    let granted = assignments(&harness.status(session, 0, &[], &[]));
    assert_eq!(granted.len(), 2);
    (harness, session, granted)
}

#[test]
fn a_status_that_crossed_the_answer_leaves_the_slot_free() {
    let (mut harness, session, granted) = two_slots();
    let running = [granted[0].attempt, granted[1].attempt];
    harness.status(session, 2, &running, &[]);
    let (answer, effects) = harness.report(session, 1, &granted[0], good(&granted[0]));
    assert_eq!((answer, assignments(&effects).len()), (Answer::Accepted, 1), "the slot is used");
    let third = assignments(&effects)[0].clone();
    // Sent before the report, as the worker still ran both.
    let effects = harness.status(session, 2, &running, &[]);
    assert!(assignments(&effects).is_empty() && super::harness::cancelled(&effects).is_empty());
    let (_, effects) = harness.report(session, 1, &granted[1], bad(&granted[1]));
    assert_eq!(assignments(&effects).len(), 1);
    let (_, effects) = harness.report(session, 1, &third, good(&third));
    assert_eq!(assignments(&effects).len(), 1, "neither old status holds a slot");
}

#[test]
fn a_status_that_crossed_several_answers_leaves_every_slot_free() {
    let (mut harness, session, granted) = two_slots();
    harness.report(session, 1, &granted[0], good(&granted[0]));
    let (_, effects) = harness.report(session, 1, &granted[1], fault(FaultKind::DiskFull));
    let more = assignments(&effects);
    assert_eq!(more.len(), 1);
    let both = [granted[0].attempt, granted[1].attempt];
    harness.status(session, 2, &both, &[]);
    let (_, effects) = harness.report(session, 1, &more[0], good(&more[0]));
    assert_eq!(assignments(&effects).len(), 1);
}

/// Its lease was lost, so the late fault changes nothing; the attempt is over all the same.
#[test]
fn a_superseded_fault_ends_its_attempt_too() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a", "b"]));
    let (session, granted) = harness.ready(1);
    harness.advance(Duration::from_secs(2 * 3600));
    let (answer, _) = harness.report(session, 1, &granted[0], fault(FaultKind::DiskFull));
    assert_eq!(answer, Answer::Superseded);
    let effects = harness.status(session, 1, &[granted[0].attempt], &[]);
    let again = assignments(&effects);
    assert_eq!(again.len(), 1, "the slot is free and the old lease does not begin again");
    assert_ne!(again[0].attempt, granted[0].attempt);
}

#[test]
fn a_worker_that_only_reports_is_not_silent() {
    let mut harness = Harness::new();
    let names: Vec<String> = (0..20).map(|n| format!("s{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    harness.sync("p", "1", groups(&names));
    let (session, granted) = harness.ready(1);
    let mut current = granted[0].clone();
    for _ in 0..19 {
        // Over and over longer than the silence after which a worker is given nothing.
        harness.advance(Duration::from_secs(14));
        let (_, effects) = harness.report(session, 1, &current, good(&current));
        current =
            assignments(&effects).first().expect("the next job comes with the answer").clone();
    }
}

/// A refused report says nothing true about the attempt: what the worker says then is taken.
#[test]
fn a_refused_report_does_not_free_a_slot() {
    let (mut harness, session, granted) = two_slots();
    harness.status(session, 2, &[granted[0].attempt, granted[1].attempt], &[]);
    let mut wrong = super::harness::report_of(&granted[0], good(&granted[0]));
    wrong.key.version = "2".into();
    let (answer, effects) = harness.send(session, 1, &wrong, &granted[0].artifacts);
    assert!(matches!(answer, Answer::Refused { .. }));
    assert!(assignments(&effects).is_empty());
    let effects = harness.status(session, 2, &[granted[0].attempt, granted[1].attempt], &[]);
    assert!(assignments(&effects).is_empty());
}

#[test]
fn what_is_remembered_of_answers_is_bounded() {
    let mut harness = Harness::new();
    let (session, _) = harness.ready(1);
    let worker = harness.queue.sessions[&session];
    let live = |harness: &mut Harness, f: &mut dyn FnMut(&mut Session)| {
        f(harness.queue.workers.get_mut(&worker).unwrap().session.as_mut().unwrap());
    };
    live(&mut harness, &mut |live| {
        (1..=600).for_each(|job| live.end(AttemptId { job: InputId(job), epoch: Epoch(1) }));
        assert_eq!(live.ended.len(), 512);
    });
    harness.status(session, 0, &[], &[]);
    live(&mut harness, &mut |live| assert!(live.ended.is_empty(), "no later status names them"));
}
