use super::harness::{HOUR, Harness, assignments, group, groups, offer, sources};
use crate::domain::queue::{ProfilePolicy, Settings};
use crate::protocol::wire::Offer;

const MANY: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

fn order(seed: u64) -> Vec<String> {
    let mut harness = Harness::with(Settings { seed, ..Settings::default() });
    harness.sync("p", "1", groups(&MANY));
    let (session, _) = harness.join_as(1, 1, offer(6));
    let effects = harness.status(session, 0, &[], &[]);
    sources(&assignments(&effects)).into_iter().map(Into::into).collect()
}

#[test]
fn the_shuffle_follows_from_the_seed() {
    assert_eq!(order(1), order(1));
    assert_ne!(order(1), order(2));
    assert_ne!(order(1), MANY, "neighbours do not arrive together");
    let mut sorted = order(1);
    sorted.sort();
    assert_eq!(sorted, MANY);
}

#[test]
fn priority_comes_before_day_and_day_before_shuffle() {
    let mut settings = Settings::default();
    let urgent = ProfilePolicy { priority: Some(-3), ..Default::default() };
    settings.profiles.insert("urgent".into(), urgent);
    let mut harness = Harness::with(settings);
    harness.sync("old", "1", groups(&["a", "b", "c"]));
    harness.advance(24 * HOUR);
    harness.sync("new", "1", groups(&["d", "e", "f"]));
    harness.sync("urgent", "1", groups(&["u"]));
    harness.push("e");
    let (session, _) = harness.join_as(1, 1, offer(9));
    let effects = harness.status(session, 0, &[], &[]);
    let granted = assignments(&effects);
    let granted = sources(&granted);
    assert_eq!(granted[..2], ["u", "e"]);
    let mut old = granted[2..5].to_vec();
    old.sort_unstable();
    assert_eq!(old, ["a", "b", "c"]);
    assert_eq!(granted.len(), 7);
}

fn offers(backends: &[&str], architectures: &[&str], tags: &[&str]) -> Offer {
    let owned = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
    Offer {
        backends: owned(backends),
        architectures: owned(architectures),
        tags: owned(tags),
        ..offer(9)
    }
}

#[test]
fn a_worker_gets_only_what_it_offers() {
    let mut settings = Settings::default();
    let tagged = ProfilePolicy { tags: vec!["fast".into()], ..Default::default() };
    settings.profiles.insert("tagged".into(), tagged);
    let mut harness = Harness::with(settings);
    let mut arm = group("arm", &["arm.deb"]);
    arm.architecture = "arm64".into();
    let mut arch = group("arch", &["arch.zst"]);
    arch.distribution = "archlinux".into();
    harness.sync("p", "1", vec![group("amd", &["amd.deb"]), arm, arch]);
    harness.sync("tagged", "1", groups(&["tag"]));
    let mut got = |worker: u8, offer: Offer| -> Vec<String> {
        let (session, _) = harness.join_as(worker, 1, offer);
        let effects = harness.status(session, 0, &[], &[]);
        let mut got: Vec<String> =
            assignments(&effects).iter().map(|a| (*a.key.source).to_owned()).collect();
        got.sort();
        got
    };
    assert_eq!(got(1, offers(&["guix"], &["*"], &["fast"])), [""; 0]);
    assert_eq!(got(2, offers(&["debian"], &["x86_64"], &[])), ["amd"], "under its other name");
    assert_eq!(got(3, offers(&["debian"], &["amd64"], &["slow", "fast"])), ["tag"]);
    assert_eq!(got(4, offers(&["debian", "archlinux"], &["*"], &[])), ["arch", "arm"]);
}

#[test]
fn workers_take_turns() {
    let mut harness = Harness::new();
    let (one, _) = harness.join_as(1, 1, offer(3));
    let (two, _) = harness.join_as(2, 1, offer(3));
    harness.status(one, 0, &[], &[]);
    harness.status(two, 0, &[], &[]);
    harness.sync("p", "1", groups(&["a", "b", "c", "d"]));
    let held: Vec<usize> = harness.queue.workers.values().map(|w| w.held.len()).collect();
    assert_eq!(held, [2, 2]);
}
