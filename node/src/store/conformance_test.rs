//! Every engine is held to the same contract.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use proptest::prelude::*;
use rebuilder_actors::port::{Batch, Store, StoreError, StoreOwner};

use rebuilder_actors::conformance as port;

use super::conformance::{self, Step};
use super::memory::Memory;
use super::{Engine, MAX_KEY, RoomStore, StoreOptions};
use crate::data_dir::DataDir;

fn try_open(engine: Engine, path: &Path) -> Result<Box<dyn Store>, StoreError> {
    engine.open(&DataDir::open(path)?, StoreOptions::default())
}

fn open(engine: Engine, path: &Path) -> StoreOwner<Box<dyn Store>> {
    StoreOwner::take(try_open(engine, path).unwrap(), None).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_history_reads_like_an_ordered_map(steps in conformance::history()) {
        for engine in Engine::ALL {
            let top = tempfile::tempdir().unwrap();
            conformance::check_history(&steps, || open(engine, top.path()));
        }
    }
}

#[test]
fn order_and_limits_hold() {
    for engine in Engine::ALL {
        let top = tempfile::tempdir().unwrap();
        conformance::check_order_within_a_commit(open(engine, &top.path().join("a")));
        conformance::check_limits(|| open(engine, &top.path().join("b")));
    }
}

#[test]
fn readers_see_one_moment_and_only_the_last_owner_writes() {
    for engine in Engine::ALL {
        let top = tempfile::tempdir().unwrap();
        let open = |name| try_open(engine, &top.path().join(name)).unwrap();
        port::store_readers(&mut || open("readers"));
        port::store_fences(&mut || open("fences"), false);
        // As a coordinator opens it: no wrapper loses a reader.
        let open = |name| {
            let dir = DataDir::open(&top.path().join(name)).unwrap();
            let store = super::open(engine, &dir, StoreOptions::default()).unwrap();
            Box::new(RoomStore::new(store, dir.path().to_owned())) as Box<dyn Store>
        };
        port::store_readers(&mut || open("checked readers"));
        port::store_fences(&mut || open("checked fences"), false);
    }
    let memory = Memory::default();
    port::store_fences(&mut || Box::new(memory.clone()), true);
}

#[test]
fn a_half_made_store_is_made_anew() {
    for engine in Engine::ALL {
        let top = tempfile::tempdir().unwrap();
        let fresh = top.path().join(engine.fresh_folder());
        fs::create_dir(&fresh).unwrap();
        for name in ["conf", "db.redb"] {
            fs::write(fresh.join(name), "half").unwrap();
        }
        conformance::check_history(&[Step::Reopen], || open(engine, top.path()));
        assert!(!fresh.exists());
    }
}

#[test]
fn after_a_failed_commit_nothing_is_taken_until_reopened() {
    for engine in Engine::ALL {
        let top = tempfile::tempdir().unwrap();
        let mut store = open(engine, top.path());
        let mut bad = Batch::default();
        bad.put(vec![0; MAX_KEY + 1], Bytes::new());
        let error = store.commit(&[bad]).unwrap_err();
        assert_eq!(store.commit(&[]), Err(error));
        drop(store);
        open(engine, top.path()).commit(&[]).unwrap();
    }
}

#[test]
fn a_store_of_another_engine_is_refused_with_the_way_out() {
    for engine in Engine::ALL {
        let top = tempfile::tempdir().unwrap();
        drop(open(engine.other(), top.path()));
        let error = try_open(engine, top.path()).err().unwrap().to_string();
        let command = format!("store convert --to {}", engine.name());
        assert!(error.contains(&command) && error.contains(engine.other().name()), "{error}");
        assert!(!top.path().join(engine.folder()).exists());
        drop(open(engine.other(), top.path()));

        // As a conversion leaves it that was killed between its two renames.
        fs::create_dir(top.path().join(engine.folder())).unwrap();
        for engine in Engine::ALL {
            let error = try_open(engine, top.path()).err().unwrap().to_string();
            assert!(error.contains("there are two stores"), "{error}");
        }
    }
}
