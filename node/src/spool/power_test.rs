//! Power cuts and kills, as for the store.

use std::collections::BTreeMap;

use super::*;
use crate::testing::power_cut::{
    CutPlan, Judged, Medium, Node, Numbers, Recording, folder, judge, judged_by_children, tell,
};

const KEEPS: &str = "spool::file_spool::power_test::child_that_keeps";
const JUDGES: &str = "spool::file_spool::power_test::child_that_judges";
/// Where the child begins to number its entries.
const FIRST: &str = "SPOOL_POWER_FIRST";
const ENTRIES: u64 = 40;

fn name(number: u64) -> String {
    format!("report-{}", number % 6)
}

fn content(number: u64) -> Vec<u8> {
    let length = 8 + Numbers::new(number).below(30_000);
    number.to_be_bytes().into_iter().cycle().take(length).collect()
}

fn number_of(content: &[u8]) -> Option<u64> {
    let number = u64::from_be_bytes(*content.first_chunk()?);
    (content == self::content(number)).then_some(number)
}

/// Every fifth entry is a removal of the one before with that name.
fn is_removal(number: u64) -> bool {
    number % 5 == 4
}

/// Not a test by itself: the recorded process.
#[test]
fn child_that_keeps() {
    let Some(top) = Recording::top() else { return };
    let mut spool = FileSpool::open(&DataDir::open(&top.join("data")).unwrap()).unwrap();
    let found = spool.entries().unwrap();
    let numbers = found.iter().map(|(_, content)| number_of(content).unwrap().to_string());
    tell(&format!("found {}", numbers.collect::<Vec<_>>().join(" ")));
    let first: u64 = std::env::var(FIRST).unwrap().parse().unwrap();
    for number in first..first + ENTRIES {
        tell(&format!("begin {number}"));
        if is_removal(number) {
            spool.remove(&name(number)).unwrap();
        } else {
            spool.keep(&name(number), &content(number)).unwrap();
        }
        tell(&format!("done {number}"));
    }
}

/// What may be there under one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Known {
    /// Numbers of contents that may be found.
    may: Vec<u64>,
    /// That nothing may be found.
    absent: bool,
}

/// By name, from what the child told.
fn known(told: &[String]) -> BTreeMap<String, Known> {
    let all = || (0..6).map(|n| (name(n), Known { may: vec![], absent: true }));
    let mut known: BTreeMap<String, Known> = all().collect();
    for line in told {
        let (what, numbers) = line.split_once(' ').unwrap();
        let numbers = numbers.split_whitespace().map(|n| n.parse::<u64>().unwrap());
        if what == "found" {
            // A new owner acts upon what it finds: it must stay.
            known = all().collect();
        }
        for number in numbers {
            let entry = known.get_mut(&name(number)).unwrap();
            match (what, is_removal(number)) {
                ("begin", true) => entry.absent = true,
                ("begin", false) => entry.may.push(number),
                // A removal need not be durable.
                ("done", true) => {}
                _ => *entry = Known { may: vec![number], absent: false },
            }
        }
    }
    known
}

/// Not a test by itself: judges images.
#[test]
fn child_that_judges() {
    judge(&mut |image, told| {
        let open = || DataDir::open(&image.join("data")).map(|dir| FileSpool::open(&dir));
        let mut spool = open().unwrap().unwrap();
        let entries: BTreeMap<String, Bytes> = spool.entries().unwrap().into_iter().collect();
        for (name, known) in known(told) {
            let found = entries.get(&name).map(|content| number_of(content));
            let fits = found.map_or(known.absent, |n| n.is_some_and(|n| known.may.contains(&n)));
            if !fits {
                return Some(format!("{name} may be {known:?}, found was {found:?}"));
            }
        }
        if fs::read_dir(&spool.damaged).unwrap().count() > 0 {
            return Some("an entry is there in part".to_owned());
        }
        spool.keep("more", &content(1)).unwrap();
        drop(spool);
        let entries = open().unwrap().unwrap().entries().unwrap();
        let there = entries.contains(&("more".to_owned(), content(1).into()));
        (!there).then(|| "it takes no more".to_owned())
    });
}

fn record(dir: &Path, kills: &[Option<&str>]) -> Recording {
    let mut recording = Recording::new(dir, &Node::empty(), &[]);
    for (session, kill) in (0..).zip(kills) {
        recording.run(KEEPS, &[(FIRST, (session * 100).to_string())], *kill);
    }
    recording
}

#[test]
fn no_power_cut_loses_or_tears_an_entry() {
    let top = folder();
    // Killed between an entry's name and the sync of its folder, between content and name …
    let kills = [None, Some("fsync:when=12"), Some("rename:when=6"), Some("fsync:when=20"), None];
    let recording = record(&top.join("life"), &kills);
    let mut all = Judged::default();
    for (medium, seed) in [(Medium::Synchronous, 1), (Medium::Cached, 2)] {
        all.add(judged_by_children(&CutPlan::new(&recording, medium, 300, seed), JUDGES));
    }
    all.expect_sound(600, &top);
}

#[test]
fn a_power_cut_finds_each_sync_that_is_missing() {
    let top = folder();
    let recording = record(&top.join("life"), &[None]);
    for (path, found) in
        [("/spool/new", "found was None"), ("/entries", "found was None"), ("/spool", "found was")]
    {
        let mut plan = CutPlan::new(&recording, Medium::Cached, 150, 3);
        plan.deaf_to = Some(path.to_owned());
        let faults = judged_by_children(&plan, JUDGES).faults;
        assert!(faults.iter().any(|f| f.contains(found)), "without {path}: {faults:?}");
    }
    fs::remove_dir_all(&top).unwrap();
}
