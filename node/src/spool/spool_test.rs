use proptest::prelude::*;
use rebuilder_actors::port::Clock as _;

use super::*;
use crate::clock::SystemClock;

fn open(path: &Path) -> FileSpool {
    FileSpool::open(&DataDir::open(path).unwrap()).unwrap()
}

fn named(spool: &mut FileSpool) -> Vec<(String, Vec<u8>)> {
    let entries = spool.entries().unwrap();
    entries.into_iter().map(|(name, content)| (name, content.to_vec())).collect()
}

#[test]
fn entries_survive_and_are_replaced_and_removed() {
    let top = tempfile::tempdir().unwrap();
    let mut spool = open(top.path());
    assert_eq!(named(&mut spool), []);
    spool.keep("b", b"second").unwrap();
    spool.keep("a", b"first").unwrap();
    spool.keep("empty", b"").unwrap();
    spool.keep("b", b"replaced").unwrap();
    drop(spool);
    let mut spool = open(top.path());
    let expected = [("a", &b"first"[..]), ("b", b"replaced"), ("empty", b"")]
        .map(|(n, c)| (n.into(), c.into()));
    assert_eq!(named(&mut spool), expected);
    spool.remove("b").unwrap();
    spool.remove("b").unwrap();
    assert_eq!(spool.entries().unwrap().len(), 2);
}

#[test]
fn a_torn_file_is_set_aside_and_kept() {
    let top = tempfile::tempdir().unwrap();
    let mut spool = open(top.path());
    let path = top.path().join("spool/entries/report");
    for _ in 0..2 {
        spool.keep("good", b"good").unwrap();
        spool.keep("report", &[7; 5000]).unwrap();
        let file = fs::read(&path).unwrap();
        fs::write(&path, &file[..4000]).unwrap();
        assert_eq!(named(&mut spool), [("good".to_owned(), b"good".to_vec())]);
        assert!(!path.exists());
    }
    let aside = top.path().join("spool/damaged");
    assert_eq!(fs::metadata(aside.join("report")).unwrap().len(), 4000);
    assert_eq!(fs::metadata(aside.join("report.1")).unwrap().len(), 4000);
}

#[test]
fn what_was_half_written_is_no_entry() {
    let top = tempfile::tempdir().unwrap();
    let mut spool = open(top.path());
    fs::write(top.path().join("spool/new"), "half").unwrap();
    assert_eq!(named(&mut spool), []);
    spool.keep("a", b"whole").unwrap();
    assert_eq!(named(&mut spool), [("a".to_owned(), b"whole".to_vec())]);
}

#[test]
fn names_cannot_leave_the_folder() {
    let top = tempfile::tempdir().unwrap();
    let mut spool = open(top.path());
    for name in ["", "..", "../new", "a/b"] {
        assert_eq!(spool.keep(name, b"x").unwrap_err().action, "name");
        assert_eq!(spool.remove(name).unwrap_err().action, "name");
    }
}

#[test]
fn a_failure_keeps_nothing() {
    let top = tempfile::tempdir().unwrap();
    let mut spool = open(top.path());
    // A folder where the entry should go cannot be replaced by a file.
    fs::create_dir(top.path().join("spool/entries/a")).unwrap();
    assert_eq!(spool.keep("a", b"x").unwrap_err().action, "rename");
    assert!(!top.path().join("spool/new").exists());
    let full = io::Error::from_raw_os_error(nix::libc::ENOSPC);
    assert!(failed("write", Path::new("x"))(full).full);
}

proptest! {
    #[test]
    fn any_change_of_a_file_is_seen(
        content in prop::collection::vec(any::<u8>(), 0..60),
        at: prop::sample::Index,
        bit in 0_u32..8,
        cut: prop::sample::Index,
    ) {
        let digest = Sha256::of(&content);
        let file = [&MAGIC[..], &digest.0, &content].concat();
        prop_assert_eq!(super::content(&file.clone().into()).unwrap(), content);
        let mut changed = file.clone();
        changed[at.index(file.len())] ^= 1 << bit;
        prop_assert_eq!(super::content(&changed.into()), None);
        prop_assert_eq!(super::content(&file[..cut.index(file.len())].to_vec().into()), None);
    }
}

/// Prints the figures of this machine: run with `--ignored --nocapture`.
#[test]
#[ignore = "a measurement that wants a quiet machine"]
fn measure_this_machine() {
    let top = tempfile::tempdir().unwrap();
    let mut spool = open(top.path());
    let clock = SystemClock::new();
    let mut times = Vec::new();
    for number in 0..300 {
        let start = clock.monotonic();
        spool.keep(&format!("entry-{number}"), &[1; 20_000]).unwrap();
        times.push(clock.monotonic().since(start));
    }
    times.sort_unstable();
    println!("keep 20 kB: median {:.2?}, worst {:.2?}", times[150], times[299]);
    let start = clock.monotonic();
    assert_eq!(spool.entries().unwrap().len(), 300);
    println!("entries of 300: {:.2?}", clock.monotonic().since(start));
    assert!(times[150] < std::time::Duration::from_millis(50), "too slow to spool a report");
}
