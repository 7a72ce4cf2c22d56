//! `kill -9` at random moments: what was acknowledged is there, and no batch is there in part.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rebuilder_actors::port::{Batch, Store, StoreOwner, StoreRead};

use super::{Engine, StoreOptions};
use crate::data_dir::DataDir;
use crate::testing::power_cut::Numbers;

const CHILD: &str = "STORE_KILL_TEST_DIR";
const ENGINE: &str = "STORE_KILL_TEST_ENGINE";
const KILLS: u64 = 50;
/// Commits before a kill that does not fall into the opening, at least.
const COMMITS_MIN: usize = 12;
/// Keys of a batch: one commit writes all of them with its number.
const KEYS: u64 = 5;

fn open(engine: Engine, path: &Path) -> StoreOwner<Box<dyn Store>> {
    let store = engine.open(&DataDir::open(path).unwrap(), StoreOptions::default()).unwrap();
    StoreOwner::take(store, None).unwrap()
}

/// The batch `number` sets the same keys as every other, and adds one of its own.
fn batch(number: u64) -> Batch {
    let mut batch = Batch::default();
    let size = if number.is_multiple_of(50) { 30_000 } else { 300 };
    let mut value = vec![0; size];
    value[..8].copy_from_slice(&number.to_be_bytes());
    for key in 0..KEYS {
        batch.put([b's', u8::try_from(key).unwrap()].to_vec(), value.clone());
    }
    batch.put([&b"n"[..], &number.to_be_bytes()].concat(), value);
    batch
}

/// Reads back the number of the last batch that is there, and checks that all before it are.
fn last_whole(store: &dyn StoreRead) -> u64 {
    let mut numbers = Vec::new();
    store
        .scan(b"n", b"n", &mut |key, value| {
            assert_eq!(key[1..], value[..8]);
            numbers.push(u64::from_be_bytes(value[..8].try_into().unwrap()));
            true
        })
        .unwrap();
    let last = numbers.last().copied().unwrap_or(0);
    assert!(numbers.iter().copied().eq(1..=last), "a batch is missing below {last}");
    for key in 0..KEYS {
        let value = store.get(&[b's', u8::try_from(key).unwrap()]).unwrap();
        let found = value.map_or(0, |v| u64::from_be_bytes(v[..8].try_into().unwrap()));
        assert_eq!(found, last, "batch {last} is torn");
    }
    last
}

/// Not a test by itself: commits until it is killed, when started by the one below.
#[test]
fn child_that_is_killed() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let mut store = open(Engine::asked_by(ENGINE), Path::new(&dir));
    let mut number = last_whole(&*store);
    let mut out = std::io::stdout().lock();
    writeln!(out).unwrap();
    loop {
        // Groups of one, two and three batches.
        let group: Vec<u64> = (number + 1..=number + 1 + number % 3).collect();
        store.commit(&group.iter().map(|n| batch(*n)).collect::<Vec<_>>()).unwrap();
        number = *group.last().unwrap();
        writeln!(out, "acknowledged {number}").unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn nothing_acknowledged_is_lost_at_a_kill() {
    Engine::ALL.into_iter().for_each(kill_often);
}

fn kill_often(engine: Engine) {
    let top = tempfile::tempdir().unwrap();
    let mut before = 0;
    let mut random = Numbers::new(8);
    for round in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::kill_test::child_that_is_killed", "--nocapture"])
            .env(CHILD, top.path())
            .env(ENGINE, engine.name())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (said, hears) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            let lines = stdout.lines().map_while(Result::ok);
            let numbers = lines.filter_map(|line| {
                let number = line.strip_prefix("acknowledged ")?.parse().ok()?;
                said.send(()).expect("the test has the receiver still");
                Some(number)
            });
            numbers.last().unwrap_or(0_u64)
        });
        // Every fifth moment falls into the start and the opening, the others into commits, after
        // as many of them, whatever the disk.
        let (commits, pause) = match round % 5 {
            0 => (0, 20 + random.below(131)),
            _ => (COMMITS_MIN + random.below(30), random.below(20)),
        };
        for _ in 0..commits {
            hears.recv().expect("the child commits");
        }
        std::thread::sleep(Duration::from_millis(pause as u64));
        child.kill().unwrap();
        child.wait().unwrap();
        let acknowledged = reader.join().unwrap();
        let found = last_whole(&*open(engine, top.path()));
        assert!(found >= acknowledged.max(before), "{acknowledged} and {before}, found {found}");
        before = found;
    }
    println!("{}: {KILLS} kills, {before} batches", engine.name());
    let expected = KILLS * 4 / 5 * COMMITS_MIN as u64;
    assert!(before >= expected, "only {before} of {expected} batches were committed");
}
