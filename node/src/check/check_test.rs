//! A store made by the queue itself, harmed, checked, salvaged and checked again.

use std::fs;
use std::path::Path;

use rebuilder_actors::port::{Batch, StoreError, StoreOwner, StoreRead as _};
use rebuilder_actors::protocol::stored::{self, InvitationRecord, JobRecord, Record};
use rebuilder_actors::protocol::{Sha256, UtcMillis};
use rebuilder_transport::key_file::{self, Access};

use super::{Findings, check, salvage};
use crate::data_dir::DataDir;
use crate::store::{self, Engine, SledStore, StoreOptions};

fn checked(path: &Path) -> Findings {
    let mut findings = Findings::default();
    check(&DataDir::open(path).unwrap(), &mut findings).unwrap();
    assert!(!path.join("check.work").exists());
    findings
}

/// A store that holds records of one invitation each.
fn filled(path: &Path, records: u8) {
    let dir = DataDir::open(path).unwrap();
    key_file::load_or_create(&path.join("coordinator.key"), Access::Owner).unwrap();
    let store = store::open(Engine::Sled, &dir, StoreOptions::default()).unwrap();
    let mut store = StoreOwner::take(store, None).unwrap();
    for number in 0..records {
        let secret_sha256 = Sha256([number; 32]);
        let record = InvitationRecord { secret_sha256, expires: UtcMillis(9), used_by: None };
        let value = stored::write(&record);
        let mut batch = Batch::default();
        batch.put(InvitationRecord::key([number; 8]), value);
        store.commit(&[batch]).unwrap();
    }
}

fn invitations(path: &Path) -> usize {
    let store =
        store::open(Engine::Sled, &DataDir::open(path).unwrap(), StoreOptions::default()).unwrap();
    let mut count = 0;
    store
        .scan(b"i", b"i", &mut |_, _| {
            count += 1;
            true
        })
        .unwrap();
    count
}

#[test]
fn a_record_behind_the_back_of_the_store_is_named_and_the_rest_is_salvaged() {
    let top = tempfile::tempdir().unwrap();
    filled(top.path(), 12);
    let findings = checked(top.path());
    assert!(findings.problems.is_empty(), "{findings:?}");
    {
        let dir = DataDir::open(top.path()).unwrap();
        let raw = SledStore::open(&dir, StoreOptions::default()).unwrap();
        let mut raw = StoreOwner::take(raw, None).unwrap();
        let mut batch = Batch::default();
        batch.delete(InvitationRecord::key([5; 8]));
        raw.commit(&[batch]).unwrap();
    }
    let before = fs::read(top.path().join("store/db")).unwrap();
    let findings = checked(top.path());
    assert!(findings.problems[0].contains("11 of 12 records"), "{findings:?}");
    assert!(findings.problems[0].contains("store/db"), "{findings:?}");
    assert_eq!(fs::read(top.path().join("store/db")).unwrap(), before, "a check changes nothing");
    let dir = DataDir::open(top.path()).unwrap();
    let opened = store::open(Engine::Sled, &dir, StoreOptions::default());
    assert!(matches!(opened.err(), Some(StoreError::Damaged { .. })));
    let mut findings = Findings::default();
    salvage::run(&dir, &mut findings).unwrap();
    drop(dir);
    assert!(findings.problems.is_empty(), "{findings:?}");
    assert!(top.path().join("store.damaged-1/db").exists());
    assert_eq!(invitations(top.path()), 11);
    assert!(checked(top.path()).problems.is_empty());
}

#[test]
fn a_store_that_is_gone_is_a_problem_and_salvaged_as_an_empty_one() {
    let top = tempfile::tempdir().unwrap();
    filled(top.path(), 3);
    fs::remove_file(top.path().join("store/db")).unwrap();
    let findings = checked(top.path());
    assert!(findings.problems[0].contains("store/db is damaged: it is missing"), "{findings:?}");
    assert!(!top.path().join("store/db").exists(), "no empty one is made in its place");
    let dir = DataDir::open(top.path()).unwrap();
    salvage::run(&dir, &mut Findings::default()).unwrap();
    drop(dir);
    assert_eq!(invitations(top.path()), 0);
}

/// Written by the last release of which each record had version 1: 40 jobs, each built once.
#[test]
fn a_data_directory_of_an_earlier_release_opens_with_all_that_it_holds() {
    let top = tempfile::tempdir().unwrap();
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/data-directory-1.tar.zst");
    let archive = zstd::decode_all(fs::File::open(fixture).unwrap()).unwrap();
    let mut tar = std::process::Command::new("tar")
        .args(["-x", "--no-same-owner", "-C"])
        .arg(top.path())
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut tar.stdin.take().unwrap(), &archive).unwrap();
    assert!(tar.wait().unwrap().success());
    let path = top.path().join("data");
    // The logs of these builds were empty, so that the store is all there is.
    let whole = "40 accepted reports with 40 verdicts\n0 logs and differences are whole";
    assert_eq!(checked(&path).text(), whole);
    // The reports are countersigned; the key says by whom where its public half is gone.
    fs::remove_file(path.join("coordinator.pub")).unwrap();
    assert_eq!(checked(&path).text(), whole);
    let dir = DataDir::open(&path).unwrap();
    let store = store::open(Engine::Sled, &dir, StoreOptions::default()).unwrap();
    let mut restored = rebuilder_actors::domain::queue::Restored::default();
    for table in rebuilder_actors::domain::queue::Restored::TABLES {
        store
            .scan(&[table], &[table], &mut |key, value| restored.take(key, value).is_ok())
            .unwrap();
    }
    restored.check().unwrap();
    let mut jobs = 0;
    let mut is_first = |_: &[u8], value: &[u8]| {
        let job: JobRecord = stored::read(value).unwrap();
        jobs += 1;
        // By a version that did not note when, of somebody who wants it.
        value[0] == 1 && job.first_seen.is_none() && !job.memberships.is_empty()
    };
    let table = [JobRecord::TABLE];
    store.scan(&table, &table, &mut is_first).unwrap();
    assert_eq!(jobs, 40, "the scan ends where one is not so");
}
