use core::time::Duration;

use super::harness::{Harness, groups, offer, public};
use crate::domain::queue::{Effects, Event, Order, Send, SessionId};
use crate::protocol::stored::StoredPlace;
use crate::protocol::wire::CloseCode;

fn probed(harness: &mut Harness, session: SessionId, answered: bool) -> Effects {
    harness.handle(Event::Probed { session, answered })
}

/// Which connection is asked for a sign of life, and nothing else.
fn asked(effects: &Effects) -> SessionId {
    let [Send::Probe { session, .. }] = effects.sends[..] else { panic!("{:?}", effects.sends) };
    session
}

/// Connections that are closed, and those that are let in.
fn outcome(effects: &Effects) -> (Vec<(SessionId, CloseCode)>, Vec<SessionId>) {
    let closed = effects.sends.iter().filter_map(|send| match send {
        Send::Close { session, code, .. } => Some((*session, *code)),
        _ => None,
    });
    let admitted = effects.sends.iter().filter_map(|send| match send {
        Send::Admit { session, .. } => Some(*session),
        _ => None,
    });
    (closed.collect(), admitted.collect())
}

#[test]
fn a_copied_machine_is_kept_out_while_the_first_answers() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a"]));
    let (old, granted) = harness.ready(1);
    harness.advance(Duration::from_secs(10));
    for boot in [2, 3] {
        let (new, effects) = harness.join_as(1, boot, offer(1));
        assert_eq!(asked(&effects), old);
        let effects = probed(&mut harness, old, true);
        assert_eq!(outcome(&effects), (vec![(new, CloseCode::Duplicate)], vec![]));
    }
    let effects = harness.status(old, 1, &[granted[0].attempt], &[]);
    assert!(effects.sends.is_empty(), "the first one is untouched");
    assert!(matches!(harness.place(granted[0].attempt.job), StoredPlace::Leased { .. }));
}

#[test]
fn a_worker_that_was_killed_takes_the_place_of_its_dead_connection() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a"]));
    let (old, granted) = harness.ready(1);
    let (new, effects) = harness.join_as(1, 2, offer(1));
    assert_eq!(asked(&effects), old);
    let effects = probed(&mut harness, old, false);
    assert_eq!(outcome(&effects), (vec![(old, CloseCode::Duplicate)], vec![new]));
    assert!(harness.status(old, 1, &[granted[0].attempt], &[]).sends.is_empty(), "it is gone");
    harness.handle(Event::Left(old));
    // The new process says what it does: nothing. So the job is tried again at once, here.
    let effects = harness.status(new, 0, &[], &[]);
    let again = super::harness::assignments(&effects);
    assert_eq!(again.len(), 1);
    assert!(again[0].attempt.epoch > granted[0].attempt.epoch);
}

#[test]
fn silence_for_long_enough_needs_no_question() {
    let mut harness = Harness::new();
    let (old, _) = harness.ready(1);
    harness.advance(Duration::from_secs(15));
    let (new, effects) = harness.join_as(1, 2, offer(1));
    assert_eq!(outcome(&effects), (vec![(old, CloseCode::Duplicate)], vec![new]));
}

#[test]
fn from_another_address_it_is_no_restart() {
    for address in ["127.0.0.2:9", "[::1]:9", "127.0.0.10:9"] {
        let mut harness = Harness::new();
        harness.ready(1);
        let mut join = harness.hello(1, 2, offer(1));
        join.address = address.into();
        let new = join.session;
        let effects = harness.handle(Event::Joined(Box::new(join)));
        assert_eq!(outcome(&effects), (vec![(new, CloseCode::Duplicate)], vec![]));
    }
}

#[test]
fn the_end_of_the_old_connection_opens_at_once() {
    let mut harness = Harness::new();
    let (old, _) = harness.ready(1);
    let (new, _) = harness.join_as(1, 2, offer(1));
    let effects = harness.handle(Event::Left(old));
    assert_eq!(outcome(&effects), (vec![], vec![new]));
    assert!(probed(&mut harness, old, false).sends.is_empty(), "an answer that came too late");
}

#[test]
fn one_process_waits_for_each_worker() {
    let mut harness = Harness::new();
    let (old, _) = harness.ready(1);
    let (first, _) = harness.join_as(1, 2, offer(1));
    let (third, effects) = harness.join_as(1, 3, offer(1));
    assert_eq!(outcome(&effects), (vec![(third, CloseCode::Duplicate)], vec![]));
    // The same process again, over a new connection: it is not asked twice.
    let (again, effects) = harness.join_as(1, 2, offer(1));
    assert_eq!(outcome(&effects), (vec![(first, CloseCode::Duplicate)], vec![]));
    harness.handle(Event::Left(first));
    let effects = probed(&mut harness, old, false);
    assert_eq!(outcome(&effects), (vec![(old, CloseCode::Duplicate)], vec![again]));
    assert_eq!(harness.sessions(), 1);
}

#[test]
fn who_gives_up_waiting_is_forgotten() {
    let mut harness = Harness::new();
    let (old, _) = harness.ready(1);
    let (new, _) = harness.join_as(1, 2, offer(1));
    harness.handle(Event::Left(new));
    assert!(probed(&mut harness, old, false).sends.is_empty(), "nobody needs its place");
    assert!(harness.status(old, 0, &[], &[]).sends.is_empty());
    assert_eq!(harness.sessions(), 1);
}

#[test]
fn the_old_process_that_connects_again_is_an_answer() {
    let mut harness = Harness::new();
    let (old, _) = harness.ready(1);
    let (new, _) = harness.join_as(1, 2, offer(1));
    let (back, effects) = harness.join_as(1, 1, offer(1));
    let closed = vec![(new, CloseCode::Duplicate), (old, CloseCode::Duplicate)];
    assert_eq!(outcome(&effects), (closed, vec![back]));
}

#[test]
fn a_key_that_is_revoked_meanwhile_does_not_get_in() {
    let mut harness = Harness::new();
    let (old, _) = harness.ready(1);
    let (new, _) = harness.join_as(1, 2, offer(1));
    let (_, effects) = harness.order(Order::Revoke { worker: public(1).to_string() });
    let closed = vec![(old, CloseCode::Revoked), (new, CloseCode::Revoked)];
    assert_eq!(outcome(&effects), (closed, vec![]));
}
