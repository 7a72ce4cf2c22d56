//! Store, blobs and spool on a file system that is really full: a small one, mounted in a
//! namespace of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use rebuilder_actors::port::{
    Batch, BlobError, BlobName, Blobs, Spool as _, Store, StoreOwner, StoreRead,
};
use rebuilder_actors::protocol::Sha256;

use crate::blobs;
use crate::data_dir::DataDir;
use crate::spool::FileSpool;
use crate::store::{Engine, StoreOptions};

const CHILD: &str = "FULL_DISK_TEST_DIR";

fn run(test: &str) {
    let top = tempfile::tempdir().unwrap();
    let status = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-ec"])
        .arg(format!(
            "mount -t tmpfs -o size=24m none \"${CHILD}\"; exec \"$0\" --exact {test} --nocapture"
        ))
        .arg(std::env::current_exe().unwrap())
        .env(CHILD, top.path())
        .status()
        .expect("this test needs unshare: install util-linux");
    assert!(status.success(), "{test}: {status} (user namespaces must be allowed here)");
}

/// The folder of the child's file system and a file in it that can be removed to make space.
fn child() -> Option<(PathBuf, PathBuf)> {
    let path = PathBuf::from(std::env::var_os(CHILD)?);
    let ballast = path.join("ballast");
    std::fs::write(&ballast, vec![1; 8 << 20]).unwrap();
    Some((path.join("data"), ballast))
}

#[test]
fn sled_child() {
    store_child(Engine::Sled);
}

#[test]
fn redb_child() {
    store_child(Engine::Redb);
}

fn store_child(engine: Engine) {
    let Some((path, ballast)) = child() else { return };
    let dir = DataDir::open(&path).unwrap();
    let open =
        || StoreOwner::take(engine.open(&dir, StoreOptions::default()).unwrap(), None).unwrap();
    let mut store = open();
    let commit = |store: &mut StoreOwner<Box<dyn Store>>, number: u32| {
        let mut batch = Batch::default();
        for key in 0..200_u32 {
            let key = [number.to_be_bytes(), key.to_be_bytes()].concat();
            batch.put(key, [&number.to_be_bytes()[..], &[7; 700]].concat());
        }
        store.commit(&[batch])
    };
    let mut number = 0;
    let error = loop {
        match commit(&mut store, number) {
            Ok(()) => number += 1,
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains(super::disk_full()), "{error}");
    assert!(number > 3, "only {number} commits fit");
    assert_eq!(commit(&mut store, number), Err(error));
    drop(store);
    std::fs::remove_file(ballast).unwrap();
    let mut store = open();
    let whole = |store: &dyn StoreRead| {
        let mut rows = 0_u32;
        let mut count = |_: &[u8], _: &[u8]| {
            rows += 1;
            true
        };
        store.scan(b"", b"", &mut count).unwrap();
        assert_eq!(rows % 200, 0, "a batch is torn");
        rows / 200
    };
    let found = whole(&store);
    assert!(found == number || found == number + 1, "{found} of {number} commits are there");
    commit(&mut store, found).unwrap();
    assert_eq!(whole(&store), found + 1);
}

#[test]
fn blobs_child() {
    let Some((path, ballast)) = child() else { return };
    let mut blobs = blobs::open(&DataDir::open(&path).unwrap()).unwrap();
    let mut state = 1_u32;
    let mut piece = || -> Vec<u8> {
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        (0..700_000).map(|_| next()).collect()
    };
    let mut content = Vec::new();
    let rest = loop {
        let piece = piece();
        match blobs.parts.append("part", content.len() as u64, &piece) {
            Ok(()) => content.extend_from_slice(&piece),
            Err(error) => {
                assert!(matches!(error, BlobError::Full { .. }), "{error}");
                break piece;
            }
        }
    };
    // Nothing of the failed piece stayed, and sealing without space leaves the part as it is.
    assert_eq!(blobs.parts.length("part").unwrap(), content.len() as u64);
    let seal = |blobs: &mut Blobs, content: &[u8]| {
        blobs.seal("part", Sha256::of(content), content.len() as u64)
    };
    assert!(matches!(seal(&mut blobs, &content), Err(BlobError::Full { .. })));
    std::fs::remove_file(ballast).unwrap();
    blobs.parts.append("part", content.len() as u64, &rest).unwrap();
    blobs.parts.length("part").unwrap();
    content.extend_from_slice(&rest);
    content.truncate(7_000_000);
    blobs.parts.discard("part").unwrap();
    blobs.parts.append("part", 0, &content).unwrap();
    seal(&mut blobs, &content).unwrap();
    let read = blobs.read(BlobName::Sealed(Sha256::of(&content)), 6_000_000, 1 << 20).unwrap();
    assert!(read.unwrap() == content[6_000_000..]);
}

#[test]
fn spool_child() {
    let Some((path, ballast)) = child() else { return };
    let mut spool = FileSpool::open(&DataDir::open(&path).unwrap()).unwrap();
    let mut number = 0;
    let error = loop {
        match spool.keep(&format!("{number:04}"), &vec![7; 300_000]) {
            Ok(()) => number += 1,
            Err(error) => break error,
        }
    };
    assert!(error.full, "{error}");
    assert!(!Path::new(&path).join("spool/new").exists());
    let whole = |spool: &mut FileSpool| {
        let entries = spool.entries().unwrap();
        entries.iter().filter(|(_, content)| content.len() == 300_000).count()
    };
    assert_eq!(whole(&mut spool), number);
    std::fs::remove_file(ballast).unwrap();
    spool.keep("more", &vec![7; 300_000]).unwrap();
    assert_eq!(whole(&mut spool), number + 1);
}

#[test]
fn a_full_disk_fails_commits_and_loses_none() {
    run("testing::full_disk_test::sled_child");
    run("testing::full_disk_test::redb_child");
}

#[test]
fn a_full_disk_refuses_pieces_and_keeps_parts() {
    run("testing::full_disk_test::blobs_child");
}

#[test]
fn a_full_disk_refuses_entries_and_keeps_others() {
    run("testing::full_disk_test::spool_child");
}
