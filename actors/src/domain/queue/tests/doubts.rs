//! What an index says so that it cannot be read is not gone.

use super::harness::{Harness, good, group, groups};
use crate::domain::queue::Event;
use crate::port::{Doubt, Group};
use crate::protocol::InputId;
use crate::protocol::stored::StoredPlace;

const JOB: InputId = InputId(1);

fn doubt(package: Option<&str>) -> Doubt {
    Doubt { release: None, package: package.map(Into::into) }
}

fn sync(harness: &mut Harness, version: &str, doubts: Vec<Doubt>, groups: Vec<Group>) {
    harness.handle(Event::SyncBegan { profile: "p".into() });
    harness.handle(Event::SyncDoubts { profile: "p".into(), doubts });
    harness.sync("p", version, groups);
}

fn wanted(harness: &Harness) -> Vec<String> {
    let jobs = harness.queue.entries.values().filter(|entry| entry.job.is_wanted());
    jobs.map(|entry| entry.job.key.source.to_string()).collect()
}

fn name_of(group: &Group) -> String {
    group.artifacts[0].name.to_string()
}

#[test]
fn a_job_whose_stanza_cannot_be_read_keeps_its_place() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a", "b"]));
    let a = name_of(&groups(&["a"])[0]);
    sync(&mut harness, "2", vec![doubt(Some(&a))], vec![]);
    assert_eq!(wanted(&harness), ["a"]);
    // The doubt lasts as long as the index has it.
    sync(&mut harness, "3", vec![doubt(Some(&a))], vec![]);
    assert_eq!(wanted(&harness), ["a"]);
    harness.sync("p", "4", vec![]);
    assert_eq!(wanted(&harness), [""; 0]);
}

#[test]
fn doubts_are_of_their_release_and_of_one_read() {
    let mut harness = Harness::new();
    let a = name_of(&groups(&["a"])[0]);
    for release in [Some("other"), None] {
        harness.sync("p", "1", groups(&["a"]));
        let doubt = Doubt { release: release.map(Into::into), package: Some(a.as_str().into()) };
        sync(&mut harness, "2", vec![doubt], vec![]);
        let expected: &[&str] = if release.is_none() { &["a"] } else { &[] };
        assert_eq!(wanted(&harness), expected, "{release:?}");
    }
    // A read that broke off leaves none behind.
    harness.handle(Event::SyncDoubts { profile: "p".into(), doubts: vec![doubt(Some(&a))] });
    harness.handle(Event::SyncBegan { profile: "p".into() });
    harness.sync("p", "3", vec![]);
    assert_eq!(wanted(&harness), [""; 0]);
}

#[test]
fn an_artifact_of_a_job_that_is_still_named_keeps_its_verdict() {
    let mut harness = Harness::new();
    let both = group("a", &["one.deb", "two.deb"]);
    harness.sync("p", "1", vec![both.clone()]);
    let (session, granted) = harness.ready(1);
    harness.report(session, 1, &granted[0], good(&granted[0]));
    assert_eq!(*harness.place(JOB), StoredPlace::Decided);
    let two = both.artifacts[1].name.clone();
    let one = || vec![group("a", &["one.deb"])];
    sync(&mut harness, "2", vec![doubt(Some(&two))], one());
    let files = |harness: &Harness| -> Vec<String> {
        harness.queue.entries[&JOB].job.artifacts().iter().map(|a| a.file.to_string()).collect()
    };
    assert_eq!(files(&harness), ["one.deb", "two.deb"]);
    assert_eq!(*harness.place(JOB), StoredPlace::Decided);
    sync(&mut harness, "3", vec![], one());
    assert_eq!(files(&harness), ["one.deb"]);
}

#[test]
fn a_stanza_without_a_name_may_be_any_that_is_not_named_otherwise() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a", "b"]));
    let mut newer = group("b", &["b.deb"]);
    newer.version = "2".into();
    sync(&mut harness, "2", vec![doubt(None)], vec![newer]);
    let versions: Vec<String> = harness
        .queue
        .entries
        .values()
        .filter(|entry| entry.job.is_wanted())
        .map(|entry| format!("{} {}", entry.job.key.source, entry.job.key.version))
        .collect();
    assert_eq!(versions, ["a 1", "b 2"]);
}
