use super::harness::{
    Harness, assignments, bad, failed, fault, good, group, groups, offer, report_of,
};
use crate::domain::queue::{Event, RequestId, Send, Settings};
use crate::protocol::stored::StoredPlace;
use crate::protocol::wire::v1::coordinator::Answer;
use crate::protocol::{Epoch, FaultKind, IndexTrust, Sha256, SignerKind};

#[test]
fn the_same_report_twice_is_accepted_twice_and_counts_once() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a"]));
    let (session, granted) = harness.ready(1);
    harness.report(session, 1, &granted[0], good(&granted[0]));
    let before = harness.stored.clone();
    let (answer, effects) = harness.report(session, 1, &granted[0], good(&granted[0]));
    assert_eq!(answer, Answer::Accepted);
    assert!(effects.batch.is_empty() && effects.facts.is_empty());
    assert_eq!(harness.stored, before);
    assert_eq!(harness.queue.counters.build, 1);
}

#[test]
fn a_fault_gets_an_attempt_and_no_build() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a"]));
    let (session, granted) = harness.ready(1);
    let (answer, _) = harness.report(session, 1, &granted[0], fault(FaultKind::DiskFull));
    assert_eq!(answer, Answer::Accepted);
    // What became of it is not told from its grant: it may have been superseded.
    let (answer, _) = harness.report(session, 1, &granted[0], fault(FaultKind::DiskFull));
    assert_eq!(answer, Answer::Superseded, "a copy changes nothing");
    assert_eq!((harness.queue.counters.build, harness.queue.counters.report), (0, 1));
}

/// Reports that are refused, and change nothing.
#[test]
fn forged_reports_are_refused() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a", "b"]));
    let (one, granted) = harness.ready(1);
    let (two, _) = harness.ready(2);
    let mine = granted[0].clone();
    let honest = report_of(&mine, good(&mine));
    let mut cases = Vec::new();
    let mut ungranted = honest.clone();
    ungranted.attempt.epoch = Epoch(2);
    cases.push((one, 1, ungranted, "never granted"));
    let mut nowhere = honest.clone();
    nowhere.attempt.job.0 = 99;
    cases.push((one, 1, nowhere, "no such job"));
    let mut foreign = honest.clone();
    foreign.key.source = "x".into();
    cases.push((one, 1, foreign, "instead of the job"));
    cases.push((two, 2, honest.clone(), "granted to another worker"));
    cases.push((two, 1, honest.clone(), "signed by another key"));
    let mut other = honest.clone();
    other.artifact_set = Sha256::of(b"other");
    cases.push((one, 1, other, "artifact set"));
    let mut trusted = honest.clone();
    trusted.index = IndexTrust::Signed;
    cases.push((one, 1, trusted, "another index"));
    let mut vouched = honest.clone();
    vouched.index_sha256 = Some(Sha256::of(b"other"));
    cases.push((one, 1, vouched, "another index"));
    let mut legacy = honest.clone();
    legacy.signer = SignerKind::Legacy;
    cases.push((one, 1, legacy, "worker's key"));
    let mut less = honest.clone();
    less.attempted.ending = crate::protocol::Ending::Built(vec![]);
    cases.push((one, 1, less, "says nothing about"));
    let before = harness.stored.clone();
    for (session, worker, report, why) in cases {
        let (answer, effects) = harness.send(session, worker, &report, &mine.artifacts);
        let Answer::Refused { reason } = answer else { panic!("{why}: {answer:?}") };
        assert!(reason.contains(why), "{reason}: {why}");
        assert!(effects.batch.is_empty(), "{why}");
        assert!(matches!(harness.place(mine.attempt.job), StoredPlace::Leased { .. }), "{why}");
    }
    assert_eq!(harness.stored, before);
}

#[test]
fn a_better_index_is_not_believed_after_a_restart_either() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a"]));
    let (_, granted) = harness.ready(1);
    harness.restart();
    let session = harness.join(1);
    harness.status(session, 1, &[granted[0].attempt], &[]);
    let mut report = report_of(&granted[0], good(&granted[0]));
    report.index = IndexTrust::Signed;
    let (answer, _) = harness.send(session, 1, &report, &granted[0].artifacts);
    assert_eq!(answer, Answer::Superseded);
    assert_eq!(harness.queue.counters.report, 0);
}

#[test]
fn a_job_whose_artifacts_changed_while_its_grant_was_forgotten_is_built_again() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a"]));
    let (_, granted) = harness.ready(1);
    harness.restart();
    harness.sync("p", "2", vec![group("a", &["a.deb", "b.deb"])]);
    let session = harness.join(1);
    harness.status(session, 1, &[granted[0].attempt], &[]);
    let (answer, effects) = harness.report(session, 1, &granted[0], good(&granted[0]));
    assert_eq!(answer, Answer::Superseded);
    assert_eq!(assignments(&effects)[0].artifacts.len(), 2);
    let (answer, _) = harness.report(session, 1, &granted[0], good(&granted[0]));
    assert_eq!(answer, Answer::Superseded, "a copy has the same answer");
}

#[test]
fn artifacts_that_joined_while_the_attempt_ran_are_built_too() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a"]));
    let (session, granted) = harness.ready(1);
    harness.sync("q", "1", vec![group("a", &["other.deb"])]);
    let (answer, effects) = harness.report(session, 1, &granted[0], good(&granted[0]));
    assert_eq!(answer, Answer::Accepted);
    let again = assignments(&effects);
    assert_eq!(again[0].artifacts.len(), 2);
    harness.report(session, 1, &again[0], good(&again[0]));
    assert_eq!(*harness.place(granted[0].attempt.job), StoredPlace::Decided);
}

#[test]
fn two_confirmations_need_two_keys() {
    let mut harness = Harness::with(Settings { confirmations: 2, ..Settings::default() });
    harness.sync("p", "1", groups(&["a"]));
    let (one, first) = harness.ready(1);
    let job = first[0].attempt.job;
    let (_, effects) = harness.report(one, 1, &first[0], good(&first[0]));
    assert_eq!(assignments(&effects), [], "not to the same key");
    assert!(matches!(harness.place(job), StoredPlace::Queued { .. }));
    let (two, second) = harness.ready(2);
    harness.report(two, 2, &second[0], good(&second[0]));
    assert_eq!(*harness.place(job), StoredPlace::Decided);
    // A new artifact asks both again, and neither is shut out by what it said before.
    let effects = harness.sync("p", "2", vec![group("a", &["a.deb", "b.deb"])]);
    assert_eq!(assignments(&effects).len(), 1);
}

#[test]
fn a_contradiction_asks_all_keys_again() {
    let mut harness = Harness::with(Settings { confirmations: 2, ..Settings::default() });
    harness.sync("p", "1", groups(&["a"]));
    let (one, first) = harness.ready(1);
    harness.report(one, 1, &first[0], good(&first[0]));
    let (two, second) = harness.ready(2);
    harness.report(two, 2, &second[0], bad(&second[0]));
    assert!(harness.state(first[0].attempt.job).confirmed.is_empty());
    assert_eq!(harness.state(first[0].attempt.job).retries, 1);
}

/// Found by reading: 256 ready jobs that the worker may not have hid every job behind them.
#[test]
fn jobs_that_wait_for_another_key_hide_nothing() {
    let mut harness = Harness::with(Settings { confirmations: 2, ..Settings::default() });
    let names: Vec<String> = (0..300).map(|n| format!("s{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    harness.sync("p", "1", groups(&names));
    let (session, mut granted) = harness.ready(1);
    for n in 0..300 {
        assert_eq!(granted.len(), 1, "after {n} jobs");
        let assignment = granted.remove(0);
        let (_, effects) = harness.report(session, 1, &assignment, good(&assignment));
        granted = assignments(&effects);
    }
    assert!(granted.is_empty());
}

#[test]
fn uploads_are_for_the_worker_of_the_attempt() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a"]));
    let (one, granted) = harness.ready(1);
    let (two, _) = harness.ready(2);
    let attempt = granted[0].attempt;
    let ask = |harness: &mut Harness, session, file: Option<&str>| {
        let file = file.map(Into::into);
        let event = Event::UploadAsked { session, request: RequestId(5), attempt, file };
        match harness.handle(event).sends.remove(0) {
            Send::Upload(RequestId(5), answer) => answer,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(ask(&mut harness, one, None), Ok(None));
    assert!(ask(&mut harness, two, None).unwrap_err().contains("another worker"));
    assert!(ask(&mut harness, one, Some("a.deb")).unwrap_err().contains("no verdict"));
    harness.report(one, 1, &granted[0], bad(&granted[0]));
    assert_eq!(ask(&mut harness, one, Some("a.deb")).unwrap().map(|b| b.0), Some(1));
    assert!(ask(&mut harness, one, Some("../a.deb")).is_err());
    assert!(ask(&mut harness, one, None).is_err());
}

#[test]
fn what_workers_say_cannot_steer_the_terminal() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a"]));
    let (session, granted) = harness.ready(1);
    let ending = crate::protocol::Ending::BuildFailed { reason: "\u{1b}[2J\nok".into() };
    let (_, effects) = harness.report(session, 1, &granted[0], ending);
    assert!(effects.notices.iter().any(|line| line.text.ends_with("build-failed: ?[2J?ok")));
}

#[test]
fn reports_of_a_worker_that_left_are_not_answered() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a"]));
    let (old, granted) = harness.ready(1);
    let (new, _) = harness.join_as(1, 1, offer(1));
    harness.status(new, 1, &[], &[granted[0].attempt]);
    let signed = crate::domain::report::sign(
        &report_of(&granted[0], failed()),
        &granted[0].artifacts,
        None,
        &super::harness::key(1),
    );
    let report = crate::domain::report::verify(&signed, &super::harness::public(1)).unwrap();
    let report = Box::new(report);
    let event = Event::Reported { session: old, report, countersigned: signed };
    assert!(harness.handle(event).is_empty());
}
