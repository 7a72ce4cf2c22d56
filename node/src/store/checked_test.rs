//! Damage behind the back of a `CheckedStore`, and what it says when it is opened.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use proptest::prelude::*;
use rebuilder_actors::port::{Batch, Store, StoreError, StoreOwner};
use rebuilder_actors::protocol::SignedReport;
use rebuilder_actors::protocol::stored::{Record, ReportRecord, SumsRecord};

use super::checked::{CheckedStore, Opened, Places};
use super::conformance;
use super::memory::Memory;

fn places(folder: &Path) -> Places {
    Places { engine: folder.join("db"), head: folder.join("store.head"), has_sums: false }
}

fn open(memory: &Memory, folder: &Path) -> Result<StoreOwner<CheckedStore<Memory>>, StoreError> {
    let (store, _) = CheckedStore::open(memory.clone(), &places(folder))?;
    StoreOwner::take(store, None)
}

fn boxed(memory: &Memory, folder: &Path) -> StoreOwner<Box<dyn Store>> {
    let (store, _) = CheckedStore::open(memory.clone(), &places(folder)).unwrap();
    StoreOwner::take(Box::new(store) as Box<dyn Store>, None).unwrap()
}

/// A report and its signed bytes, with a change of its job.
fn report(number: u64) -> Batch {
    let mut batch = Batch::default();
    batch.put(ReportRecord::key(number), vec![u8::try_from(number % 251).unwrap(); 40]);
    batch.put(SignedReport::key(number), vec![1; 300]);
    batch.put(vec![b's', u8::try_from(number % 3).unwrap()], number.to_be_bytes().to_vec());
    batch
}

/// A store of that many reports.
fn filled(folder: &Path, reports: u64) -> Memory {
    let memory = Memory::default();
    let mut store = open(&memory, folder).unwrap();
    for number in 1..=reports {
        store.commit(&[report(number)]).unwrap();
    }
    memory
}

fn content(memory: &Memory) -> BTreeMap<Bytes, Bytes> {
    memory.0.lock().unwrap().clone()
}

/// What is said of a store after `harm`.
fn said(reports: u64, harm: impl FnOnce(&mut BTreeMap<Bytes, Bytes>, &Path)) -> String {
    let top = tempfile::tempdir().unwrap();
    let memory = filled(top.path(), reports);
    harm(&mut memory.0.lock().unwrap(), top.path());
    match open(&memory, top.path()) {
        Err(StoreError::Damaged { path, reason }) => {
            format!("{}: {reason}", path.replace(&top.path().display().to_string(), ""))
        }
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_history_reads_like_an_ordered_map(steps in conformance::history()) {
        let top = tempfile::tempdir().unwrap();
        let memory = Memory::default();
        conformance::check_history(&steps, || boxed(&memory, top.path()));
    }

    #[test]
    fn any_record_that_is_lost_or_changed_is_seen(
        at in any::<prop::sample::Index>(),
        bit in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let top = tempfile::tempdir().unwrap();
        let memory = filled(top.path(), 9);
        {
            let mut content = memory.0.lock().unwrap();
            let key = content.keys().nth(at.index(content.len())).unwrap().clone();
            match bit {
                Some(bit) => {
                    let mut value = content[&key].to_vec();
                    let bit = bit.index(8 * value.len());
                    value[bit / 8] ^= 1 << (bit % 8);
                    content.insert(key, value.into());
                }
                None => drop(content.remove(&key)),
            }
        }
        let opened = open(&memory, top.path());
        prop_assert!(matches!(opened, Err(StoreError::Damaged { .. })), "{opened:?}");
    }
}

#[test]
fn order_within_a_commit_holds() {
    let top = tempfile::tempdir().unwrap();
    let memory = Memory::default();
    conformance::check_order_within_a_commit(boxed(&memory, top.path()));
    open(&memory, top.path()).unwrap();
}

#[test]
fn what_is_missing_is_named() {
    let lost = said(12, |content, _| {
        for number in [4, 7] {
            content.remove(&*ReportRecord::key(number));
        }
    });
    let expected = "/db: reports: 10 of 12 records are there (without report 4, 7)";
    assert_eq!(lost, expected);
    let changed = said(5, |content, _| {
        content.insert(SignedReport::key(3).into(), Bytes::from_static(b"other"));
    });
    assert_eq!(
        changed,
        "/db: signed reports: 5 records, of which some are not as they were written"
    );
}

#[test]
fn an_older_copy_of_the_engine_is_refused() {
    let top = tempfile::tempdir().unwrap();
    let memory = filled(top.path(), 3);
    let old = content(&memory);
    let mut store = open(&memory, top.path()).unwrap();
    store.commit(&[report(4)]).unwrap();
    store.commit(&[report(5)]).unwrap();
    drop(store);
    *memory.0.lock().unwrap() = old;
    let error = open(&memory, top.path()).unwrap_err().to_string();
    assert!(error.contains("2 commits are missing at its end, with 2 accepted"), "{error}");
}

/// Another history of the same length, as from a copy of the data directory that lived on.
#[test]
fn the_engine_of_another_life_is_refused() {
    let top = tempfile::tempdir().unwrap();
    let memory = filled(top.path(), 3);
    let other = tempfile::tempdir().unwrap();
    let twin = Memory::default();
    *twin.0.lock().unwrap() = content(&memory);
    std::fs::copy(top.path().join("store.head"), other.path().join("store.head")).unwrap();
    let mut batch = report(4);
    batch.put(&b"sx"[..], &b"other"[..]);
    open(&memory, top.path()).unwrap().commit(&[report(4)]).unwrap();
    let mut store = open(&twin, other.path()).unwrap();
    store.commit(&[batch]).unwrap();
    *memory.0.lock().unwrap() = content(&twin);
    let error = open(&memory, top.path()).unwrap_err().to_string();
    assert!(error.contains("is not what"), "{error}");
}

/// The same, further on: its number says nothing, its reports do.
#[test]
fn reports_that_do_not_continue_the_known_ones_are_refused() {
    let (top, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (memory, twin) = (filled(top.path(), 4), Memory::default());
    let mut store = open(&twin, other.path()).unwrap();
    for number in 1..=6 {
        let mut batch = report(number);
        batch.0.truncate(if number == 3 { 1 } else { 3 });
        if number == 3 {
            batch.put(SignedReport::key(3), &b"of another life"[..]);
        }
        store.commit(&[batch]).unwrap();
    }
    drop(store);
    *memory.0.lock().unwrap() = content(&twin);
    let error = open(&memory, top.path()).unwrap_err().to_string();
    assert!(error.contains("(up to number 4)"), "{error}");
}

#[test]
fn a_head_that_is_behind_is_continued() {
    let top = tempfile::tempdir().unwrap();
    let memory = filled(top.path(), 3);
    let head = top.path().join("store.head");
    let old = std::fs::read(&head).unwrap();
    let mut store = open(&memory, top.path()).unwrap();
    store.commit(&[report(4)]).unwrap();
    store.commit(&[report(5), report(6)]).unwrap();
    drop(store);
    std::fs::write(&head, old).unwrap();
    // A power cut took the last heads: what follows them is proved by the chains.
    let mut store = open(&memory, top.path()).unwrap();
    store.commit(&[report(7)]).unwrap();
    drop(store);
    open(&memory, top.path()).unwrap();
}

#[test]
fn a_head_without_its_store_and_a_store_without_its_head_are_refused() {
    let lost = said(3, |_, folder| std::fs::remove_file(folder.join("store.head")).unwrap());
    assert_eq!(lost, "/store.head: it is missing, although the store has sums");
    let emptied = said(3, |content, _| content.clear());
    assert!(emptied.starts_with("/db: it does not have the sums"), "{emptied}");
    let zeroed = said(3, |_, folder| {
        std::fs::write(folder.join("store.head"), [0; 1024]).unwrap();
    });
    assert_eq!(zeroed, "/store.head: it is not as it was written");
    let top = tempfile::tempdir().unwrap();
    let places = Places { has_sums: true, ..places(top.path()) };
    let opened = CheckedStore::open(Memory::default(), &places);
    assert!(matches!(opened, Err(StoreError::Damaged { .. })), "{opened:?}");
}

/// A slot that a power cut tore is told from one that rotted: then the engine is ahead.
#[test]
fn half_a_head_is_believed_only_where_the_engine_is_ahead() {
    let top = tempfile::tempdir().unwrap();
    let memory = filled(top.path(), 4);
    let head = top.path().join("store.head");
    let whole = std::fs::read(&head).unwrap();
    let generation =
        |slot: usize| u64::from_le_bytes(whole[512 * slot + 8..][..8].try_into().unwrap());
    let newest = usize::from(generation(1) > generation(0));
    for slot in [newest, 1 - newest] {
        let mut torn = whole.clone();
        torn[512 * slot + 20] ^= 1;
        std::fs::write(&head, torn).unwrap();
        assert_eq!(open(&memory, top.path()).is_ok(), slot == newest);
    }
}

#[test]
fn a_store_of_a_release_before_gets_its_sums() {
    let top = tempfile::tempdir().unwrap();
    let memory = Memory::default();
    StoreOwner::take(memory.clone(), None).unwrap().commit(&[report(1), report(2)]).unwrap();
    let (store, opened) = CheckedStore::open(memory.clone(), &places(top.path())).unwrap();
    assert_eq!(opened, Opened::Adopted { records: 6 });
    drop(store);
    let (_, opened) = CheckedStore::open(memory.clone(), &places(top.path())).unwrap();
    assert_eq!(opened, Opened::Whole);
    // A hole that was there before is not adopted.
    let top = tempfile::tempdir().unwrap();
    let memory = Memory::default();
    StoreOwner::take(memory.clone(), None).unwrap().commit(&[report(1), report(3)]).unwrap();
    let error = open(&memory, top.path()).unwrap_err().to_string();
    assert!(error.contains("without report 2; without signed report 2"), "{error}");
}

/// The steps of an adoption, each followed by the end of the process.
#[test]
fn an_adoption_that_breaks_off_begins_again() {
    let top = tempfile::tempdir().unwrap();
    let memory = Memory::default();
    StoreOwner::take(memory.clone(), None).unwrap().commit(&[report(1)]).unwrap();
    drop(open(&memory, top.path()).unwrap());
    let head = top.path().join("store.head");
    let birth = super::head::Head::BIRTH;
    drop(super::head::HeadFile::create(&head, &birth).unwrap());
    // The sums are there, the head does not know yet.
    drop(open(&memory, top.path()).unwrap());
    drop(super::head::HeadFile::create(&head, &birth).unwrap());
    memory.0.lock().unwrap().remove(&*SumsRecord::key(()));
    drop(open(&memory, top.path()).unwrap());
    open(&memory, top.path()).unwrap();
}

#[test]
fn reports_are_only_appended() {
    let top = tempfile::tempdir().unwrap();
    let memory = filled(top.path(), 3);
    let mut rewritten = Batch::default();
    rewritten.put(ReportRecord::key(2), &b"x"[..]);
    let mut deleted = Batch::default();
    deleted.delete(SignedReport::key(3));
    let mut own = Batch::default();
    own.put(SumsRecord::key(()), &b"x"[..]);
    for batch in [rewritten, deleted, own] {
        let mut store = open(&memory, top.path()).unwrap();
        let error = store.commit(&[batch]).unwrap_err();
        assert!(matches!(error, StoreError::Io { .. }), "{error}");
        assert_eq!(store.commit(&[]), Err(error));
    }
    open(&memory, top.path()).unwrap();
}
