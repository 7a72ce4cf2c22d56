//! Power cuts and kills, as for the store.

use std::fs;
use std::path::{Path, PathBuf};

use rebuilder_actors::port::{BlobError, BlobName, Blobs, collect_parts, collect_slice};
use rebuilder_actors::protocol::Sha256;

use super::contents::digest_of;
use super::files::list;
use super::{MAX_READ, open};
use crate::data_dir::DataDir;
use crate::testing::power_cut::{
    self, CutPlan, Judged, Medium, Node, Numbers, Recording, folder, judge, judged_by_children,
    tell,
};

const SEALS: &str = "blobs::power_test::child_that_seals";
const JUDGES: &str = "blobs::power_test::child_that_judges";
/// The first and the last content of the child.
const RANGE: &str = "BLOBS_POWER_RANGE";
/// Contents that the child keeps when it collects; absent: it does not collect.
const KEPT: &str = "BLOBS_POWER_KEPT";
const PIECE_BYTES: usize = 9000;

/// Every third is like the one before.
fn content(number: u64) -> Vec<u8> {
    let mut random = Numbers::new(number - u64::from(number % 3 == 2));
    let length = 1 + random.below(60_000);
    let mut content = Vec::with_capacity(length + 8);
    while content.len() < length {
        content.extend_from_slice(&random.next().to_be_bytes());
    }
    content.truncate(length);
    content
}

fn part(number: u64) -> String {
    format!("log-{number}")
}

fn read(blobs: &mut Blobs, name: BlobName<'_>) -> Result<Option<Vec<u8>>, BlobError> {
    Ok(blobs.read(name, 0, MAX_READ)?.map(|bytes| bytes.to_vec()))
}

/// Not a test by itself: the recorded process.
#[test]
fn child_that_seals() {
    let Some(top) = Recording::top() else { return };
    let mut blobs = open(&DataDir::open(&top.join("data")).unwrap()).unwrap();
    if let Ok(kept) = std::env::var(KEPT) {
        collect(&mut blobs, &kept);
    }
    let range = std::env::var(RANGE).unwrap();
    let (first, last) = range.split_once('-').unwrap();
    for number in first.parse::<u64>().unwrap()..=last.parse().unwrap() {
        let (content, part) = (content(number), part(number));
        let known = usize::try_from(blobs.parts.length(&part).unwrap()).unwrap();
        tell(&format!("part {number} {known}"));
        for (index, piece) in content.chunks(PIECE_BYTES).enumerate() {
            blobs.parts.append(&part, (index * PIECE_BYTES) as u64, piece).unwrap();
            if index % 3 == 1 {
                tell(&format!("part {number} {}", blobs.parts.length(&part).unwrap()));
            }
        }
        tell(&format!("end {number}"));
        if number % 4 == 0 {
            blobs.parts.discard(&part).unwrap();
        } else {
            blobs.seal(&part, Sha256::of(&content), content.len() as u64).unwrap();
            tell(&format!("sealed {number}"));
        }
    }
}

/// As a coordinator does when it starts: what nothing names goes, a slice at a time.
fn collect(blobs: &mut Blobs, kept: &str) {
    let kept: Vec<u64> = kept.split_whitespace().map(|number| number.parse().unwrap()).collect();
    let parts: Vec<String> = kept.iter().copied().map(part).collect();
    let digests: Vec<Sha256> = kept.iter().map(|number| Sha256::of(&content(*number))).collect();
    collect_parts(&mut *blobs.parts, &|part| parts.iter().any(|kept| kept == part)).unwrap();
    let (mut after, keep) = (None, |digest: &Sha256| digests.contains(digest));
    loop {
        let slice = collect_slice(&mut *blobs.contents, after, 5, &keep).unwrap();
        after = slice.next;
        if after.is_none() {
            return;
        }
    }
}

/// Not a test by itself: judges images.
#[test]
fn child_that_judges() {
    judge(&mut |image, told| fault(image, told).err());
}

fn fault(image: &Path, told: &[String]) -> Result<(), String> {
    let dir = DataDir::open(&image.join("data")).unwrap();
    let mut blobs = open(&dir).map_err(|e| e.to_string())?;
    let mut part_of: Option<(u64, usize)> = None;
    for line in told {
        let mut words = line.split(' ');
        let what = words.next().unwrap();
        let number: u64 = words.next().unwrap().parse().unwrap();
        match what {
            "part" => part_of = Some((number, words.next().unwrap().parse().unwrap())),
            "end" => part_of = None,
            _ => {
                let expected = content(number);
                let name = BlobName::Sealed(Sha256::of(&expected));
                let found = read(&mut blobs, name).map_err(|e| e.to_string())?;
                if found.as_ref() != Some(&expected) {
                    let found = found.map(|found| found.len());
                    return Err(format!("blob {number} was sealed, there are {found:?} bytes"));
                }
            }
        }
    }
    if let Some((number, length)) = part_of {
        let found = read(&mut blobs, BlobName::Part(&part(number))).map_err(|e| e.to_string())?;
        let found = found.unwrap_or_default();
        if found.get(..length) != content(number).get(..length) {
            let there = found.len();
            return Err(format!("part {number} had {length} durable bytes, found were {there}"));
        }
    }
    whole(&mut blobs, &dir.join("blobs"))?;
    let more = content(1_000_001);
    blobs.parts.append("more", 0, &more).map_err(|e| e.to_string())?;
    let sealed = blobs.seal("more", Sha256::of(&more), more.len() as u64);
    sealed.map_err(|e| format!("it takes no more: {e}"))
}

/// Whatever has the name of a blob is that blob.
fn whole(blobs: &mut Blobs, folder: &Path) -> Result<(), String> {
    // What was being written is removed by the next process, which this one is not each time.
    let is_folder = |path: &PathBuf| path.is_dir();
    for folder in list(folder).unwrap().into_iter().filter(is_folder) {
        for path in list(&folder).unwrap() {
            let digest = digest_of(&folder, &path).ok_or("a blob has no digest")?;
            let found = read(blobs, BlobName::Sealed(digest)).map_err(|e| e.to_string())?;
            if found.is_none_or(|found| Sha256::of(&found) != digest) {
                return Err(format!("blob {digest} is there in part"));
            }
        }
    }
    Ok(())
}

fn record(dir: &Path, sessions: &[(&str, Option<&str>)]) -> Recording {
    let mut recording = Recording::new(dir, &Node::empty(), &[]);
    for (range, kill) in sessions {
        recording.run(SEALS, &[(RANGE, (*range).to_owned())], *kill);
    }
    recording
}

#[test]
fn no_power_cut_loses_or_tears_a_blob() {
    let top = folder();
    let sessions = [
        ("1-15", None),
        // Killed with the blob at its name, before the name is durable: it is sealed again.
        ("16-16", None),
        ("17-17", Some("rename:when=1")),
        ("17-17", Some("unlink:when=1")),
        ("17-21", None),
        ("22-40", Some("fdatasync:when=20")),
        ("22-45", None),
    ];
    let recording = record(&top.join("life"), &sessions);
    let mut all = Judged::default();
    for (medium, seed) in [(Medium::Synchronous, 1), (Medium::Cached, 2)] {
        all.add(judged_by_children(&CutPlan::new(&recording, medium, 200, seed), JUDGES));
    }
    all.expect_sound(400, &top);
}

/// What a power cut left of `before` is opened and collected, and what was under way goes on:
/// recorded. `kill` is where that process is killed.
fn recovery(before: &Recording, medium: Medium, seed: u64, dir: &Path, kill: bool) -> Recording {
    let (image, told) = power_cut::image(&CutPlan::new(before, medium, 1, seed));
    let numbers = |what: &str| -> Vec<u64> {
        let lines = told.iter().filter_map(|line| line.strip_prefix(what));
        lines.map(|rest| rest.split(' ').next().unwrap().parse().unwrap()).collect()
    };
    let sealed = numbers("sealed ");
    // The one that was under way, be it sealed already, and one more.
    let last = numbers("part ").last().copied().unwrap_or(1);
    let kept: Vec<String> = sealed.iter().chain([&last]).map(u64::to_string).collect();
    let settings = [(RANGE, format!("{last}-{}", last + 1)), (KEPT, kept.join(" "))];
    let mut recording = Recording::new(dir, &image, &told);
    // Among its syncs are those of the folders, of the part as it is found, and of the content.
    let kill = kill.then(|| format!("fsync:when={}", 2 + seed % 5));
    recording.run(SEALS, &settings, kill.as_deref());
    recording
}

/// The power goes again while what a power cut left is opened, collected and continued, and again
/// while what that left is.
#[test]
fn no_power_cut_during_a_recovery_loses_or_tears_a_blob() {
    let top = folder();
    let sessions = [("1-17", None), ("18-30", Some("fdatasync:when=20")), ("22-33", None)];
    let life = record(&top.join("life"), &sessions);
    let mut all = Judged::default();
    for number in 0..RECOVERIES {
        let medium = if number % 2 == 0 { Medium::Cached } else { Medium::Synchronous };
        let judged = |recording: &Recording| {
            judged_by_children(&CutPlan::new(recording, medium, OF_RECOVERY, number), JUDGES)
        };
        let dir = top.join(format!("recovery-{number}"));
        let first = recovery(&life, medium, 1000 + number, &dir, number % 3 == 2);
        all.add(judged(&first));
        let dir = top.join(format!("second-recovery-{number}"));
        all.add(judged(&recovery(&first, medium, 2000 + number, &dir, false)));
    }
    all.expect_sound(2 * RECOVERIES as usize * OF_RECOVERY, &top);
}

/// Recoveries from cuts of one life, each followed by another.
const RECOVERIES: u64 = 6;
/// Images of each.
const OF_RECOVERY: usize = 16;

/// A blob that a killed process had moved to its name is as durable as any once it is sealed
/// again, wherever the kill was.
#[test]
fn a_blob_sealed_again_after_a_kill_is_durable() {
    let top = folder();
    let mut all = Judged::default();
    for kill in 3..9 {
        let kills = [("1-1", Some(format!("fsync:when={kill}"))), ("1-7", None)];
        let sessions: Vec<_> =
            kills.iter().map(|(range, kill)| (*range, kill.as_deref())).collect();
        let recording = record(&top.join(format!("kill-{kill}")), &sessions);
        all.add(judged_by_children(&CutPlan::new(&recording, Medium::Cached, 60, kill), JUDGES));
    }
    all.expect_sound(360, &top);
}

#[test]
fn a_power_cut_finds_each_sync_that_is_missing() {
    let top = folder();
    let recording = record(&top.join("life"), &[("1-12", None)]);
    for (path, found) in [
        ("/blobs/new-*", "decompress"),
        ("/data/blobs", "was sealed"),
        ("/data/parts", "durable bytes"),
        ("/parts/log-*", "durable bytes"),
    ] {
        let mut plan = CutPlan::new(&recording, Medium::Cached, 200, 3);
        plan.deaf_to = Some(path.to_owned());
        let faults = judged_by_children(&plan, JUDGES).faults;
        assert!(faults.iter().any(|f| f.contains(found)), "without {path}: {faults:?}");
    }
    fs::remove_dir_all(&top).unwrap();
}
