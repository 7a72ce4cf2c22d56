//! What only files do: compression, folders, damage, several readers.

use std::fs;
use std::io;
use std::path::Path;

use bytes::Bytes;
use proptest::prelude::*;
use rebuilder_actors::port::{BlobError, BlobName, Blobs, collect_parts, collect_slice};
use rebuilder_actors::protocol::Sha256;

use super::FileContents;
use super::files::failed;
use crate::data_dir::DataDir;

fn open(path: &Path) -> Blobs {
    super::open(&DataDir::open(path).unwrap()).unwrap()
}

/// Two contents at a time; how many parts and contents went.
fn collect(blobs: &mut Blobs, keep: &dyn Fn(BlobName<'_>) -> bool) -> u64 {
    let mut removed = collect_parts(&mut *blobs.parts, &|part| keep(BlobName::Part(part))).unwrap();
    let keep = |digest: &Sha256| keep(BlobName::Sealed(*digest));
    let mut after = None;
    loop {
        let slice = collect_slice(&mut *blobs.contents, after, 2, &keep).unwrap();
        removed += slice.removed;
        after = slice.next;
        if after.is_none() {
            return removed;
        }
    }
}

fn text(length: usize) -> Vec<u8> {
    let line = |n: usize| format!("{n:07} a line of a log {}\n", n.wrapping_mul(2_654_435_761));
    let mut text: Vec<u8> = (0..length / 20 + 1).flat_map(|n| line(n).into_bytes()).collect();
    text.truncate(length);
    text
}

fn put(blobs: &mut Blobs, content: &[u8]) -> Sha256 {
    let digest = Sha256::of(content);
    blobs.parts.append("put", 0, content).unwrap();
    blobs.seal("put", digest, content.len() as u64).unwrap();
    digest
}

fn read_all(blobs: &mut Blobs, name: BlobName<'_>, step: usize) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let piece = blobs.read(name, all.len() as u64, step).unwrap()?;
        if piece.is_empty() {
            return Some(all);
        }
        assert!(piece.len() <= step);
        all.extend_from_slice(&piece);
    }
}

#[test]
fn a_part_grows_across_restarts_and_becomes_a_blob() {
    let top = tempfile::tempdir().unwrap();
    let content = text(300_000);
    let digest = Sha256::of(&content);
    let mut blobs = open(top.path());
    assert_eq!(blobs.parts.length("log").unwrap(), 0);
    blobs.parts.append("log", 0, &content[..100_000]).unwrap();
    drop(blobs);
    let mut blobs = open(top.path());
    assert_eq!(blobs.parts.length("log").unwrap(), 100_000);
    // Overlapping, repeated and empty pieces change nothing that is there.
    blobs.parts.append("log", 50_000, &content[50_000..200_000]).unwrap();
    blobs.parts.append("log", 0, &content[..10]).unwrap();
    blobs.parts.append("log", 200_000, b"").unwrap();
    assert_eq!(
        blobs.parts.append("log", 200_001, b"x"),
        Err(BlobError::Gap { part: "log".into(), length: 200_000, offset: 200_001 })
    );
    blobs.parts.append("log", 200_000, &content[200_000..]).unwrap();
    assert_eq!(read_all(&mut blobs, BlobName::Part("log"), 70_000).unwrap(), content);
    assert_eq!(blobs.read(BlobName::Sealed(digest), 0, 1).unwrap(), None);

    blobs.seal("log", digest, 300_000).unwrap();
    assert_eq!(blobs.read(BlobName::Part("log"), 0, 1).unwrap(), None);
    blobs.seal("log", digest, 300_000).unwrap();
    drop(blobs);
    let mut blobs = open(top.path());
    assert_eq!(read_all(&mut blobs, BlobName::Sealed(digest), 7_777).unwrap(), content);
    let hex = digest.to_string();
    let file = top.path().join("blobs").join(&hex[..2]).join(&hex[2..]);
    assert!(fs::metadata(file).unwrap().len() < 150_000, "it is not compressed");
    assert!(!top.path().join("blobs/new").exists());
}

#[test]
fn what_was_not_announced_is_refused_and_removed() {
    let top = tempfile::tempdir().unwrap();
    let mut blobs = open(top.path());
    let (found, expected) = (Sha256::of(b"abc"), Sha256::of(b"abd"));
    let mismatch = BlobError::Mismatch { part: "p".into(), length: 3, found, expected };
    blobs.parts.append("p", 0, b"abc").unwrap();
    assert_eq!(blobs.seal("p", expected, 3), Err(mismatch));
    assert_eq!(blobs.parts.length("p").unwrap(), 0);
    blobs.parts.append("p", 0, b"abc").unwrap();
    assert!(matches!(blobs.seal("p", found, 4), Err(BlobError::Mismatch { .. })));
    assert_eq!(blobs.read(BlobName::Sealed(found), 0, 9).unwrap(), None);
    // A part that never came.
    assert!(matches!(blobs.seal("q", found, 3), Err(BlobError::Mismatch { length: 0, .. })));
    assert!(!top.path().join("blobs/new").exists());
    // A blob that is there, announced with another length.
    put(&mut blobs, b"abc");
    assert!(matches!(blobs.seal("p", found, 4), Err(BlobError::Mismatch { length: 3, .. })));
    blobs.seal("p", found, 3).unwrap();
}

#[test]
fn the_empty_content_is_always_there() {
    let top = tempfile::tempdir().unwrap();
    let mut blobs = open(top.path());
    let empty = Sha256::of(b"");
    blobs.seal("none", empty, 0).unwrap();
    blobs.parts.append("some", 0, b"").unwrap();
    blobs.seal("some", empty, 0).unwrap();
    assert_eq!(blobs.read(BlobName::Sealed(empty), 0, 9).unwrap(), Some(Bytes::new()));
    assert_eq!(collect(&mut blobs, &|_| false), 0);
    assert_eq!(blobs.read(BlobName::Sealed(empty), 5, 9).unwrap(), Some(Bytes::new()));
    assert!(matches!(blobs.seal("none", empty, 1), Err(BlobError::Mismatch { .. })));
    blobs.parts.append("full", 0, b"x").unwrap();
    assert!(matches!(blobs.seal("full", empty, 0), Err(BlobError::Mismatch { length: 1, .. })));
}

#[test]
fn no_other_file_can_be_sealed() {
    let top = tempfile::tempdir().unwrap();
    let mut blobs = open(top.path());
    for name in ["", "..", "../schema", "/etc/passwd", "a/b"] {
        for content in [&b"x"[..], b""] {
            let (digest, length) = (Sha256::of(content), content.len() as u64);
            assert_eq!(blobs.seal(name, digest, length), Err(BlobError::Name(name.to_owned())));
        }
        assert!(blobs.read(BlobName::Part(name), 0, 1).is_err());
    }
}

#[test]
fn collection_removes_what_is_not_kept() {
    let top = tempfile::tempdir().unwrap();
    let mut blobs = open(top.path());
    let kept = put(&mut blobs, b"kept");
    let gone: Vec<Sha256> = (0_u8..9).map(|n| put(&mut blobs, &[n; 100])).collect();
    blobs.read(BlobName::Sealed(gone[0]), 0, 10).unwrap().unwrap();
    blobs.parts.append("part", 0, b"growing").unwrap();
    blobs.parts.append("lost", 0, b"grew").unwrap();
    fs::write(top.path().join("blobs/new"), "half").unwrap();
    let keep = [BlobName::Sealed(kept), BlobName::Part("part")];
    assert_eq!(collect(&mut blobs, &|name| keep.contains(&name)), 10);
    for digest in gone {
        assert_eq!(blobs.read(BlobName::Sealed(digest), 10, 10).unwrap(), None);
    }
    assert_eq!(read_all(&mut blobs, BlobName::Sealed(kept), 99).unwrap(), b"kept");
    assert_eq!(read_all(&mut blobs, BlobName::Part("part"), 99).unwrap(), b"growing");
    assert_eq!(blobs.read(BlobName::Part("lost"), 0, 9).unwrap(), None);
    assert_eq!(collect(&mut blobs, &|_| true), 0);
}

#[test]
fn an_owner_that_was_replaced_removes_nothing() {
    let top = tempfile::tempdir().unwrap();
    let dir = DataDir::open(top.path()).unwrap();
    let mut old = super::open(&dir).unwrap();
    let digest = put(&mut old, b"content");
    old.parts.append("part", 0, b"growing").unwrap();
    let mut new = super::open(&dir).unwrap();
    assert_eq!(collect(&mut old, &|_| false), 0);
    assert_eq!(read_all(&mut new, BlobName::Sealed(digest), 99).unwrap(), b"content");
    assert_eq!(collect(&mut new, &|_| false), 2);
    assert_eq!(new.read(BlobName::Sealed(digest), 0, 9).unwrap(), None);
}

#[test]
fn what_is_no_part_hinders_no_collection() {
    let top = tempfile::tempdir().unwrap();
    let mut blobs = open(top.path());
    put(&mut blobs, b"content");
    fs::create_dir(top.path().join("parts/folder")).unwrap();
    fs::write(top.path().join("parts/not a part"), "x").unwrap();
    assert_eq!(collect(&mut blobs, &|_| false), 1);
    assert!(top.path().join("parts/not a part").exists());
}

#[test]
fn reading_on_does_not_start_again() {
    let top = tempfile::tempdir().unwrap();
    let mut blobs = open(top.path());
    let contents: Vec<Vec<u8>> = (1..=3).map(|n| text(n * 1_000_000)).collect();
    let digests: Vec<Sha256> = contents.iter().map(|c| put(&mut blobs, c)).collect();
    let hex = digests[2].to_string();
    let file = top.path().join("blobs").join(&hex[..2]).join(&hex[2..]);
    for offset in (0..3_000_000).step_by(50_000) {
        for (content, digest) in contents.iter().zip(&digests) {
            let piece = blobs.read(BlobName::Sealed(*digest), offset as u64, 50_000).unwrap();
            let end = content.len().min(offset + 50_000);
            assert_eq!(piece.unwrap(), content[offset.min(end)..end]);
        }
        // The file itself is opened once: without it, reading on still works.
        if offset == 0 {
            fs::remove_file(&file).unwrap();
        }
    }
    assert_eq!(blobs.read(BlobName::Sealed(digests[2]), 0, 1).unwrap(), None);
}

#[test]
fn damage_is_told() {
    let top = tempfile::tempdir().unwrap();
    let mut blobs = open(top.path());
    let digest = put(&mut blobs, &text(200_000));
    let hex = digest.to_string();
    let file = top.path().join("blobs").join(&hex[..2]).join(&hex[2..]);
    let mut stored = fs::read(&file).unwrap();
    let middle = stored.len() / 2;
    stored[middle] ^= 1;
    fs::write(&file, stored).unwrap();
    let read = blobs.read(BlobName::Sealed(digest), 0, 300_000);
    assert!(matches!(read, Err(BlobError::Io { action: "decompress", .. })), "{read:?}");
}

#[test]
fn a_full_disk_is_told_apart() {
    let full = io::Error::from_raw_os_error(nix::libc::ENOSPC);
    let error = failed("write", Path::new("parts/x"))(full);
    assert_eq!(error, BlobError::Full { path: "parts/x".into() });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn any_read_gives_the_slice(
        length in 1_usize..400_000,
        reads in prop::collection::vec((0_u64..450_000, 0_usize..200_000), 1..12),
    ) {
        let top = tempfile::tempdir().unwrap();
        let mut blobs = open(top.path());
        let content = text(length);
        let digest = put(&mut blobs, &content);
        for (offset, most) in reads {
            let from = content.len().min(usize::try_from(offset).unwrap());
            let to = content.len().min(from + most);
            let piece = blobs.read(BlobName::Sealed(digest), offset, most).unwrap().unwrap();
            prop_assert!(piece == content[from..to], "at {offset}, {most} bytes");
        }
    }
}

/// A file that is cut, changed, or another blob's is an error at the latest where it ends, and the
/// same content replaces it.
#[test]
fn a_damaged_blob_is_never_read_as_another_content() {
    let top = tempfile::tempdir().unwrap();
    let dir = DataDir::open(top.path()).unwrap();
    let open = || super::open(&dir).unwrap();
    let files = FileContents::open(&dir).unwrap();
    let content = text(50_000);
    let digest = put(&mut open(), &content);
    let other = put(&mut open(), b"another log");
    let (path, other) = (files.place_of(&digest), files.place_of(&other));
    let whole = fs::read(&path).unwrap();
    let mut harms: Vec<Vec<u8>> = (0..whole.len()).step_by(97).map(|n| whole[..n].into()).collect();
    harms.push(fs::read(other).unwrap());
    for at in (0..20).chain((20..whole.len()).step_by(61)) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        harms.push(flipped);
    }
    let mut refused = 0;
    for harm in harms {
        fs::write(&path, &harm).unwrap();
        let mut blobs = open();
        let (mut all, mut offset) = (Vec::new(), 0);
        let outcome = loop {
            match blobs.read(BlobName::Sealed(digest), offset, 20_000) {
                Ok(Some(piece)) if piece.is_empty() => break Ok(()),
                Ok(Some(piece)) => {
                    offset += piece.len() as u64;
                    all.extend_from_slice(&piece);
                }
                Ok(None) => panic!("it is there"),
                Err(error) => break Err(error.to_string()),
            }
        };
        match outcome {
            // A bit that zstd does not use.
            Ok(()) => assert_eq!(all, content),
            Err(error) => {
                assert!(error.contains(&path.display().to_string()), "{error}");
                refused += 1;
                assert_eq!(files.whole_length(digest).unwrap(), None);
                assert_eq!(put(&mut blobs, &content), digest);
                assert_eq!(files.whole_length(digest).unwrap(), Some(50_000));
            }
        }
    }
    assert!(refused > 50, "{refused} were refused");
}
