use core::time::Duration;

use super::house::{House, groups, offer, public};
use crate::domain::queue::{Effects, Event, Order, Send, SessionId};
use crate::protocol::stored::v1::Place;
use crate::protocol::wire::CloseCode;

fn probed(house: &mut House, session: SessionId, answered: bool) -> Effects {
    house.handle(Event::Probed { session, answered })
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
    let mut house = House::new();
    house.sync("p", "1", groups(&["a"]));
    let (old, granted) = house.ready(1);
    house.advance(Duration::from_secs(10));
    for boot in [2, 3] {
        let (new, effects) = house.join_as(1, boot, offer(1));
        assert_eq!(asked(&effects), old);
        let effects = probed(&mut house, old, true);
        assert_eq!(outcome(&effects), (vec![(new, CloseCode::Duplicate)], vec![]));
    }
    let effects = house.told(old, 1, &[granted[0].attempt], &[]);
    assert!(effects.sends.is_empty(), "the first one is untouched");
    assert!(matches!(house.place(granted[0].attempt.job), Place::Leased { .. }));
}

#[test]
fn a_worker_that_was_killed_takes_the_place_of_its_dead_connection() {
    let mut house = House::new();
    house.sync("p", "1", groups(&["a"]));
    let (old, granted) = house.ready(1);
    let (new, effects) = house.join_as(1, 2, offer(1));
    assert_eq!(asked(&effects), old);
    let effects = probed(&mut house, old, false);
    assert_eq!(outcome(&effects), (vec![(old, CloseCode::Duplicate)], vec![new]));
    assert!(house.told(old, 1, &[granted[0].attempt], &[]).sends.is_empty(), "it is gone");
    house.handle(Event::Left(old));
    // The new process says what it does: nothing. So the job is tried again at once, here.
    let effects = house.told(new, 0, &[], &[]);
    let again = super::house::assignments(&effects);
    assert_eq!(again.len(), 1);
    assert!(again[0].attempt.epoch > granted[0].attempt.epoch);
}

#[test]
fn silence_for_long_enough_needs_no_question() {
    let mut house = House::new();
    let (old, _) = house.ready(1);
    house.advance(Duration::from_secs(15));
    let (new, effects) = house.join_as(1, 2, offer(1));
    assert_eq!(outcome(&effects), (vec![(old, CloseCode::Duplicate)], vec![new]));
}

#[test]
fn from_another_address_it_is_no_restart() {
    for address in ["127.0.0.2:9", "[::1]:9", "127.0.0.10:9"] {
        let mut house = House::new();
        house.ready(1);
        let mut join = house.hello(1, 2, offer(1));
        join.address = address.into();
        let new = join.session;
        let effects = house.handle(Event::Joined(Box::new(join)));
        assert_eq!(outcome(&effects), (vec![(new, CloseCode::Duplicate)], vec![]));
    }
}

#[test]
fn the_end_of_the_old_connection_opens_at_once() {
    let mut house = House::new();
    let (old, _) = house.ready(1);
    let (new, _) = house.join_as(1, 2, offer(1));
    let effects = house.handle(Event::Left(old));
    assert_eq!(outcome(&effects), (vec![], vec![new]));
    assert!(probed(&mut house, old, false).sends.is_empty(), "an answer that came too late");
}

#[test]
fn one_process_waits_for_each_worker() {
    let mut house = House::new();
    let (old, _) = house.ready(1);
    let (first, _) = house.join_as(1, 2, offer(1));
    let (third, effects) = house.join_as(1, 3, offer(1));
    assert_eq!(outcome(&effects), (vec![(third, CloseCode::Duplicate)], vec![]));
    // The same process again, over a new connection: it is not asked twice.
    let (again, effects) = house.join_as(1, 2, offer(1));
    assert_eq!(outcome(&effects), (vec![(first, CloseCode::Duplicate)], vec![]));
    house.handle(Event::Left(first));
    let effects = probed(&mut house, old, false);
    assert_eq!(outcome(&effects), (vec![(old, CloseCode::Duplicate)], vec![again]));
    assert_eq!(house.queue.sizes().sessions, 1);
}

#[test]
fn who_gives_up_waiting_is_forgotten() {
    let mut house = House::new();
    let (old, _) = house.ready(1);
    let (new, _) = house.join_as(1, 2, offer(1));
    house.handle(Event::Left(new));
    assert!(probed(&mut house, old, false).sends.is_empty(), "nobody needs its place");
    assert!(house.told(old, 0, &[], &[]).sends.is_empty());
    assert_eq!(house.queue.sizes().sessions, 1);
}

#[test]
fn the_old_process_that_connects_again_is_an_answer() {
    let mut house = House::new();
    let (old, _) = house.ready(1);
    let (new, _) = house.join_as(1, 2, offer(1));
    let (back, effects) = house.join_as(1, 1, offer(1));
    let closed = vec![(new, CloseCode::Duplicate), (old, CloseCode::Duplicate)];
    assert_eq!(outcome(&effects), (closed, vec![back]));
}

#[test]
fn a_key_that_is_revoked_meanwhile_does_not_get_in() {
    let mut house = House::new();
    let (old, _) = house.ready(1);
    let (new, _) = house.join_as(1, 2, offer(1));
    let (_, effects) = house.order(Order::Revoke { worker: public(1).to_string() });
    let closed = vec![(old, CloseCode::Revoked), (new, CloseCode::Revoked)];
    assert_eq!(outcome(&effects), (closed, vec![]));
}
