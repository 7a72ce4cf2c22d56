//! Damaged files: one bit is another one, or the end of a file is gone. What each engine makes of
//! that by itself, without the checks above the port.

use std::fmt;
use std::io::{BufRead as _, BufReader, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rebuilder_actors::port::StoreOwner;

use super::power_load::{self, Content};
use super::{Engine, StoreOptions};
use crate::data_dir::DataDir;
use crate::testing::power_cut::{Node, Numbers};

const CHILD: &str = "store::flip_test::child_that_opens_damaged_files";
const ENGINE: &str = "STORE_FLIP_ENGINE";
/// Where a child begins, and the end.
const RANGE: &str = "STORE_FLIP_RANGE";
const BATCHES: u64 = 60;
/// A child that says nothing for so long hangs.
const SILENCE: Duration = Duration::from_secs(60);
/// Bytes at the beginning of a file that are damaged bit by bit, in the numbers from here on: what
/// says where everything else is.
const HEADER_BYTES: usize = 320;
const HEADER_FROM: usize = 1_000_000;
/// One of so many random damages is a file that was cut; the others are bits.
const CUT_ONCE_IN: usize = 3;

/// What became of stores with damaged files.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    /// All records are there, as written.
    whole: usize,
    /// An error when it was opened or read.
    refused: usize,
    /// Records are gone or others, and nothing said so.
    silent: Vec<usize>,
    /// A panic that reached the caller, the end of the process, or no end.
    died: Vec<usize>,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { whole, refused, silent, died } = self;
        let (silent_count, died_count) = (silent.len(), died.len());
        write!(
            f,
            "{whole} harmless, {refused} refused, {silent_count} silent {silent:?}, {died_count} \
             died {died:?}"
        )
    }
}

/// Not a test by itself.
#[test]
fn child_that_opens_damaged_files() {
    let Ok(range) = std::env::var(RANGE) else { return };
    let (from, to) = range.split_once("..").unwrap();
    let engine = Engine::asked_by(ENGINE);
    let (starts, content) = starts(engine);
    for number in from.parse::<usize>().unwrap()..to.parse().unwrap() {
        say(&format!("opening {number}"));
        let mut image = starts[number % starts.len()].clone();
        let what = damage(&mut image, number);
        let top = tempfile::tempdir().unwrap();
        image.write(&top.path().join("data")).unwrap();
        let found = catch_unwind(AssertUnwindSafe(|| outcome(engine, top.path(), &content)));
        say(&format!("{} {number} {what}", found.unwrap_or("died")));
    }
}

fn say(line: &str) {
    std::io::stdout().write_all(format!("\n{line}\n").as_bytes()).unwrap();
}

fn outcome(engine: Engine, top: &Path, content: &Content) -> &'static str {
    let opened =
        DataDir::open(&top.join("data")).and_then(|dir| engine.open(&dir, StoreOptions::default()));
    let Ok(store) = opened else { return "refused" };
    match power_load::difference(&*store, content) {
        None => "whole",
        Some(difference) if difference.starts_with("it cannot be read") => "refused",
        Some(_) => "silent",
    }
}

/// The files of a store after a clean end and after a kill, with what is in it.
fn starts(engine: Engine) -> ([Node; 2], Content) {
    let top = tempfile::tempdir().unwrap();
    let data = top.path().join("data");
    let dir = DataDir::open(&data).unwrap();
    let store = engine.open(&dir, StoreOptions::default()).unwrap();
    let mut store = StoreOwner::take(store, None).unwrap();
    let mut content = Content::new();
    for number in 1..=BATCHES {
        store.commit(&[power_load::batch(number)]).unwrap();
        power_load::apply(&mut content, number);
    }
    let killed = Node::read(&data).unwrap();
    drop(store);
    ([Node::read(&data).unwrap(), killed], content)
}

/// Damages one file of the store; returns how.
fn damage(image: &mut Node, number: usize) -> String {
    let mut files = Vec::new();
    list(image, Path::new(""), &mut files);
    files.retain(|(path, _)| path.starts_with("store") || path.starts_with("store-redb"));
    let mut random = Numbers::new(number as u64);
    if let Some(bit) = number.checked_sub(HEADER_FROM) {
        let longest = files.iter().max_by_key(|(_, length)| *length).unwrap().0.clone();
        return flip(image, &longest, bit / 2);
    }
    // Every byte of all files is hit as often.
    let mut at = random.below(files.iter().map(|(_, length)| length).sum());
    let (path, length) = files
        .iter()
        .find(|(_, length)| {
            let here = at < *length;
            at -= if here { 0 } else { *length };
            here
        })
        .unwrap();
    if random.once_in(CUT_ONCE_IN) {
        file(image, path).truncate(at);
        return format!("{} cut from {length} to {at}", path.display());
    }
    let bit = 8 * at + random.below(8);
    flip(image, &path.clone(), bit)
}

fn flip(image: &mut Node, path: &Path, bit: usize) -> String {
    file(image, path)[bit / 8] ^= 1 << (bit % 8);
    format!("{} bit {} of byte {}", path.display(), bit % 8, bit / 8)
}

fn list(node: &Node, path: &Path, files: &mut Vec<(PathBuf, usize)>) {
    match node {
        Node::File(bytes) => files.push((path.to_owned(), bytes.len())),
        Node::Folder(children) => {
            children.iter().for_each(|(name, child)| list(child, &path.join(name), files));
        }
    }
}

fn file<'a>(node: &'a mut Node, path: &Path) -> &'a mut Vec<u8> {
    let found = path.iter().fold(node, |node, name| match node {
        Node::Folder(children) => children.get_mut(name.to_str().unwrap()).unwrap(),
        Node::File(_) => panic!("a file has no files"),
    });
    match found {
        Node::File(bytes) => bytes,
        Node::Folder(_) => panic!("{} is a folder", path.display()),
    }
}

/// Opens stores with the damages `from..to`, in processes of their own: some end.
fn tally(engine: Engine, from: usize, to: usize) -> Tally {
    let mut tally = Tally::default();
    let mut next = from;
    while next < to {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", CHILD, "--nocapture"])
            .env(ENGINE, engine.name())
            .env(RANGE, format!("{next}..{to}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (send, receive) = mpsc::channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|l| send.send(l)));
        let mut opening = None;
        while let Ok(line) = receive.recv_timeout(SILENCE) {
            let mut words = line.split(' ');
            let outcome = words.next().unwrap_or_default();
            let Some(Ok(number)) = words.next().map(str::parse::<usize>) else { continue };
            match outcome {
                "opening" => opening = Some(number),
                "whole" => tally.whole += 1,
                "refused" => tally.refused += 1,
                "silent" => tally.silent.push(number),
                "died" => tally.died.push(number),
                _ => continue,
            }
            if outcome != "opening" {
                opening = None;
                next = number + 1;
            }
            if ["silent", "died"].contains(&outcome) {
                println!("{}: {line}", engine.name());
            }
        }
        let _ = child.kill();
        child.wait().unwrap();
        if next < to {
            let number = opening.expect("a child ends early only while it opens an image");
            println!("{}: the process ended at {number}", engine.name());
            tally.died.push(number);
            next = number + 1;
        }
    }
    println!("{}: {tally}", engine.name());
    tally
}

/// redb finds each, and tells, but for those of `silent`.
fn expect_told(tally: &Tally, count: usize, silent: &[usize]) {
    assert_eq!(tally.silent, silent, "{tally}");
    assert_eq!(tally.whole + tally.refused + silent.len(), count, "{tally}");
    assert!(tally.refused > count / 20, "the damages did not hit anything: {tally}");
}

/// The one bit that nothing verifies: it says which of two roots is the current one, and after a
/// kill the other one is that of the commit before. (After a clean end both have the same rows.)
const CURRENT_ROOT: usize = HEADER_FROM + 2 * (8 * 9) + 1;

#[test]
fn redb_is_silent_about_one_bit_of_all() {
    expect_told(&tally(Engine::Redb, 0, 150), 150, &[]);
    // The first 16 bytes, after a clean end and after a kill.
    expect_told(&tally(Engine::Redb, HEADER_FROM, HEADER_FROM + 256), 256, &[CURRENT_ROOT]);
}

/// What the checks above the port are for: every damage is judged, and this engine alone does not
/// tell of each.
#[test]
fn sled_alone_is_silent_about_some() {
    let tally = tally(Engine::Sled, 0, 150);
    assert_eq!(tally.whole + tally.refused + tally.silent.len() + tally.died.len(), 150);
    assert!(!tally.silent.is_empty(), "sled got better: {tally}");
}

#[test]
#[ignore = "takes minutes: make test-store"]
fn thousands_of_damages() {
    expect_told(&tally(Engine::Redb, 0, 6000), 6000, &[]);
    let header = 2 * 8 * HEADER_BYTES;
    expect_told(&tally(Engine::Redb, HEADER_FROM, HEADER_FROM + header), header, &[CURRENT_ROOT]);
    tally(Engine::Sled, 0, 6000);
}
