//! What the coordinator itself did not do is nobody's silence.

use core::time::Duration;

use super::harness::{Harness, assignments, groups};
use crate::domain::queue::{Effects, Event, Settings};
use crate::protocol::AttemptId;
use crate::protocol::stored::StoredPlace;

const LEASE: Duration = Duration::from_secs(30);

/// A worker with a lease of 30 s that it told of.
fn leased() -> (Harness, AttemptId) {
    let mut harness = Harness::with(Settings { lease: LEASE, ..Settings::default() });
    harness.sync("p", "1", groups(&["a"]));
    let (session, granted) = harness.ready(1);
    let attempt = granted[0].attempt;
    harness.status(session, 1, &[attempt], &[]);
    (harness, attempt)
}

fn is_leased(harness: &Harness, attempt: AttemptId) -> bool {
    matches!(harness.place(attempt.job), StoredPlace::Leased { .. })
}

/// Time passes as the queue asks to be woken, each time `late`.
fn pass(harness: &mut Harness, mut time: Duration, late: Duration) -> Effects {
    let mut effects = Effects::default();
    while time > Duration::ZERO {
        let wait = harness.queue.next_deadline(harness.now).unwrap_or(time) + late;
        let step = wait.min(time);
        harness.stall(step);
        time -= step;
        if step == wait {
            effects.notices.extend(harness.handle(Event::Ticked).notices);
        }
    }
    effects
}

#[test]
fn a_stall_of_an_hour_ends_no_lease() {
    let (mut harness, attempt) = leased();
    harness.stall(Duration::from_secs(3600));
    let effects = harness.handle(Event::Ticked);
    assert!(is_leased(&harness, attempt));
    let [line] = &effects.notices[..] else { panic!("{effects:?}") };
    assert!(line.warning && line.text.contains("3598.0 s"), "{}", line.text);
}

#[test]
fn the_mailbox_in_front_of_the_wake_up_ends_no_lease() {
    let (mut harness, attempt) = leased();
    // A minute of other messages, each handled as soon as it can be; the wake-up is behind them,
    // and so are the statuses.
    for _ in 0..600 {
        harness.stall(Duration::from_millis(100));
        harness.sync("p", "1", groups(&["a"]));
        assert!(is_leased(&harness, attempt));
    }
    harness.handle(Event::Ticked);
    assert!(is_leased(&harness, attempt));
}

#[test]
fn after_a_stall_silence_still_ends_a_lease() {
    let (mut harness, attempt) = leased();
    harness.stall(Duration::from_secs(3600));
    harness.handle(Event::Ticked);
    pass(&mut harness, Duration::from_secs(25), Duration::ZERO);
    assert!(is_leased(&harness, attempt), "two periods of a second count, and no more");
    pass(&mut harness, Duration::from_secs(6), Duration::ZERO);
    assert!(!is_leased(&harness, attempt));
}

#[test]
fn wake_ups_that_are_a_little_late_count() {
    let (mut harness, attempt) = leased();
    let effects = pass(&mut harness, Duration::from_secs(29), Duration::from_millis(500));
    assert!(is_leased(&harness, attempt) && effects.notices.is_empty());
    pass(&mut harness, Duration::from_secs(3), Duration::from_millis(500));
    assert!(!is_leased(&harness, attempt), "a stall of half a second is silence all the same");
}

#[test]
fn many_stalls_are_taken_off_each() {
    let (mut harness, attempt) = leased();
    for _ in 0..5 {
        pass(&mut harness, Duration::from_secs(3), Duration::ZERO);
        harness.stall(Duration::from_secs(40));
        harness.handle(Event::Ticked);
        assert!(is_leased(&harness, attempt));
    }
}

#[test]
fn a_worker_stays_attentive_over_a_stall() {
    let (mut harness, attempt) = leased();
    let (second, _) = harness.ready(2);
    harness.stall(Duration::from_secs(60));
    harness.handle(Event::Ticked);
    let effects = harness.sync("p", "2", groups(&["a", "b"]));
    assert_eq!(assignments(&effects).len(), 1, "it is not taken for a silent one");
    assert!(is_leased(&harness, attempt));
    let _ = second;
}

#[test]
fn nothing_wakes_a_queue_without_leases() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a"]));
    assert_eq!(harness.queue.next_deadline(harness.now), None);
}
