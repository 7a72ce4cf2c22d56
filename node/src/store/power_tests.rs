//! Power cuts: what sled wrote is recorded by `strace` and played back up to a random moment.
//!
//! A write that ended is durable, since the file is synchronous. One that had not ended may have
//! reached the medium or not, sector by sector. The same record is then judged as if the file were
//! not synchronous: all since the last `fdatasync` is uncertain, but no commit may be lost then
//! either, as long as commits are smaller than a segment.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use rebuilder_actors::port::{Batch, Store as _};

use super::sync_tests::strace;
use super::{SledStore, StoreOptions};
use crate::data_dir::DataDir;

const CHILD: &str = "STORE_POWER_TEST_DIR";
const LARGE: &str = "STORE_POWER_TEST_LARGE";
const KEYS: u32 = 900;
const SECTOR: usize = 512;

fn open(path: &Path) -> SledStore {
    SledStore::open(&DataDir::open(path).unwrap(), StoreOptions::default()).unwrap()
}

/// A stream of numbers from a seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

/// Keys that commit `number` rewrites: a few, or (every eighth, if wanted) most.
fn rewritten(number: u32, large: bool) -> Vec<u32> {
    let mut random = Numbers(u64::from(number));
    let count = if large && number % 8 == 1 { 600 } else { 12 };
    let key = |_| u32::try_from(random.below(KEYS as usize)).unwrap();
    (0..count).map(key).collect()
}

/// Not a test by itself: commits under `strace`, when started by those below.
#[test]
fn child_that_is_recorded() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let large = std::env::var_os(LARGE).is_some();
    let mut store = open(Path::new(&path));
    for number in 1..=if large { 40 } else { 160 } {
        let mut value = vec![0x5a; 700];
        value[..4].copy_from_slice(&u32::to_be_bytes(number));
        let mut batch = Batch::default();
        batch.put(&b"last"[..], value.clone());
        for key in rewritten(number, large) {
            batch.put([&b"k"[..], &key.to_be_bytes()].concat(), value.clone());
        }
        store.commit(&[batch]).unwrap();
        std::io::stdout().write_all(format!("acknowledged {number}.\n").as_bytes()).unwrap();
    }
}

/// What the recording says, in its order.
enum Event {
    WriteBegan { thread: u32, at: usize, bytes: Vec<u8> },
    Truncated { to: usize },
    WriteEnded { thread: u32 },
    SyncBegan { thread: u32 },
    SyncEnded { thread: u32 },
    Acknowledged(u32),
}

/// Reads lines of `strace -f -y -xx`; strings are `\x` and two digits for each byte.
fn events(line: &str, db: &str) -> Vec<Event> {
    let (thread, call) = line.split_once(' ').expect("strace -f starts lines with the thread");
    let thread = thread.parse().unwrap();
    let call = call.trim_start();
    let ended = !call.ends_with("<unfinished ...>");
    if let Some(rest) = call.strip_prefix("<... ") {
        return match rest.split(' ').next() {
            Some("pwrite64") => vec![Event::WriteEnded { thread }],
            Some("fdatasync" | "fsync") => vec![Event::SyncEnded { thread }],
            _ => vec![],
        };
    }
    let Some((name, rest)) = call.split_once('(') else { return vec![] };
    let of_db = rest.split_once('>').is_some_and(|(fd, _)| text(fd).ends_with(db));
    let mut quoted = rest.split('"');
    let bytes = quoted.nth(1).map(unescape).unwrap_or_default();
    match name {
        "write" => {
            let told = String::from_utf8_lossy(&bytes).into_owned();
            let number = told.strip_prefix("acknowledged ").and_then(|t| t.split('.').next());
            number.map(|n| Event::Acknowledged(n.parse().unwrap())).into_iter().collect()
        }
        "pwrite64" if of_db => {
            let tail = quoted.next().unwrap();
            let mut numbers = tail.split(&[',', ' ', ')'][..]).filter_map(|n| n.parse().ok());
            let (length, at): (usize, usize) = (numbers.next().unwrap(), numbers.next().unwrap());
            assert_eq!(length, bytes.len(), "strace cut a string short");
            let began = Event::WriteBegan { thread, at, bytes };
            if ended { vec![began, Event::WriteEnded { thread }] } else { vec![began] }
        }
        "ftruncate" if of_db => {
            let to = rest.split(&[' ', ')'][..]).find_map(|n| n.parse().ok()).unwrap();
            vec![Event::Truncated { to }]
        }
        "fdatasync" | "fsync" if of_db => {
            let began = Event::SyncBegan { thread };
            if ended { vec![began, Event::SyncEnded { thread }] } else { vec![began] }
        }
        _ => vec![],
    }
}

fn unescape(text: &str) -> Vec<u8> {
    hex::decode(text.replace("\\x", "")).expect("strace -xx prints every byte in hex")
}

/// A path that strace printed, in hex or not.
fn text(fd: &str) -> String {
    match fd.split_once('<') {
        Some((_, path)) if path.starts_with("\\x") => {
            String::from_utf8_lossy(&unescape(path)).into_owned()
        }
        Some((_, path)) => path.to_owned(),
        None => String::new(),
    }
}

/// A write of the file that may not have reached the medium.
struct Pending {
    thread: u32,
    ended: bool,
    at: usize,
    bytes: Vec<u8>,
}

/// When a write is sure to be on the medium.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Medium {
    /// When it ended: the file is synchronous.
    Synchronous,
    /// When a sync ended that began after it.
    Cached,
}

/// When a commit counts as acknowledged.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Acknowledge {
    /// When the store said so.
    AsRecorded,
    /// With its first write: a planted bug.
    AtFirstWrite,
}

/// The disk while the recording plays.
struct Disk {
    durable: Vec<u8>,
    pending: Vec<Pending>,
    /// By thread: how many of `pending` its running sync will have made durable.
    syncs: BTreeMap<u32, usize>,
    medium: Medium,
}

impl Disk {
    fn play(&mut self, event: &Event) {
        match event {
            Event::WriteBegan { thread, at, bytes } => self.pending.push(Pending {
                thread: *thread,
                ended: false,
                at: *at,
                bytes: bytes.clone(),
            }),
            Event::WriteEnded { thread } => {
                let is_it = |w: &&mut Pending| w.thread == *thread && !w.ended;
                self.pending.iter_mut().find(is_it).expect("a write began before it ends").ended =
                    true;
                while self.medium == Medium::Synchronous
                    && self.pending.first().is_some_and(|w| w.ended)
                {
                    self.settle(1);
                }
            }
            Event::Truncated { to } => {
                self.settle(self.pending.len());
                self.durable.resize(*to, 0);
            }
            Event::SyncBegan { thread } => {
                let done = self.pending.iter().take_while(|w| w.ended).count();
                self.syncs.insert(*thread, done);
            }
            Event::SyncEnded { thread } => {
                let done = self.syncs.remove(thread).unwrap_or(0);
                self.settle(done);
            }
            Event::Acknowledged(_) => {}
        }
    }

    /// Makes the oldest writes durable.
    fn settle(&mut self, count: usize) {
        for write in self.pending.drain(..count) {
            place(&mut self.durable, write.at, &write.bytes);
        }
        for done in self.syncs.values_mut() {
            *done = done.saturating_sub(count);
        }
    }

    /// What may be found after the power went now.
    fn cut(&self, random: &mut Numbers) -> Vec<u8> {
        let mut image = self.durable.clone();
        for write in &self.pending {
            match random.below(4) {
                0 => {}
                1 => place(&mut image, write.at, &write.bytes),
                _ => {
                    for (index, sector) in write.bytes.chunks(SECTOR).enumerate() {
                        if random.below(2) == 0 {
                            place(&mut image, write.at + index * SECTOR, sector);
                        }
                    }
                }
            }
        }
        image
    }
}

fn place(image: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    image.resize(image.len().max(end), 0);
    image[at..end].copy_from_slice(bytes);
}

/// What was wrong with a store after a cut; `None` when it is as it must be.
fn fault(path: &Path, acknowledged: u32, large: bool) -> Option<String> {
    let dir = DataDir::open(path).unwrap();
    let store = match SledStore::open(&dir, StoreOptions::default()) {
        Ok(store) => store,
        Err(error) => return Some(format!("it does not open: {error}")),
    };
    let number = |value: &[u8]| u32::from_be_bytes(value[..4].try_into().unwrap());
    let last = store.get(b"last").unwrap().map_or(0, |value| number(&value));
    if last < acknowledged {
        return Some(format!("commit {acknowledged} was acknowledged, the last one is {last}"));
    }
    let mut expected = BTreeMap::new();
    for n in 1..=last {
        expected.extend(rewritten(n, large).into_iter().map(|key| (key, n)));
    }
    let mut found = BTreeMap::new();
    let scanned = store.scan(b"k", b"k", &mut |key, value| {
        found.insert(u32::from_be_bytes(key[1..].try_into().unwrap()), number(value));
        true
    });
    match scanned {
        Err(error) => Some(format!("it cannot be read: {error}")),
        Ok(()) if found == expected => None,
        Ok(()) => Some(format!("commit {last} or one before it is there in part")),
    }
}

/// Runs the child on a fresh store in `data`; gives the file as it was before, and what happened.
fn record(data: &Path, log: &Path, large: bool) -> (Vec<u8>, Vec<Event>) {
    drop(open(data));
    let before = std::fs::read(data.join("store/db")).unwrap();
    let mut command = strace();
    command
        .args(["-f", "-y", "-xx", "-s", "1048576", "-e"])
        .arg("trace=pwrite64,write,ftruncate,fdatasync,fsync")
        .arg("-o")
        .arg(log)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "store::power_tests::child_that_is_recorded", "--nocapture"])
        .env(CHILD, data);
    if large {
        command.env(LARGE, "1");
    }
    assert!(command.output().unwrap().status.success(), "the recorded process failed");
    let recorded = std::fs::read_to_string(log).unwrap();
    (before, recorded.lines().flat_map(|line| events(line, "/store/db")).collect())
}

/// Records a run, plays it back to `cuts` random moments and lists what was wrong after each.
fn faults(large: bool, medium: Medium, when: Acknowledge, cuts: usize, seed: u64) -> Vec<String> {
    let top = tempfile::tempdir().unwrap();
    let top = top.path().canonicalize().unwrap();
    let data = top.join("data");
    let (before, events) = record(&data, &top.join("trace"), large);

    // Opening is over then, and has synced all that it wrote beside the file.
    let first = events.iter().position(|e| matches!(e, Event::Acknowledged(_))).unwrap();
    let mut random = Numbers(seed);
    let mut moments: Vec<usize> =
        (0..cuts).map(|_| first + random.below(events.len() - first)).collect();
    moments.sort_unstable();
    let mut disk = Disk { durable: before, pending: Vec::new(), syncs: BTreeMap::new(), medium };
    let (mut recorded_last, mut acknowledged) = (0, 0);
    let (mut faults, mut uncertain) = (Vec::new(), 0);
    for (index, event) in events.iter().enumerate() {
        disk.play(event);
        match event {
            Event::Acknowledged(number) => recorded_last = *number,
            Event::WriteBegan { .. } if when == Acknowledge::AtFirstWrite => {
                acknowledged = recorded_last + 1;
            }
            _ => {}
        }
        acknowledged = acknowledged.max(recorded_last);
        for moment in moments.iter().filter(|m| **m == index) {
            uncertain += usize::from(!disk.pending.is_empty());
            let place = top.join(format!("cut-{moment}"));
            copy_beside(&data.join("store"), &place.join("store"));
            std::fs::write(place.join("store/db"), disk.cut(&mut random)).unwrap();
            if let Some(fault) = fault(&place, acknowledged, large) {
                faults.push(format!("cut at {moment} of {}: {fault}", events.len()));
            }
            std::fs::remove_dir_all(&place).unwrap();
        }
    }
    assert!(acknowledged > 10 && uncertain > cuts / 20, "{acknowledged} commits, {uncertain} torn");
    println!("{} events, {cuts} cuts, {uncertain} with uncertain writes", events.len());
    faults
}

/// Copies what sled writes only while it opens: its settings and its snapshot.
fn copy_beside(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.join("blobs")).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if path.is_file() && name != "db" {
            std::fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

#[test]
fn no_power_cut_loses_or_tears_a_commit() {
    assert_eq!(
        faults(true, Medium::Synchronous, Acknowledge::AsRecorded, 40, 1),
        Vec::<String>::new()
    );
}

#[test]
fn small_commits_survive_without_synchronous_files_too() {
    assert_eq!(faults(false, Medium::Cached, Acknowledge::AsRecorded, 24, 2), Vec::<String>::new());
}

#[test]
fn a_store_that_acknowledges_before_it_syncs_is_found_out() {
    let found = faults(false, Medium::Cached, Acknowledge::AtFirstWrite, 20, 3);
    let lost = |fault: &String| fault.contains("was acknowledged");
    assert!(found.len() >= 3 && found.iter().all(lost), "only these were found: {found:?}");
}
