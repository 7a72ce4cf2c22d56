//! Power cuts: everything that the store did to its files is recorded, from its creation on, over
//! clean ends, kills and earlier power cuts, and played back up to any moment.

use std::path::Path;

use rebuilder_actors::port::Store as _;

use super::power_load::{self, Content};
use super::{SledStore, StoreOptions};
use crate::data_dir::DataDir;
use crate::power_cut::{
    self, Judged, Medium, Node, Numbers, Plan, Recording, folder, judge, judged_by_children, tell,
};

const LOADS: &str = "store::power_tests::child_that_loads";
const JUDGES: &str = "store::power_tests::child_that_judges";
/// How many batches the child commits.
const BATCHES: &str = "STORE_POWER_BATCHES";
/// Batches in one commit, at most.
const GROUP: u64 = 4;

fn open(path: &Path) -> Result<SledStore, String> {
    let dir = DataDir::open(path).map_err(|e| format!("its folder does not open: {e}"))?;
    let store = SledStore::open(&dir, StoreOptions::default());
    store.map_err(|e| format!("it does not open: {e}"))
}

/// Not a test by itself: the recorded process.
#[test]
fn child_that_loads() {
    let Some(top) = Recording::top() else { return };
    let setting = |name| std::env::var(name).ok().and_then(|n: String| n.parse::<u64>().ok());
    let mut store = open(&top.join("data")).unwrap();
    // What a new owner finds, it acts upon: it must stay.
    let first = power_load::last(&store).unwrap();
    tell(&first.to_string());
    let end = first + setting(BATCHES).unwrap();
    let mut random = Numbers::new(end);
    let mut number = first;
    while number < end {
        let group = number + 1..=(number + 1 + random.below(GROUP as usize) as u64).min(end);
        number = *group.end();
        store.commit(&group.map(power_load::batch).collect::<Vec<_>>()).unwrap();
        tell(&number.to_string());
    }
}

/// Not a test by itself: judges images.
#[test]
fn child_that_judges() {
    // What all batches up to a number leave; the moments of the cuts ascend.
    let (mut content, mut number) = (Content::new(), 0);
    judge(&mut |image, told| {
        let acknowledged = told.last().map_or(0, |number| number.parse().unwrap());
        while number < acknowledged {
            number += 1;
            power_load::apply(&mut content, number);
        }
        fault(&image.join("data"), acknowledged, content.clone()).err()
    });
}

/// What is wrong with the store at `path`, when `acknowledged` batches left `content`.
fn fault(path: &Path, acknowledged: u64, mut content: Content) -> Result<(), String> {
    let mut store = open(path)?;
    let read = |e| format!("it cannot be read: {e}");
    let last = power_load::last(&store).map_err(read)?;
    if !(acknowledged..=acknowledged + GROUP).contains(&last) {
        return Err(format!("batch {acknowledged} was acknowledged, the last one is {last}"));
    }
    for number in acknowledged + 1..=last {
        power_load::apply(&mut content, number);
    }
    if let Some(difference) = power_load::difference(&store, &content) {
        return Err(format!("it should be as after batch {last}: {difference}"));
    }
    // It goes on.
    let next = [power_load::batch(last + 1), power_load::batch(last + 2)];
    store.commit(&next).map_err(|e| format!("it takes no more: {e}"))?;
    power_load::apply(&mut content, last + 1);
    power_load::apply(&mut content, last + 2);
    drop(store);
    let difference = power_load::difference(&open(path)?, &content);
    difference.map_or(Ok(()), |d| Err(format!("opened once more, after batch {}: {d}", last + 2)))
}

fn run(recording: &mut Recording, batches: u64, kill: Option<&str>) {
    recording.run(LOADS, &[(BATCHES, batches.to_string())], kill);
}

/// A life with clean ends and kills, from the very beginning.
fn record(dir: &Path) -> Recording {
    let mut recording = Recording::new(dir, &Node::empty(), &[]);
    run(&mut recording, 50, None);
    // After 13 commits, written but not synced.
    run(&mut recording, 60, Some("fdatasync:when=14"));
    // While it opens: in the middle of the snapshot, before it has its name, before the one that
    // it replaces is gone, and among the writes over free space.
    run(&mut recording, 60, Some("write:when=3"));
    run(&mut recording, 60, Some("rename:when=1"));
    run(&mut recording, 60, Some("unlink:when=2"));
    run(&mut recording, 60, Some("pwrite64:when=3"));
    run(&mut recording, 60, None);
    run(&mut recording, 0, None);
    recording
}

#[test]
fn no_power_cut_loses_or_tears_a_batch() {
    if let Some(plan) = Plan::replayed() {
        assert_eq!(judged_by_children(&plan, JUDGES).faults, Vec::<String>::new());
        return;
    }
    let top = folder();
    let recording = record(&top.join("life"));
    let mut all = Judged::default();
    // Without the attribute `S`, which the store insists on, sled loses everything now and then.
    let medium = Medium::Synchronous;
    all.add(judged_by_children(&Plan::new(&recording, medium, 720, 1), JUDGES));
    // The recovery after a power cut, and what follows it, are cut again.
    for number in 0..8 {
        let (image, told) = power_cut::image(&Plan::new(&recording, medium, 1, 100 + number));
        let mut again = Recording::new(&top.join(format!("again-{number}")), &image, &told);
        run(&mut again, 14, (number % 4 == 3).then_some("fdatasync:when=4"));
        all.add(judged_by_children(&Plan::new(&again, medium, 40, number), JUDGES));
    }
    all.expect_sound(1040, &top);
}

/// The syncs that the store makes by itself, each taken away.
#[test]
fn a_power_cut_finds_each_sync_that_is_missing() {
    let top = folder();
    let mut recording = Recording::new(&top.join("life"), &Node::empty(), &[]);
    run(&mut recording, 25, None);
    // Without its sync the log loses its end, or its middle, where it does not open any more.
    let lost = |fault: &String| fault.contains("was acknowledged") || fault.contains("is damaged");
    for path in ["/store/db", "/data"] {
        let mut plan = Plan::new(&recording, Medium::Cached, 60, 7);
        plan.deaf_to = Some(path.to_owned());
        let judged = judged_by_children(&plan, JUDGES);
        let expected = judged.faults.iter().filter(|fault| lost(fault)).count();
        assert!(expected >= 2, "without a sync of {path}: {:?}", judged.faults);
    }
    std::fs::remove_dir_all(&top).unwrap();
}
