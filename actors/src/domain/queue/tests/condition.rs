//! Workers that cannot build, or whose attempts fail for reasons of their own.

use core::time::Duration;

use super::harness::{Harness, assignments, failed, fault, good, groups, offer, sources};
use crate::domain::queue::{Effects, Event, SessionId};
use crate::protocol::wire::Offer;
use crate::protocol::wire::v1::ctl::{Subject, Trouble};
use crate::protocol::wire::v1::worker::{Ailment, Condition};
use crate::protocol::{Assignment, FaultKind, WorkerId};

fn ailing(backends: &[&str]) -> Condition {
    let ailment = |backend: &&str| Ailment {
        backend: (*backend).into(),
        reason: "gpgv is missing: install gpgv\u{1b}[2J".into(),
    };
    Condition { ailments: backends.iter().map(ailment).collect(), leftovers: Vec::new() }
}

fn tell(harness: &mut Harness, session: SessionId, condition: Condition) -> Effects {
    harness.handle(Event::Condition(session, condition))
}

fn lines(effects: &Effects) -> Vec<&str> {
    effects.notices.iter().filter(|line| line.warning).map(|line| &*line.text).collect()
}

fn says(effects: &Effects, text: &str) -> bool {
    lines(effects).iter().any(|line| line.contains(text))
}

#[test]
fn a_worker_that_cannot_build_gets_no_work_until_it_is_well() {
    let mut harness = Harness::new();
    let ill = harness.join(1);
    let told = tell(&mut harness, ill, ailing(&["debian"]));
    let text = "worker 1 (builder) cannot build with `debian` and gets no such jobs: gpgv is \
                missing: install gpgv?[2J";
    assert_eq!(lines(&told), [text]);
    assert_eq!(lines(&tell(&mut harness, ill, ailing(&["debian"]))), [""; 0], "once");
    harness.status(ill, 0, &[], &[]);
    assert_eq!(assignments(&harness.sync("p", "1", groups(&["a", "b"]))), []);
    let troubles = harness.troubles();
    let (subject, times, next) = (Subject::Worker(WorkerId(1)), 1, None);
    let text = "cannot build with debian: gpgv is missing: install gpgv?[2J".into();
    assert_eq!(troubles, [Trouble { subject, text, times, next }]);

    let (_, granted) = harness.ready(2);
    assert_eq!(granted.len(), 1, "another one is not held up");
    let well = tell(&mut harness, ill, Condition::default());
    assert_eq!(assignments(&well).len(), 1, "at once");
    assert_eq!(harness.troubles(), []);
}

#[test]
fn an_ailment_of_one_backend_leaves_the_others() {
    let mut harness = Harness::new();
    let backends = vec!["debian".into(), "script".into()];
    let (session, _) = harness.join_as(1, 1, Offer { backends, ..offer(2) });
    tell(&mut harness, session, ailing(&["script", "unknown"]));
    harness.status(session, 0, &[], &[]);
    assert_eq!(assignments(&harness.sync("p", "1", groups(&["a"]))).len(), 1);
    // A new process says for itself what it can do.
    tell(&mut harness, session, ailing(&["debian"]));
    harness.handle(Event::Left(session));
    let (session, _) = harness.join_as(1, 2, offer(2));
    harness.status(session, 0, &[], &[]);
    assert_eq!(assignments(&harness.sync("p", "2", groups(&["a", "b"]))).len(), 1);
}

#[test]
fn leftovers_are_shown_until_they_are_gone_and_bounded() {
    let mut harness = Harness::new();
    let (session, _) = harness.ready(1);
    let leftovers: Vec<String> =
        (0..1_000).map(|n| format!("/w/{n}: busy {}", "x".repeat(999))).collect();
    let told = tell(&mut harness, session, Condition { ailments: Vec::new(), leftovers });
    assert_eq!(lines(&told).len(), 16);
    let troubles = harness.troubles();
    assert_eq!(troubles.len(), 16);
    assert!(troubles.iter().all(|t| t.subject == Subject::Leftover(WorkerId(1))));
    assert!(troubles.iter().all(|t| t.text.chars().count() < 400), "{}", troubles[0].text);
    harness.handle(Event::Left(session));
    assert_eq!(harness.troubles().len(), 16, "it is still there");
    harness.join_as(1, 2, offer(1));
    assert_eq!(harness.troubles(), [], "the next process removed it");
}

#[test]
fn a_worker_whose_attempts_all_fail_is_set_aside_and_its_jobs_go_elsewhere() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&names));
    let (session, mut granted) = harness.ready(1);
    for attempt in 1..=4 {
        let assignment = granted.remove(0);
        let (_, effects) = harness.report(session, 1, &assignment, fault(FaultKind::WorkerFailed));
        granted = assignments(&effects);
        assert_eq!(granted.len(), usize::from(attempt < 4), "attempt {attempt}");
        if attempt == 4 {
            assert!(says(&effects, "is set aside for 60 s: 4 attempts in a row"));
        }
    }
    let troubles = harness.troubles();
    assert_eq!(
        (troubles[0].times, troubles[0].text.as_str()),
        (4, "set aside: worker-failed: as told")
    );
    assert_eq!(troubles[0].next, Some(harness.now.utc.plus(Duration::from_secs(60))));
    assert_eq!(assignments(&harness.status(session, 4, &[], &[])), [], "whatever it says");
    let (_, others) = harness.ready(2);
    assert_eq!(others.len(), 1);

    // The queue wakes by itself when the time is over.
    let wait = harness.queue.next_deadline(harness.now).unwrap();
    assert!(wait <= Duration::from_secs(60), "{wait:?}");
    harness.status(session, 4, &[], &[]);
    let granted = assignments(&harness.advance(Duration::from_secs(14)));
    assert_eq!(granted, []);
    harness.status(session, 4, &[], &[]);
    for _ in 0..4 {
        harness.advance(Duration::from_secs(11));
        harness.status(session, 4, &[], &[]);
    }
    let granted = assignments(&harness.advance(Duration::from_secs(3)));
    assert_eq!(granted.len(), 1, "one try");
    let (_, effects) = harness.report(session, 1, &granted[0], fault(FaultKind::DiskFull));
    assert!(says(&effects, "is set aside for 120 s: 5 attempts in a row"));
}

#[test]
fn a_verdict_or_a_fault_of_another_kind_sets_nobody_aside() {
    let names: Vec<String> = (0..40).map(|n| format!("p{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for between in [good, |_: &_| failed()] {
        let mut harness = Harness::new();
        harness.sync("p", "1", groups(&names));
        let (session, mut granted) = harness.ready(1);
        for number in 0..24 {
            let assignment = granted.remove(0);
            let ending = match number % 4 {
                3 => between(&assignment),
                _ => fault(FaultKind::WorkerFailed),
            };
            granted = assignments(&harness.report(session, 1, &assignment, ending).1);
            assert_eq!(sources(&granted).len(), 1, "attempt {number}");
        }
    }
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&names));
    let (session, mut granted) = harness.ready(1);
    for kind in [FaultKind::FetchFailed, FaultKind::InputsUnavailable, FaultKind::OutOfMemory] {
        for _ in 0..6 {
            let assignment = granted.remove(0);
            granted = assignments(&harness.report(session, 1, &assignment, fault(kind)).1);
            assert_eq!(granted.len(), 1, "{kind}");
        }
    }
}

#[test]
fn an_attempt_that_was_under_way_can_bring_a_worker_back_or_keep_it_aside() {
    for (last, waits) in [(FaultKind::WorkerFailed, Some(120)), (FaultKind::FetchFailed, Some(60))]
    {
        let (mut harness, session, slow) = set_aside_with_one_left();
        harness.report(session, 1, &slow, fault(last));
        let until = harness.troubles()[0].next;
        let secs = until.map(|until| (until.0 - harness.now.utc.0) / 1000);
        assert_eq!((secs, harness.queue.aside.len()), (waits, 1), "{last}");
    }
    let (mut harness, session, slow) = set_aside_with_one_left();
    let (_, effects) = harness.report(session, 1, &slow, good(&slow));
    assert_eq!((assignments(&effects).len(), harness.queue.aside.len()), (2, 0), "it can build");
}

/// A worker of two slots: four attempts failed in one of them while another one goes on.
fn set_aside_with_one_left() -> (Harness, SessionId, Assignment) {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a", "b", "c", "d", "e", "f", "g", "h"]));
    let (session, _) = harness.join_as(1, 1, offer(2));
    let mut granted = assignments(&harness.status(session, 0, &[], &[]));
    let slow = granted.remove(0);
    for _ in 0..4 {
        let assignment = granted.remove(0);
        let ending = fault(FaultKind::WorkerFailed);
        granted = assignments(&harness.report(session, 1, &assignment, ending).1);
    }
    assert_eq!(granted, []);
    (harness, session, slow)
}
