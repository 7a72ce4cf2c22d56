use super::harness::{HOUR, Harness, assignments, bad, cancelled, failed, good, group, groups};
use crate::domain::queue::{Fact, JobPlace, ProfilePolicy, Settings};
use crate::port::Op;
use crate::protocol::stored::{JobRecord, ProfileRecord, Record, StoredPlace};
use crate::protocol::wire::v1::coordinator::Answer;
use crate::protocol::{Assignment, Epoch, InputId};

const JOB: InputId = InputId(1);

#[test]
fn a_shared_job_stays_until_the_last_profile_leaves() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a"]));
    harness.sync("q", "1", groups(&["a"]));
    assert_eq!(harness.queue.entries.len(), 1);
    harness.sync("p", "2", vec![]);
    assert_eq!(harness.queue.ready.len(), 1);
    harness.sync("q", "2", vec![]);
    assert_eq!(harness.queue.ready.len(), 0);
    let (_, granted) = harness.ready(1);
    assert_eq!(granted, [], "what nobody wants is never granted");
}

#[test]
fn a_running_job_that_left_the_index_may_finish() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a"]));
    let (session, granted) = harness.ready(1);
    let effects = harness.sync("p", "2", vec![]);
    assert_eq!(cancelled(&effects), []);
    harness.status(session, 1, &[granted[0].attempt], &[]);
    let (answer, _) = harness.report(session, 1, &granted[0], good(&granted[0]));
    assert_eq!(answer, Answer::Accepted);
    assert_eq!(*harness.place(JOB), StoredPlace::Decided);
}

#[test]
fn a_lost_attempt_at_a_job_that_left_is_not_repeated() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a"]));
    let (session, _) = harness.ready(1);
    harness.sync("p", "2", vec![]);
    assert_eq!(assignments(&harness.status(session, 1, &[], &[])), []);
    assert_eq!(harness.queue.next_deadline(harness.now), None);
}

#[test]
fn releases_and_profiles_do_not_touch_each_other() {
    let mut harness = Harness::new();
    let release = |name: &str| {
        let mut group = group("a", &["a.deb"]);
        group.release = Some(name.into());
        group
    };
    harness.sync("p", "1", vec![release("one"), release("two")]);
    harness.sync("q", "1", vec![release("one")]);
    let shown = |harness: &Harness| -> Vec<_> {
        let memberships = &harness.queue.entries[&JOB].job.memberships();
        memberships.iter().map(|m| (m.profile.to_string(), m.release.clone().unwrap())).collect()
    };
    let all = [("p".into(), "one".into()), ("p".into(), "two".into()), ("q".into(), "one".into())];
    assert_eq!(shown(&harness), all);
    let memberships = harness.queue.entries[&JOB].job.memberships();
    assert_eq!(memberships[0].source, memberships[2].source, "one source in one release");
    assert_ne!(memberships[0].source, memberships[1].source);
    assert_ne!(memberships[0].artifacts[0].0, memberships[2].artifacts[0].0);
    harness.sync("q", "2", vec![]);
    assert_eq!(shown(&harness), all[..2]);
}

#[test]
fn an_unchanged_index_writes_the_profile_and_nothing_else() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a", "b"]));
    let effects = harness.sync("p", "1", groups(&["a", "b"]));
    let keys: Vec<_> = effects
        .batch
        .0
        .iter()
        .map(|op| match op {
            Op::Put { key, .. } | Op::Delete { key } => key.to_vec(),
        })
        .collect();
    assert_eq!(keys, [ProfileRecord::key(Box::<str>::from("p"))]);
}

#[test]
fn another_url_rewrites_the_job_and_no_more() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a"]));
    let (session, granted) = harness.ready(1);
    harness.report(session, 1, &granted[0], good(&granted[0]));
    let mut moved = groups(&["a"]);
    moved[0].artifacts[0].url = "https://other.example.org/a.deb".into();
    let effects = harness.sync("p", "2", moved);
    let keys: Vec<_> = effects
        .batch
        .0
        .iter()
        .map(|op| match op {
            Op::Put { key, .. } | Op::Delete { key } => key.to_vec(),
        })
        .collect();
    assert_eq!(keys, [JobRecord::key(JOB), ProfileRecord::key(Box::<str>::from("p"))]);
    assert_eq!(*harness.place(JOB), StoredPlace::Decided);
    assert_eq!(harness.queue.counters.artifact, 1, "the same artifact");
}

#[test]
fn a_new_artifact_queues_a_decided_job_again_for_the_same_worker_too() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a"]));
    let (session, granted) = harness.ready(1);
    harness.report(session, 1, &granted[0], good(&granted[0]));
    let effects = harness.sync("p", "2", vec![group("a", &["a.deb", "b.deb"])]);
    let again = assignments(&effects);
    assert_eq!((again[0].attempt.epoch, again[0].artifacts.len()), (Epoch(2), 2));
    let (answer, _) = harness.report(session, 1, &again[0], good(&again[0]));
    assert_eq!(answer, Answer::Accepted);
}

#[test]
fn a_drop_lasts_until_the_version_changes_and_a_push_undoes_it() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a"]));
    harness.drop_job("a");
    harness.sync("p", "2", vec![group("a", &["a.deb", "b.deb"])]);
    harness.restart();
    let (session, granted) = harness.ready(1);
    assert_eq!(granted, []);
    let mut newer = group("a", &["a_2.deb"]);
    newer.version = "2".into();
    let effects = harness.sync("p", "3", vec![newer]);
    assert_eq!(&*assignments(&effects)[0].key.version, "2");
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a"]));
    harness.drop_job("a");
    assert_eq!(*harness.place(JOB), StoredPlace::Dropped);
    harness.push("a");
    assert_eq!(harness.ready(1).1.len(), 1);
    let _ = session;
}

#[test]
fn dropping_a_running_job_cancels_it_and_its_verdict_still_is_kept() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a"]));
    let (session, granted) = harness.ready(1);
    let effects = harness.drop_job("a");
    assert_eq!(cancelled(&effects), [granted[0].attempt]);
    assert_eq!(harness.queue.next_deadline(harness.now), None, "the lease is gone");
    for _ in 0..3 {
        let effects = harness.status(session, 1, &[granted[0].attempt], &[]);
        assert_eq!(cancelled(&effects), [], "it was told, and may take its time");
    }
    harness.status(session, 1, &[], &[]);
    let effects = harness.status(session, 1, &[granted[0].attempt], &[]);
    assert_eq!(cancelled(&effects), [granted[0].attempt], "it began again");
    let (answer, _) = harness.report(session, 1, &granted[0], good(&granted[0]));
    assert_eq!(answer, Answer::Accepted);
    assert_eq!(*harness.place(JOB), StoredPlace::Dropped);
}

#[test]
fn published_files_are_checked_if_any_profile_says_so() {
    let mut settings = Settings::default();
    let careful = ProfilePolicy { check_published: true, ..ProfilePolicy::default() };
    settings.profiles.insert("careful".into(), careful);
    let mut harness = Harness::with(settings);
    harness.sync("plain", "1", groups(&["a", "b"]));
    harness.sync("careful", "1", groups(&["b"]));
    let granted = [harness.ready(1).1, harness.ready(2).1].concat();
    let checked = |a: &Assignment| (a.artifacts[0].file.to_string(), a.check_published);
    let mut checked: Vec<_> = granted.iter().map(checked).collect();
    checked.sort();
    assert_eq!(checked, [("a.deb".to_owned(), false), ("b.deb".to_owned(), true)]);
}

#[test]
fn a_shared_job_takes_the_soonest_wishes_and_the_largest_limit() {
    let mut settings = Settings::default();
    let slow = ProfilePolicy {
        priority: Some(5),
        initial_delay: Some(24 * HOUR),
        max_retries: Some(0),
        ..ProfilePolicy::default()
    };
    settings.profiles.insert("slow".into(), slow);
    let mut harness = Harness::with(settings);
    let effects = harness.sync("slow", "1", groups(&["a"]));
    assert!(
        effects
            .facts
            .iter()
            .any(|f| matches!(f, Fact::Placed(_, stand) if stand.job_place() == JobPlace::Waiting))
    );
    assert_eq!(harness.delay(JOB), 24 * HOUR);
    harness.sync("plain", "1", groups(&["a"]));
    assert_eq!(harness.delay(JOB), core::time::Duration::ZERO, "the other profile does not wait");
    let StoredPlace::Queued { waiting, .. } = harness.place(JOB) else { panic!() };
    assert_eq!(waiting.priority, 1);
    let (session, granted) = harness.ready(1);
    harness.report(session, 1, &granted[0], bad(&granted[0]));
    assert_eq!(harness.delay(JOB), 24 * HOUR, "the other profile has no limit");
    harness.sync("plain", "2", vec![]);
    harness.advance(24 * HOUR);
    let granted = assignments(&harness.status(session, 1, &[], &[]));
    harness.report(session, 1, &granted[0], failed());
    assert_eq!(*harness.place(JOB), StoredPlace::Decided, "its own says: once");
}

#[test]
fn releases_that_could_not_be_read_keep_what_they_named() {
    use crate::domain::queue::Event;

    let mut harness = Harness::new();
    let of = |source: &str, release: &str| {
        let mut group = group(source, &[&format!("{source}.deb")]);
        group.release = Some(release.into());
        group
    };
    let keep = |harness: &mut Harness, releases: &[&str]| {
        let releases = releases.iter().map(|name| (*name).into()).collect();
        harness.handle(Event::SyncKept { profile: "p".into(), releases });
    };
    let wanted = |harness: &Harness| -> Vec<String> {
        let entries = harness.queue.entries.values().filter(|entry| entry.wanted());
        entries.map(|entry| entry.job.key.source.to_string()).collect()
    };
    let all = vec![of("a", "one"), of("b", "two"), of("c", "one"), of("c", "two")];
    harness.sync("p", "1", all);
    harness.sync("q", "1", vec![of("d", "two")]);
    // Two cannot be read, one lost a package that two has as well.
    keep(&mut harness, &["two"]);
    harness.sync("p", "2", vec![of("a", "one")]);
    assert_eq!(wanted(&harness), ["a", "b", "c", "d"]);
    let memberships = harness.queue.entries[&InputId(3)].job.memberships();
    let releases: Vec<_> = memberships.iter().filter_map(|m| m.release.as_deref()).collect();
    assert_eq!(releases, ["two"], "of the release that was read nothing is left");
    // It holds for one sync, and a hand-over that begins anew forgets it.
    keep(&mut harness, &["two"]);
    harness.handle(Event::SyncBegan { profile: "p".into() });
    harness.sync("p", "3", vec![of("a", "one")]);
    assert_eq!(wanted(&harness), ["a", "d"]);
    keep(&mut harness, &["one", "two"]);
    harness.sync("p", "4", vec![]);
    assert_eq!(wanted(&harness), ["a", "d"]);
}

#[test]
fn a_job_was_first_seen_when_it_was_whoever_wants_it_later() {
    let mut harness = Harness::new();
    let began = harness.now.utc;
    harness.sync("p", "1", groups(&["a"]));
    let first = |harness: &Harness| harness.queue.entries[&JOB].job.first_seen;
    assert_eq!(first(&harness), Some(began));
    harness.advance(HOUR);
    harness.sync("q", "1", groups(&["a"]));
    assert_eq!(first(&harness), Some(began), "another profile joined");
    harness.sync("p", "2", vec![]);
    harness.sync("q", "2", vec![]);
    assert_eq!(first(&harness), Some(began), "nobody wants it");
    harness.advance(HOUR);
    let effects = harness.sync("p", "3", groups(&["a", "b"]));
    assert_eq!(first(&harness), Some(began), "it came back");
    let writes = effects.batch.0.iter().filter_map(|op| match op {
        Op::Put { key, value } => JobRecord::parse_key(key).ok().map(|id| (id, value)),
        Op::Delete { .. } => None,
    });
    let seen = |value| crate::protocol::stored::read::<JobRecord>(value).unwrap().first_seen;
    let written: Vec<_> = writes.map(|(id, value)| (id, seen(value))).collect();
    assert_eq!(written, [(JOB, Some(began)), (InputId(2), Some(harness.now.utc))]);
}

#[test]
fn a_release_that_names_a_job_no_more_leaves_it_to_the_others() {
    let mut harness = Harness::new();
    let of = |release: &str, name: &str| {
        let mut group = groups(&[name]).remove(0);
        group.release = Some(release.into());
        group
    };
    let releases = |harness: &Harness| -> Vec<String> {
        let memberships = harness.queue.entries[&JOB].job.memberships().into_iter();
        memberships.filter_map(|m| m.release.map(Into::into)).collect()
    };
    harness.sync("p", "1", vec![of("one", "a"), of("two", "a")]);
    harness.sync("q", "1", vec![of("two", "a")]);
    assert_eq!(releases(&harness), ["one", "two", "two"]);
    // The second release has a newer version: the first one still has this.
    let effects = harness.sync("p", "2", vec![of("one", "a"), of("two", "b")]);
    assert_eq!(releases(&harness), ["one", "two"], "the other profile's is its own");
    let facts = effects.facts.iter().filter(|fact| matches!(fact, Fact::Job(_))).count();
    assert_eq!(facts, 2, "the new one, and that the old one is otherwise");
    // A release of which nothing was read keeps what it named.
    harness.sync("p", "3", vec![of("one", "a"), of("two", "a"), of("two", "b")]);
    assert_eq!(releases(&harness), ["one", "two", "two"]);
    harness.handle(crate::domain::queue::Event::SyncBegan { profile: "p".into() });
    let effects = harness.sync("p", "4", vec![of("two", "a"), of("two", "b")]);
    assert_eq!(releases(&harness), ["two", "two"]);
    assert_eq!(effects.facts.iter().filter(|fact| matches!(fact, Fact::Job(_))).count(), 1);
    let same = harness.sync("p", "5", vec![of("two", "a"), of("two", "b")]);
    assert!(!same.facts.iter().any(|fact| matches!(fact, Fact::Job(_))), "nothing is otherwise");
}
