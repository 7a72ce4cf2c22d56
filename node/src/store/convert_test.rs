//! Conversions: forth, back, refused, and interrupted at any moment.

use std::fs;
use std::path::{Path, PathBuf};

use rebuilder_actors::port::{Batch, Store, StoreOwner};

use super::power_load::{self, Content};
use super::{ConvertError, Converted, Engine, StoreOptions, convert};
use crate::data_dir::DataDir;
use crate::testing::power_cut::{
    CutPlan, Judged, Medium, Node, Recording, folder, judge, judged_by_children, tell,
};

const CONVERTS: &str = "store::convert_test::child_that_converts";
const JUDGES: &str = "store::convert_test::child_that_judges";
/// To which engine.
const TO: &str = "STORE_CONVERT_TO";
/// Of the store that is converted: some 600 records, values of up to 160 KB among them.
const BATCHES: u64 = 60;

fn open(engine: Engine, path: &Path) -> Result<StoreOwner<Box<dyn Store>>, String> {
    let dir = DataDir::open(path).map_err(|error| error.to_string())?;
    let store = engine.open(&dir, StoreOptions::default());
    store.and_then(|store| StoreOwner::take(store, None)).map_err(|error| error.to_string())
}

/// Makes a store; returns what is in it.
fn fill(engine: Engine, path: &Path) -> Content {
    let mut store = open(engine, path).unwrap();
    let mut content = Content::new();
    for number in 1..=BATCHES {
        store.commit(&[power_load::batch(number)]).unwrap();
        power_load::apply(&mut content, number);
    }
    content
}

fn to(engine: Engine, path: &Path) -> Result<Converted, ConvertError> {
    convert(path, engine, StoreOptions::default())
}

fn former(done: &Converted) -> PathBuf {
    match done {
        Converted::Done { former, .. } => former.clone(),
        Converted::Already => panic!("nothing was done"),
    }
}

fn holds(engine: Engine, path: &Path, content: &Content) {
    let store = open(engine, path).unwrap();
    assert_eq!(power_load::difference(&*store, content), None, "{engine:?}");
}

#[test]
fn forth_and_back_every_record_stays_and_the_former_store_too() {
    for engine in Engine::ALL {
        let top = tempfile::tempdir().unwrap();
        let content = fill(engine, top.path());
        let done = to(engine.other(), top.path()).unwrap();
        let records = content.len() as u64;
        let kept = top.path().join(format!("{}.old", engine.folder()));
        assert_eq!(done, Converted::Done { records, former: kept.clone() });
        assert!(open(engine, top.path()).is_err());
        assert_eq!(to(engine.other(), top.path()).unwrap(), Converted::Already);
        holds(engine.other(), top.path(), &content);
        // Back; it is another folder now, and the former one of the first conversion stays.
        let second = former(&to(engine, top.path()).unwrap());
        assert!(second.ends_with(format!("{}.old", engine.other().folder())));
        holds(engine, top.path(), &content);
        let third = former(&to(engine.other(), top.path()).unwrap());
        assert!(third.ends_with(format!("{}.old-2", engine.folder())), "{}", third.display());
        assert!(kept.exists() && second.exists());
        // What was kept is a whole store.
        fs::remove_dir_all(top.path().join(engine.other().folder())).unwrap();
        fs::rename(kept, top.path().join(engine.folder())).unwrap();
        holds(engine, top.path(), &content);
    }
}

#[test]
fn an_empty_store_is_converted() {
    for engine in Engine::ALL {
        let top = tempfile::tempdir().unwrap();
        drop(open(engine, top.path()).unwrap());
        let done = to(engine.other(), top.path()).unwrap();
        assert!(matches!(done, Converted::Done { records: 0, .. }));
        holds(engine.other(), top.path(), &Content::new());
    }
}

#[test]
fn a_store_in_use_and_a_folder_without_one_are_refused() {
    let top = tempfile::tempdir().unwrap();
    let path = top.path().join("data");
    let content = fill(Engine::Sled, &path);
    let store = open(Engine::Sled, &path).unwrap();
    let error = to(Engine::Redb, &path).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, ConvertError::InUse(_)), "{text}");
    assert!(text.contains("stop the node") && text.contains("pid"), "{text}");
    drop(store);
    holds(Engine::Sled, &path, &content);

    let empty = top.path().join("empty");
    fs::create_dir(&empty).unwrap();
    for folder in [&empty, &top.path().join("absent")] {
        let error = to(Engine::Redb, folder).unwrap_err();
        assert!(matches!(error, ConvertError::NoStore { .. }), "{error}");
    }
    assert_eq!(fs::read_dir(&empty).unwrap().count(), 0);
}

#[test]
fn what_a_killed_conversion_left_is_made_anew_or_finished() {
    for engine in Engine::ALL {
        let top = tempfile::tempdir().unwrap();
        let content = fill(engine, top.path());
        // Half a copy.
        let fresh = top.path().join(engine.other().fresh_folder());
        fs::create_dir(&fresh).unwrap();
        fs::write(fresh.join("db.redb"), "half").unwrap();
        let kept = former(&to(engine.other(), top.path()).unwrap());
        assert!(!fresh.exists());
        // Between the renames: neither engine opens, and either direction finishes.
        fs::rename(&kept, top.path().join(engine.folder())).unwrap();
        for either in Engine::ALL {
            assert!(open(either, top.path()).err().unwrap().contains("two stores"));
        }
        former(&to(engine, top.path()).unwrap());
        holds(engine, top.path(), &content);
    }
}

#[test]
fn two_stores_that_differ_are_both_left() {
    let top = tempfile::tempdir().unwrap();
    let content = fill(Engine::Sled, top.path());
    let kept = former(&to(Engine::Redb, top.path()).unwrap());
    // More, other and fewer records than the copy has.
    let mut put = Batch::default();
    put.put(&b"zz"[..], &b"more"[..]);
    let mut delete = Batch::default();
    delete.delete(&b"zz"[..]);
    delete.delete(content.keys().next().unwrap().clone());
    let redb = top.path().join(Engine::Redb.folder());
    let aside = top.path().join("aside");
    for batch in [put, power_load::batch(1), delete] {
        fs::rename(&redb, &aside).unwrap();
        let sled = top.path().join(Engine::Sled.folder());
        if kept.exists() {
            fs::rename(&kept, &sled).unwrap();
        }
        open(Engine::Sled, top.path()).unwrap().commit(&[batch]).unwrap();
        fs::rename(&aside, &redb).unwrap();
        let error = to(Engine::Redb, top.path()).unwrap_err();
        assert!(matches!(error, ConvertError::Differ { .. }), "{error}");
        assert!(sled.exists() && redb.exists());
    }
}

/// Not a test by itself: the recorded process.
#[test]
fn child_that_converts() {
    let Some(top) = Recording::top() else { return };
    to(Engine::asked_by(TO), &top.join("data")).unwrap();
    tell("done");
}

/// Not a test by itself: judges images.
#[test]
fn child_that_judges() {
    let mut content = Content::new();
    (1..=BATCHES).for_each(|number| power_load::apply(&mut content, number));
    judge(&mut |image, told| {
        let wanted = Engine::ALL.into_iter().find(|engine| engine.name() == told[0]);
        fault(&image.join("data"), wanted.unwrap(), told.len() > 1, &content).err()
    });
}

/// What is wrong after a conversion to `wanted` was interrupted, or `done`.
fn fault(path: &Path, wanted: Engine, done: bool, content: &Content) -> Result<(), String> {
    let whole = |engine, path: &Path| match power_load::difference(&*open(engine, path)?, content) {
        Some(difference) => Err(format!("{engine:?}: {difference}")),
        None => Ok(()),
    };
    if done {
        return whole(wanted, path);
    }
    // A node that is started now finds everything, or nothing that it could open.
    for engine in Engine::ALL {
        match open(engine, path) {
            Ok(store) => match power_load::difference(&*store, content) {
                Some(difference) => return Err(format!("{engine:?} opens: {difference}")),
                None => continue,
            },
            Err(error) if error.contains("store convert") => {}
            Err(error) => return Err(format!("{engine:?}: {error}")),
        }
    }
    to(wanted, path).map_err(|error| format!("it is not finished: {error}"))?;
    whole(wanted, path)
}

#[test]
fn a_conversion_survives_a_kill_and_a_power_cut_at_any_moment() {
    if let Some(plan) = CutPlan::replayed() {
        assert_eq!(judged_by_children(&plan, JUDGES).faults, Vec::<String>::new());
        return;
    }
    let top = folder();
    let mut all = Judged::default();
    for wanted in Engine::ALL {
        let start = tempfile::tempdir().unwrap();
        fill(wanted.other(), &start.path().join("data"));
        let start = Node::read(start.path()).unwrap();
        let told = [wanted.name().to_owned()];
        let mut recording = Recording::new(&top.join(wanted.name()), &start, &told);
        recording.run(CONVERTS, &[(TO, wanted.name().to_owned())], None);
        let plan = CutPlan::new(&recording, Medium::Synchronous, 60, 5);
        all.add(judged_by_children(&plan, JUDGES));
    }
    all.expect_sound(120, &top);
}
