//! Power cuts: everything that a store did to its files is recorded, from its creation on, over
//! clean ends, kills and earlier power cuts, and played back up to any moment.

use std::path::Path;

use rebuilder_actors::port::{Store, StoreOwner};

use super::power_load::{self, Content};
use super::{Engine, StoreOptions};
use crate::data_dir::DataDir;
use crate::testing::power_cut::{
    self, CutPlan, Judged, Medium, Node, Numbers, Recording, folder, judge, judged_by_children,
    tell,
};

const LOADS: &str = "store::power_test::child_that_loads";
/// How many batches the child commits.
const BATCHES: &str = "STORE_POWER_BATCHES";
/// To which engine.
const ENGINE: &str = "STORE_POWER_ENGINE";
/// Batches in one commit, at most.
const GROUP: u64 = 4;

/// What an engine is put through.
struct Suite {
    engine: Engine,
    /// The test that judges its images.
    judges: &'static str,
    medium: Medium,
    /// Batches of each process of a life, and the system call at which it is killed.
    life: &'static [(u64, Option<&'static str>)],
    /// Where a process is killed that goes on after a power cut.
    kill_after: &'static str,
    /// Where a process is killed that opens what a power cut left.
    kill_opening: &'static str,
    /// What is lost when no sync of such a path is believed.
    syncs: [&'static str; 2],
}

const SLED: Suite = Suite {
    engine: Engine::Sled,
    judges: "store::power_test::child_that_judges_sled",
    // Without the attribute `S`, which the store insists on, sled loses everything now and then.
    medium: Medium::Synchronous,
    life: &[
        (50, None),
        // After 13 commits, written but not synced.
        (60, Some("fdatasync:when=14")),
        // While it opens: in the middle of the snapshot, before it has its name, before the one
        // that it replaces is gone, and among the writes over free space.
        (60, Some("write:when=3")),
        (60, Some("rename:when=1")),
        (60, Some("unlink:when=2")),
        (60, Some("pwrite64:when=3")),
        (60, None),
        (0, None),
    ],
    kill_after: "fdatasync:when=4",
    kill_opening: "fsync:when=3",
    syncs: ["/store/db", "/data"],
};

const REDB: Suite = Suite {
    engine: Engine::Redb,
    judges: "store::power_test::child_that_judges_redb",
    medium: Medium::Cached,
    life: &[
        (50, None),
        // Before the sync of the pages, and before that of the byte which makes them current.
        (60, Some("fdatasync:when=24")),
        (60, Some("fdatasync:when=33")),
        // Among the writes of a commit, and before the file grows.
        (60, Some("pwrite64:when=60")),
        (60, Some("ftruncate:when=1")),
        // While it opens: before its first write, its first sync, and its second.
        (60, Some("pwrite64:when=1")),
        (60, Some("fdatasync:when=1")),
        (60, Some("fdatasync:when=2")),
        (60, None),
        (0, None),
    ],
    kill_after: "fdatasync:when=9",
    kill_opening: "fdatasync:when=2",
    syncs: ["/store-redb/db.redb", "/data"],
};

/// How many images.
struct Extent {
    /// Of a life.
    life: usize,
    /// Processes that go on after a power cut.
    again: u64,
    /// Images of each.
    of_again: usize,
    /// Processes that open what a power cut left, and do no more; each is cut, and what that
    /// leaves is opened and cut once more.
    recoveries: u64,
    /// Images of each.
    of_recovery: usize,
}

impl Extent {
    fn images(&self) -> usize {
        let recoveries = 2 * self.recoveries as usize * self.of_recovery;
        self.life + self.again as usize * self.of_again + recoveries
    }
}

fn open(engine: Engine, path: &Path) -> Result<StoreOwner<Box<dyn Store>>, String> {
    let dir = DataDir::open(path).map_err(|e| format!("its folder does not open: {e}"))?;
    let store = engine.open(&dir, StoreOptions::default());
    let store = store.and_then(|store| StoreOwner::take(store, None));
    store.map_err(|e| format!("it does not open: {e}"))
}

/// Not a test by itself: the recorded process.
#[test]
fn child_that_loads() {
    let Some(top) = Recording::top() else { return };
    let setting = |name| std::env::var(name).ok().and_then(|n: String| n.parse::<u64>().ok());
    let mut store = open(Engine::asked_by(ENGINE), &top.join("data")).unwrap();
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
fn child_that_judges_sled() {
    judge_images(Engine::Sled);
}

/// Not a test by itself: judges images.
#[test]
fn child_that_judges_redb() {
    judge_images(Engine::Redb);
}

fn judge_images(engine: Engine) {
    // What all batches up to a number leave; the moments of the cuts ascend.
    let (mut content, mut number) = (Content::new(), 0);
    judge(&mut |image, told| {
        let acknowledged = told.last().map_or(0, |number| number.parse().unwrap());
        while number < acknowledged {
            number += 1;
            power_load::apply(&mut content, number);
        }
        fault(engine, &image.join("data"), acknowledged, content.clone()).err()
    });
}

/// What is wrong with the store at `path`, when `acknowledged` batches left `content`.
fn fault(
    engine: Engine,
    path: &Path,
    acknowledged: u64,
    mut content: Content,
) -> Result<(), String> {
    let mut store = open(engine, path)?;
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
    let difference = power_load::difference(&open(engine, path)?, &content);
    difference.map_or(Ok(()), |d| Err(format!("opened once more, after batch {}: {d}", last + 2)))
}

impl Suite {
    fn run(&self, recording: &mut Recording, batches: u64, kill: Option<&str>) {
        let environment = [(BATCHES, batches.to_string()), (ENGINE, self.engine.name().to_owned())];
        recording.run(LOADS, &environment, kill);
    }

    fn judged(&self, recording: &Recording, images: usize, seed: u64) -> Judged {
        judged_by_children(&CutPlan::new(recording, self.medium, images, seed), self.judges)
    }

    /// A recording that begins with what a power cut of `before` left.
    fn after_a_cut(&self, before: &Recording, seed: u64, dir: &Path) -> Recording {
        let (image, told) = power_cut::image(&CutPlan::new(before, self.medium, 1, seed));
        Recording::new(dir, &image, &told)
    }

    fn check(&self, extent: &Extent) {
        if let Some(plan) = CutPlan::replayed() {
            assert_eq!(judged_by_children(&plan, self.judges).faults, Vec::<String>::new());
            return;
        }
        let top = folder();
        // A life with clean ends and kills, from the very beginning.
        let mut life = Recording::new(&top.join("life"), &Node::empty(), &[]);
        for (batches, kill) in self.life {
            self.run(&mut life, *batches, *kill);
        }
        let mut all = self.judged(&life, extent.life, 1);
        // The recovery after a power cut, and what follows it, are cut again.
        for number in 0..extent.again {
            let dir = top.join(format!("again-{number}"));
            let mut again = self.after_a_cut(&life, 100 + number, &dir);
            self.run(&mut again, 14, (number % 4 == 3).then_some(self.kill_after));
            all.add(self.judged(&again, extent.of_again, number));
        }
        // Every moment is one of a recovery, and so is every moment of the next.
        for number in 0..extent.recoveries {
            let dir = top.join(format!("recovery-{number}"));
            let mut first = self.after_a_cut(&life, 1000 + number, &dir);
            self.run(&mut first, 0, (number % 3 == 2).then_some(self.kill_opening));
            all.add(self.judged(&first, extent.of_recovery, number));
            let dir = top.join(format!("second-recovery-{number}"));
            let mut second = self.after_a_cut(&first, 2000 + number, &dir);
            self.run(&mut second, 0, None);
            all.add(self.judged(&second, extent.of_recovery, number));
        }
        all.expect_sound(extent.images(), &top);
    }

    /// The syncs that the store makes, each taken away.
    fn check_syncs(&self) {
        let top = folder();
        let mut recording = Recording::new(&top.join("life"), &Node::empty(), &[]);
        self.run(&mut recording, 25, None);
        // Without its sync the file loses its end, or its middle, where it does not open any more.
        let lost =
            |fault: &String| fault.contains("was acknowledged") || fault.contains("is damaged");
        for path in self.syncs {
            let mut plan = CutPlan::new(&recording, Medium::Cached, 60, 7);
            plan.deaf_to = Some(path.to_owned());
            let judged = judged_by_children(&plan, self.judges);
            let expected = judged.faults.iter().filter(|fault| lost(fault)).count();
            assert!(expected >= 2, "without a sync of {path}: {:?}", judged.faults);
        }
        std::fs::remove_dir_all(&top).unwrap();
    }
}

#[test]
fn no_power_cut_loses_or_tears_a_batch_of_sled() {
    SLED.check(&Extent { life: 720, again: 8, of_again: 40, recoveries: 4, of_recovery: 16 });
}

#[test]
fn no_power_cut_loses_or_tears_a_batch_of_redb() {
    REDB.check(&Extent { life: 240, again: 4, of_again: 20, recoveries: 4, of_recovery: 16 });
}

#[test]
#[ignore = "takes minutes: make test-store"]
fn no_power_cut_at_all_loses_or_tears_a_batch_of_sled() {
    SLED.check(&Extent { life: 3000, again: 24, of_again: 40, recoveries: 48, of_recovery: 20 });
}

#[test]
#[ignore = "takes minutes: make test-store"]
fn no_power_cut_at_all_loses_or_tears_a_batch_of_redb() {
    REDB.check(&Extent { life: 3000, again: 24, of_again: 40, recoveries: 48, of_recovery: 20 });
}

#[test]
fn a_power_cut_finds_each_sync_that_is_missing() {
    SLED.check_syncs();
    REDB.check_syncs();
}
