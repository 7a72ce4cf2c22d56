//! What the coordinator itself did not do is nobody's silence.

use core::time::Duration;

use super::house::{House, assignments, groups};
use crate::domain::queue::{Effects, Event, Settings};
use crate::protocol::AttemptId;
use crate::protocol::stored::v1::Place;

const LEASE: Duration = Duration::from_secs(30);

/// A worker with a lease of 30 s that it told of.
fn leased() -> (House, AttemptId) {
    let mut house = House::with(Settings { lease: LEASE, ..Settings::default() });
    house.sync("p", "1", groups(&["a"]));
    let (session, granted) = house.ready(1);
    let attempt = granted[0].attempt;
    house.told(session, 1, &[attempt], &[]);
    (house, attempt)
}

fn is_leased(house: &House, attempt: AttemptId) -> bool {
    matches!(house.place(attempt.job), Place::Leased { .. })
}

/// Time passes as the queue asks to be woken, each time `late`.
fn pass(house: &mut House, mut time: Duration, late: Duration) -> Effects {
    let mut effects = Effects::default();
    while time > Duration::ZERO {
        let wait = house.queue.next_deadline(house.now).unwrap_or(time) + late;
        let step = wait.min(time);
        house.stall(step);
        time -= step;
        if step == wait {
            effects.lines.extend(house.handle(Event::Ticked).lines);
        }
    }
    effects
}

#[test]
fn a_stall_of_an_hour_ends_no_lease() {
    let (mut house, attempt) = leased();
    house.stall(Duration::from_secs(3600));
    let effects = house.handle(Event::Ticked);
    assert!(is_leased(&house, attempt));
    let [line] = &effects.lines[..] else { panic!("{effects:?}") };
    assert!(line.warning && line.text.contains("3598.0 s"), "{}", line.text);
}

#[test]
fn the_mailbox_in_front_of_the_wake_up_ends_no_lease() {
    let (mut house, attempt) = leased();
    // A minute of other messages, each handled as soon as it can be; the wake-up is behind them,
    // and so are the statuses.
    for _ in 0..600 {
        house.stall(Duration::from_millis(100));
        house.sync("p", "1", groups(&["a"]));
        assert!(is_leased(&house, attempt));
    }
    house.handle(Event::Ticked);
    assert!(is_leased(&house, attempt));
}

#[test]
fn after_a_stall_silence_still_ends_a_lease() {
    let (mut house, attempt) = leased();
    house.stall(Duration::from_secs(3600));
    house.handle(Event::Ticked);
    pass(&mut house, Duration::from_secs(25), Duration::ZERO);
    assert!(is_leased(&house, attempt), "two periods of a second count, and no more");
    pass(&mut house, Duration::from_secs(6), Duration::ZERO);
    assert!(!is_leased(&house, attempt));
}

#[test]
fn wake_ups_that_are_a_little_late_count() {
    let (mut house, attempt) = leased();
    let effects = pass(&mut house, Duration::from_secs(29), Duration::from_millis(500));
    assert!(is_leased(&house, attempt) && effects.lines.is_empty());
    pass(&mut house, Duration::from_secs(3), Duration::from_millis(500));
    assert!(!is_leased(&house, attempt), "a stall of half a second is silence all the same");
}

#[test]
fn many_stalls_are_taken_off_each() {
    let (mut house, attempt) = leased();
    for _ in 0..5 {
        pass(&mut house, Duration::from_secs(3), Duration::ZERO);
        house.stall(Duration::from_secs(40));
        house.handle(Event::Ticked);
        assert!(is_leased(&house, attempt));
    }
}

#[test]
fn a_worker_stays_attentive_over_a_stall() {
    let (mut house, attempt) = leased();
    let (second, _) = house.ready(2);
    house.stall(Duration::from_secs(60));
    house.handle(Event::Ticked);
    let effects = house.sync("p", "2", groups(&["a", "b"]));
    assert_eq!(assignments(&effects).len(), 1, "it is not taken for a silent one");
    assert!(is_leased(&house, attempt));
    let _ = second;
}

#[test]
fn nothing_wakes_a_queue_without_leases() {
    let mut house = House::new();
    house.sync("p", "1", groups(&["a"]));
    assert_eq!(house.queue.next_deadline(house.now), None);
}
