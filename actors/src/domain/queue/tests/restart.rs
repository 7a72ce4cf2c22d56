use core::time::Duration;

use proptest::prelude::*;

use super::harness::{GIB, Harness, assignments, bad, failed, fault, good, group, groups, offer};
use crate::domain::queue::{Event, RetryPolicy, Send, SessionId, Settings};
use crate::protocol::stored::{Counters, StoredPlace};
use crate::protocol::wire::v1::coordinator::{Answer, Message};
use crate::protocol::{Assignment, AttemptId, FaultKind, Stage};

#[test]
fn leases_survive_and_get_a_full_period() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a", "b"]));
    let (_, granted) = harness.ready(1);
    harness.advance(Duration::from_secs(890));
    harness.restart();
    // The next look; the lease lasts longer.
    assert_eq!(harness.queue.next_deadline(harness.now), Some(Duration::from_secs(30)));
    harness.advance(Duration::from_secs(899));
    let session = harness.join(1);
    let effects = harness.status(session, 1, &[granted[0].attempt], &[]);
    assert!(effects.sends.is_empty(), "it goes on, its slot is taken: {effects:?}");
    let (answer, effects) = harness.report(session, 1, &granted[0], good(&granted[0]));
    assert_eq!(answer, Answer::Accepted);
    assert_eq!(assignments(&effects).len(), 1);
}

#[test]
fn numbers_are_never_used_again() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a"]));
    let (session, granted) = harness.ready(1);
    harness.report(session, 1, &granted[0], failed());
    harness.sync("p", "2", vec![]);
    let before = harness.queue.counters;
    harness.restart();
    assert_eq!(harness.queue.counters, before);
    harness.sync("p", "3", groups(&["a", "b"]));
    let job = harness.queue.entries.values().find(|e| &*e.job.key.source == "b").unwrap();
    assert_eq!(job.job.id.0, before.input + 1);
    assert_eq!(job.job.memberships()[0].artifacts[0].0.0, before.artifact + 2);
}

#[derive(Clone, Debug)]
enum Step {
    Sync(u8, u8),
    Join(u8, u8),
    Leave(u8),
    Tell { worker: u8, running: u8, spooled: u8, seen: bool, memory: u8 },
    Report { worker: u8, which: u8, ending: u8 },
    Advance(u32),
    ClockBack(u16),
    Push(u8),
    Drop(u8),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0..2_u8, any::<u8>()).prop_map(|(p, set)| Step::Sync(p, set)),
        2 => (1..4_u8, 0..2_u8).prop_map(|(w, b)| Step::Join(w, b)),
        1 => (1..4_u8).prop_map(Step::Leave),
        6 => (1..4_u8, any::<u8>(), any::<u8>(), any::<bool>(), 1..20_u8).prop_map(
            |(worker, running, spooled, seen, memory)| Step::Tell {
                worker, running, spooled, seen, memory
            }
        ),
        6 => (1..4_u8, any::<u8>(), 0..9_u8)
            .prop_map(|(worker, which, ending)| Step::Report { worker, which, ending }),
        2 => prop_oneof![0..60_000_u32, 0..90_000_000_u32].prop_map(Step::Advance),
        1 => any::<u16>().prop_map(Step::ClockBack),
        1 => (0..6_u8).prop_map(Step::Push),
        1 => (0..6_u8).prop_map(Step::Drop),
        1 => Just(Step::Restart),
    ]
}

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// What the test knows beside the harness.
#[derive(Default)]
struct Known {
    sessions: [Option<SessionId>; 4],
    granted: Vec<(u8, Assignment)>,
    index: u32,
}

fn take(harness: &mut Harness, known: &mut Known, step: &Step) {
    let event = match *step {
        Step::Sync(profile, set) => {
            known.index += 1;
            let named = NAMES.iter().enumerate().filter(|(n, _)| set >> n & 1 == 1);
            let groups = named.map(|(_, name)| {
                let extra = format!("{name}-{}.deb", set >> 6);
                group(name, &[&format!("{name}.deb"), &extra])
            });
            let groups = groups.collect();
            let index = (known.index / 2).to_string();
            harness.sync(["p", "q"][usize::from(profile)], &index, groups)
        }
        Step::Join(worker, boot) => {
            let (session, effects) = harness.join_as(worker, boot, offer(2));
            if harness.queue.sessions.contains_key(&session) {
                known.sessions[usize::from(worker)] = Some(session);
            }
            effects
        }
        Step::Leave(worker) => match known.sessions[usize::from(worker)].take() {
            Some(session) => harness.handle(Event::Left(session)),
            None => return,
        },
        Step::Tell { worker, running, spooled, seen, memory } => {
            let Some(session) = known.sessions[usize::from(worker)] else { return };
            let mine: Vec<AttemptId> =
                known.granted.iter().filter(|g| g.0 == worker).map(|g| g.1.attempt).collect();
            let pick = |mask: u8| -> Vec<AttemptId> {
                let recent = mine.iter().rev().take(8).enumerate();
                recent.filter(|(n, _)| mask >> n & 1 == 1).map(|(_, a)| *a).collect()
            };
            let seen = if seen { harness.queue.counters.grant } else { 0 };
            let memory = u64::from(memory) * GIB;
            harness.status_with(session, seen, &pick(running), &pick(spooled), memory)
        }
        Step::Report { worker, which, ending } => {
            let Some(session) = known.sessions[usize::from(worker)] else { return };
            let Some((_, assignment)) =
                known.granted.iter().rev().nth(usize::from(which) % 8).cloned()
            else {
                return;
            };
            let ending = match ending {
                0 => fault(FaultKind::InputsUnavailable),
                1 => fault(FaultKind::OutOfMemory),
                2 => fault(FaultKind::FetchFailed),
                3 => fault(FaultKind::Cancelled),
                4 => fault(FaultKind::TimedOut(Stage::Build)),
                5 => failed(),
                6 => bad(&assignment),
                _ => good(&assignment),
            };
            harness.report(session, worker, &assignment, ending).1
        }
        Step::Advance(ms) => harness.advance(Duration::from_millis(ms.into())),
        Step::ClockBack(seconds) => harness.step_back(Duration::from_secs(seconds.into())),
        Step::Push(name) => harness.push(NAMES[usize::from(name)]),
        Step::Drop(name) => harness.drop_job(NAMES[usize::from(name)]),
        Step::Restart => {
            harness.restart();
            known.sessions = [None; 4];
            return;
        }
    };
    for assignment in assignments(&event) {
        let worker = harness.queue.leases.get(assignment.attempt.job).unwrap().worker;
        let worker = (1..4)
            .find(|n| harness.queue.worker_keys.get(&super::harness::public(*n)) == Some(&worker));
        known.granted.push((worker.unwrap(), assignment));
    }
}

fn only_grow(before: Counters, after: Counters) -> bool {
    before.source <= after.source
        && before.input <= after.input
        && before.artifact <= after.artifact
        && before.build <= after.build
        && before.queue <= after.queue
        && before.worker <= after.worker
        && before.archives <= after.archives
        && before.grant <= after.grant
        && before.report <= after.report
}

fn check(harness: &Harness) {
    for (id, entry) in &harness.queue.entries {
        let leased = matches!(entry.state.place, StoredPlace::Leased { .. });
        assert_eq!(leased, harness.queue.leases.get(*id).is_some(), "{id} {:?}", entry.state);
        if entry.ready.is_some() {
            assert!(entry.wanted());
        }
    }
    for (id, worker) in &harness.queue.workers {
        for job in &worker.held {
            assert_eq!(harness.queue.leases.get(*job).map(|l| l.worker), Some(*id));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// The harness compares the queue with its restored copy after every event.
    #[test]
    fn what_is_stored_is_all_that_matters(
        steps in proptest::collection::vec(step(), 1..80),
        confirmations in 1..3_u32,
        max_retries in proptest::option::of(0..3_u32),
    ) {
        let retry = RetryPolicy { max_retries, ..RetryPolicy::default() };
        let mut harness = Harness::with(Settings { confirmations, retry, ..Settings::default() });
        let mut known = Known::default();
        for step in &steps {
            let before = harness.queue.counters;
            take(&mut harness, &mut known, step);
            prop_assert!(only_grow(before, harness.queue.counters));
            check(&harness);
        }
    }
}

#[test]
fn pages_of_a_large_index_cost_little() {
    let names: Vec<String> = (0..38_000).map(|n| format!("source-{n}")).collect();
    let pages: Vec<Vec<crate::port::Group>> = names
        .chunks(1000)
        .map(|chunk| chunk.iter().map(|n| group(n, &[&format!("{n}.deb")])).collect())
        .collect();
    let mut queue = crate::domain::queue::Queue::empty(Settings::default(), Default::default());
    let mut writes = Vec::new();
    for _ in 0..2 {
        for groups in pages.clone() {
            let event = Event::SyncPage { profile: "p".into(), groups };
            writes.push(queue.handle(Default::default(), event).batch.0.len());
        }
    }
    // Job and state of each, the counters; the first page the set of archives too.
    assert_eq!((writes[0], writes[1]), (2002, 2001));
    assert!(writes[38..].iter().all(|n| *n == 0), "known already");
}

/// Found by the simulation: a worker that meets grant 3 before grant 2 tells that it has seen 3 and
/// does not run 2, which ended a lease that was about to be taken up.
#[test]
fn what_is_sent_again_comes_in_the_order_of_its_grants() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a", "b"]));
    let (session, _) = harness.join_as(1, 1, offer(2));
    let granted = assignments(&harness.status(session, 0, &[], &[]));
    harness.report(session, 1, &granted[0], fault(FaultKind::FetchFailed));
    harness.advance(Duration::from_secs(60));
    harness.restart();
    let (session, _) = harness.join_as(1, 1, offer(2));
    let effects = harness.status(session, 0, &[], &[]);
    let numbers: Vec<u64> = effects.sends.iter().filter_map(number).collect();
    assert_eq!(numbers, [2, 3]);
}

fn number(send: &Send) -> Option<u64> {
    match send {
        Send::Worker(_, Message::Assign { number, .. }) => Some(number.0),
        _ => None,
    }
}
