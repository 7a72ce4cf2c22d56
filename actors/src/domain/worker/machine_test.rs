use super::*;
use crate::port::Monotonic;
use crate::protocol::stored::Spooled;
use crate::protocol::wire::v1::coordinator::{Answer, Message as FromCoordinator};
use crate::protocol::wire::v1::worker::{Capabilities, Condition, Message, Status};
use crate::protocol::{
    Assignment, AttemptId, AttemptLimits, BuildInput, Epoch, GrantNumber, IndexTrust, InputId,
    JobKey, SignedReport, Stage,
};

const T0: Monotonic = Monotonic(core::time::Duration::ZERO);

fn attempt(job: i32) -> AttemptId {
    AttemptId { job: InputId(job), epoch: Epoch(1) }
}

fn assign(job: i32, number: u64) -> Event {
    let key = JobKey {
        distribution: "debian".into(),
        backend: "debian".into(),
        source: "hello".into(),
        version: "1".into(),
        architecture: "amd64".into(),
        input: "suite".into(),
    };
    let assignment = Box::new(Assignment {
        attempt: attempt(job),
        key,
        input: BuildInput::Suite,
        source: None,
        archives: Vec::new(),
        artifacts: Vec::new(),
        index: IndexTrust::Signed,
        index_sha256: None,
        check_published: false,
        limits: AttemptLimits::default(),
    });
    Event::Received(FromCoordinator::Assign { number: GrantNumber(number), assignment })
}

fn spooled(log_bytes: u64) -> Spooled {
    Spooled { signed: SignedReport { statement: "{}".into(), links: Vec::new() }, log_bytes }
}

fn statuses(effects: &[Effect]) -> Vec<&Status> {
    let status = |effect| match effect {
        &Effect::Send(Message::Status(ref status)) => Some(status),
        _ => None,
    };
    effects.iter().filter_map(status).collect()
}

#[test]
fn an_assignment_starts_once_and_every_status_names_the_newest_grant_seen() {
    let mut worker = Machine::new(1, Default::default());
    worker.handle(T0, Event::Connected);
    let effects = worker.handle(T0, assign(1, 7));
    assert!(effects.iter().any(|e| matches!(e, Effect::Start(_))));
    assert_eq!(statuses(&effects)[0].seen, GrantNumber(7));
    assert_eq!(statuses(&effects)[0].running[0].attempt, attempt(1));
    let again = worker.handle(T0, assign(1, 7));
    assert!(!again.iter().any(|e| matches!(e, Effect::Start(_))));
}

#[test]
fn more_assignments_than_slots_are_not_started_and_told_as_not_running() {
    let mut worker = Machine::new(1, Default::default());
    worker.handle(T0, Event::Connected);
    worker.handle(T0, assign(1, 1));
    let effects = worker.handle(T0, assign(2, 2));
    assert!(!effects.iter().any(|e| matches!(e, Effect::Start(_))));
    assert_eq!(statuses(&effects)[0].seen, GrantNumber(2));
    assert_eq!(statuses(&effects)[0].running.len(), 1);
}

#[test]
fn a_report_is_sent_on_every_connection_until_it_is_answered() {
    let mut worker = Machine::new(1, Default::default());
    worker.handle(T0, Event::Connected);
    worker.handle(T0, assign(1, 1));
    worker.handle(T0, Event::Disconnected);
    let effects = worker.handle(T0, Event::Kept(attempt(1), spooled(0)));
    assert_eq!(effects, []);
    for _ in 0..2 {
        let effects = worker.handle(T0, Event::Connected);
        let reports = effects.iter().filter(|e| matches!(e, Effect::Send(Message::Report(_))));
        assert_eq!(reports.count(), 1);
        worker.handle(T0, Event::Disconnected);
    }
    worker.handle(T0, Event::Connected);
    let answer = FromCoordinator::Answer { attempt: attempt(1), answer: Answer::Accepted };
    let effects = worker.handle(T0, Event::Received(answer));
    assert!(effects.contains(&Effect::Forget(attempt(1), true)));
    assert!(!worker.is_busy());
}

#[test]
fn a_cancelled_attempt_keeps_its_slot_until_its_processes_are_gone() {
    let mut worker = Machine::new(1, Default::default());
    worker.handle(T0, Event::Connected);
    worker.handle(T0, assign(1, 1));
    let cancel = FromCoordinator::Cancel { attempt: attempt(1), reason: "dropped".into() };
    let effects = worker.handle(T0, Event::Received(cancel));
    assert!(effects.contains(&Effect::Stop(attempt(1), "dropped".into())));
    let effects = worker.handle(T0, assign(2, 2));
    assert!(!effects.iter().any(|e| matches!(e, Effect::Start(_))));
    worker.handle(T0, Event::Ended(attempt(1)));
    let effects = worker.handle(T0, assign(3, 3));
    assert!(effects.iter().any(|e| matches!(e, Effect::Start(_))));
}

#[test]
fn a_status_goes_out_at_every_change_and_every_ten_seconds() {
    let mut worker = Machine::new(1, Default::default());
    worker.handle(T0, Event::Connected);
    worker.handle(T0, assign(1, 1));
    let effects = worker.handle(T0, Event::StageEntered(attempt(1), Stage::Build));
    assert_eq!(statuses(&effects)[0].running[0].stage, Stage::Build);
    assert_eq!(worker.handle(T0, Event::LogGrew(attempt(1), 5)), []);
    let at = worker.next_deadline().unwrap();
    assert_eq!(at.since(T0).as_secs(), 10);
    let effects = worker.handle(at, Event::Ticked);
    assert_eq!(statuses(&effects)[0].running[0].log_bytes, 5);
}

#[test]
fn a_report_waits_until_its_log_is_stored_on_this_connection() {
    let mut worker = Machine::new(1, Default::default());
    worker.handle(T0, Event::Connected);
    let effects = worker.handle(T0, assign(1, 1));
    assert!(effects.contains(&Effect::Upload(attempt(1))));
    let is_report = |e: &Effect| matches!(e, Effect::Send(Message::Report(_)));
    let effects = worker.handle(T0, Event::Kept(attempt(1), spooled(9)));
    assert!(!effects.iter().any(is_report));
    let effects = worker.handle(T0, Event::LogStored(attempt(1)));
    assert!(effects.iter().any(is_report));
    worker.handle(T0, Event::Disconnected);
    let effects = worker.handle(T0, Event::Connected);
    assert!(effects.contains(&Effect::Upload(attempt(1))));
    assert!(!effects.iter().any(is_report));
}

/// Found by the simulation: an answered report came back after a power cut without its log, and
/// was never done with.
#[test]
fn a_report_whose_log_is_gone_is_offered_and_dropped_when_the_log_is_wanted() {
    let entries = [(attempt(1), spooled(0))].into_iter().collect();
    let mut worker = Machine::new(1, entries);
    let effects = worker.handle(T0, Event::Connected);
    assert!(effects.iter().any(|e| matches!(e, Effect::Send(Message::Report(_)))));
    let wanted = FromCoordinator::LogWanted { attempt: attempt(1), length: 0 };
    let effects = worker.handle(T0, Event::Received(wanted));
    assert!(effects.contains(&Effect::Forget(attempt(1), false)));
    assert!(statuses(&effects)[0].spooled.is_empty());
}

/// Messages other than reports, without their content.
fn sent(effects: &[Effect]) -> Vec<&str> {
    let name = |effect: &Effect| match effect {
        Effect::Send(Message::Status(_)) => Some("status"),
        Effect::Send(Message::Condition(_)) => Some("condition"),
        Effect::Send(Message::Capabilities(_)) => Some("capabilities"),
        _ => None,
    };
    let mut names: Vec<&str> = effects.iter().filter_map(name).collect();
    names.dedup();
    names
}

#[test]
fn a_condition_is_told_before_work_is_asked_for_and_when_it_changes() {
    let ill = Condition { ailments: Vec::new(), leftovers: vec!["/w/1-1: busy".into()] };
    let mut worker = Machine::new(1, Default::default());
    assert_eq!(sent(&worker.handle(T0, Event::Condition(ill.clone()))), [""; 0]);
    assert_eq!(sent(&worker.handle(T0, Event::Connected)), ["condition", "status"]);
    assert_eq!(sent(&worker.handle(T0, Event::Condition(ill))), [""; 0], "as told");
    assert_eq!(sent(&worker.handle(T0, Event::Condition(Condition::default()))), ["condition"]);
    worker.handle(T0, Event::Disconnected);
    assert_eq!(sent(&worker.handle(T0, Event::Connected)), ["status"], "all is well");
}

#[test]
fn what_a_machine_gives_to_builds_is_told_on_each_connection() {
    let capabilities = Capabilities { words: vec!["seccomp".into(), "landlock-7".into()] };
    let mut worker = Machine::new(1, Default::default()).with(capabilities.clone());
    for _ in 0..2 {
        let effects = worker.handle(T0, Event::Connected);
        assert_eq!(sent(&effects), ["capabilities", "status"]);
        assert!(effects.contains(&Effect::Send(Message::Capabilities(capabilities.clone()))));
        assert_eq!(sent(&worker.handle(T0, Event::Ticked)), [""; 0], "once");
        worker.handle(T0, Event::Disconnected);
    }
}
