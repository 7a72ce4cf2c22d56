//! What reaches the kernel, seen by `strace`: nothing is acknowledged before sled's file is synced.

use std::io::Write as _;
use std::path::Path;

use rebuilder_actors::port::{Batch, StoreOwner};

use super::{SledStore, StoreOptions};
use crate::data_dir::DataDir;
use crate::testing::power_cut::strace;

const CHILD: &str = "STORE_SYNC_TEST_DIR";
const COMMITS: u32 = 40;
const MARK: &str = "acknowledged commit";

/// Not a test by itself: commits under `strace`, when started by the one below.
#[test]
fn child_that_is_traced() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let dir = DataDir::open(Path::new(&path)).unwrap();
    let store = SledStore::open(&dir, StoreOptions::default()).unwrap();
    let mut store = StoreOwner::take(store, None).unwrap();
    for number in 0..COMMITS {
        // Small ones, large ones that fill segments, and one whose values are cut.
        let (records, size) = match number {
            7 | 8 => (1500, 700),
            9 => (3, 500_000),
            _ => (2, 300),
        };
        let mut batch = Batch::default();
        for record in 0..records {
            let key = [number.to_be_bytes(), u32::to_be_bytes(record)].concat();
            batch.put(key, vec![u8::try_from(number).unwrap(); size]);
        }
        store.commit(&[batch]).unwrap();
        std::io::stdout().write_all(format!("{MARK} {number}\n").as_bytes()).unwrap();
    }
}

/// One line of the trace that matters here.
#[derive(Debug, PartialEq, Eq)]
enum Event {
    /// A write (or truncation) of the file began.
    Wrote(String),
    /// A write of sled's file that others overtook ended.
    WriteEnded,
    /// An `fdatasync` or `fsync` of the file began, in this thread.
    SyncBegan { thread: String, file: String },
    /// It ended well.
    SyncEnded { thread: String, file: Option<String> },
    /// The child told its parent.
    Acknowledged,
}

/// Reads `strace -f -y` lines: `PID call(FD</path>, …) = RESULT`, with calls of other threads in
/// between shown as `<unfinished ...>` and `<... call resumed>`.
fn event(line: &str) -> Vec<Event> {
    let (thread, call) = line.split_once(' ').expect("strace -f starts lines with the thread");
    let call = call.trim_start();
    let thread = thread.to_owned();
    let path = |call: &str| call.split_once('<')?.1.split_once('>').map(|(p, _)| p.to_owned());
    let ended = call.trim_end().ends_with("= 0");
    let is_write =
        |c: &str| ["pwrite64", "write", "ftruncate", "pwritev", "fallocate"].contains(&c);
    if let Some(rest) = call.strip_prefix("<... ") {
        let sync = rest.starts_with("fdatasync") || rest.starts_with("fsync");
        // Only sled's file is written with `pwrite64`.
        return if rest.starts_with("pwrite64") {
            vec![Event::WriteEnded]
        } else if sync && ended {
            vec![Event::SyncEnded { thread, file: None }]
        } else {
            vec![]
        };
    }
    let name = call.split('(').next().unwrap_or_default();
    match name {
        "write" if call.contains(MARK) => vec![Event::Acknowledged],
        name if is_write(name) => path(call).map(Event::Wrote).into_iter().collect(),
        "fdatasync" | "fsync" => {
            let file = path(call).expect("strace -y names the file");
            let began = Event::SyncBegan { thread: thread.clone(), file: file.clone() };
            if ended {
                vec![began, Event::SyncEnded { thread, file: Some(file) }]
            } else {
                vec![began]
            }
        }
        _ => vec![],
    }
}

/// Acknowledgements that came while the file `db` had writes that no later sync covered.
fn too_early(events: &[Event], db: &str) -> (usize, usize) {
    let (mut writes, mut synced, mut early, mut acknowledged) = (0_u32, 0_u32, 0, 0);
    let mut running: Vec<(String, u32)> = Vec::new();
    let mut dirty_since_open = false;
    for event in events {
        match event {
            Event::Wrote(file) if file == db => {
                writes += 1;
                dirty_since_open = true;
            }
            Event::WriteEnded => writes += 1,
            Event::SyncBegan { thread, file } if file == db => {
                running.push((thread.clone(), writes));
            }
            Event::SyncEnded { thread, .. } => {
                // A sync covers what was written before it began.
                if let Some(at) = running.iter().position(|(t, _)| t == thread) {
                    synced = synced.max(running.swap_remove(at).1);
                }
            }
            Event::Acknowledged => {
                acknowledged += 1;
                assert!(dirty_since_open, "an acknowledgement without any write");
                early += usize::from(synced < writes);
                dirty_since_open = false;
            }
            _ => {}
        }
    }
    (early, acknowledged)
}

#[test]
fn each_acknowledgement_follows_a_sync_of_the_file() {
    let top = tempfile::tempdir().unwrap();
    let top = top.path().canonicalize().unwrap();
    let log = top.join("trace");
    let status = strace()
        .args(["-f", "-y", "-s", "64", "-e"])
        .arg("trace=pwrite64,pwritev,write,ftruncate,fallocate,fdatasync,fsync,mkdir,rename,openat")
        .arg("-o")
        .arg(&log)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "store::sync_test::child_that_is_traced", "--nocapture"])
        .env(CHILD, top.join("data"))
        .status()
        .unwrap();
    assert!(status.success(), "the traced process failed: {status}");
    let text = String::from_utf8_lossy(&std::fs::read(&log).unwrap()).into_owned();
    let store = top.join("data/store");
    let db = store.join("db").display().to_string();
    let events: Vec<Event> = text.lines().flat_map(event).collect();
    assert_eq!(too_early(&events, &db), (0, COMMITS as usize));

    // Whatever else is written in the folder is synced too, and so are the names.
    let first = events.iter().position(|e| *e == Event::Acknowledged).unwrap();
    let synced = |path: &Path| {
        let path = path.display().to_string();
        let is_sync = |e: &Event| matches!(e, Event::SyncBegan { file, .. } if *file == path);
        events[..first].iter().any(is_sync)
    };
    let data = top.join("data");
    for path in [&store, &store.join("conf"), &store.join("blobs"), &data, &top] {
        assert!(synced(path), "{} was not synced before the first commit", path.display());
    }
    let folder = store.display().to_string();
    let others = events[first..]
        .iter()
        .filter(|e| matches!(e, Event::Wrote(file) if file.starts_with(&folder) && *file != db));
    assert_eq!(others.count(), 0, "the store writes a file that commits do not sync");
}

#[test]
fn the_reader_of_traces_sees_a_missing_sync() {
    let lines = |text: &str| text.lines().flat_map(event).collect::<Vec<_>>();
    let told = "8 write(1<pipe:[1]>, \"acknowledged commit 0\\n\", 22) = 22";
    let sound = format!(
        "7 pwrite64(5</d/db>, \"x\", 1, 0) = 1\n8 fdatasync(6</d/db> <unfinished ...>\n\
         8 <... fdatasync resumed>) = 0\n{told}"
    );
    assert_eq!(too_early(&lines(&sound), "/d/db"), (0, 1));
    let during = format!(
        "8 fdatasync(6</d/db> <unfinished ...>\n7 pwrite64(5</d/db>, \"x\", 1, 0) = 1\n\
         8 <... fdatasync resumed>) = 0\n{told}"
    );
    assert_eq!(too_early(&lines(&during), "/d/db"), (1, 1));
    let overtaken = sound.replace("1, 0) = 1", "1, 0 <unfinished ...>").replace(
        "8 <... fdatasync resumed>) = 0",
        "8 <... fdatasync resumed>) = 0\n7 <... pwrite64 resumed>) = 1",
    );
    assert_eq!(too_early(&lines(&overtaken), "/d/db"), (1, 1));
    let failed = sound.replace(") = 0\n8 write", ") = -1 EIO (Input/output error)\n8 write");
    assert_eq!(too_early(&lines(&failed), "/d/db"), (1, 1));
    let other = sound.replace("6</d/db>", "6</d/other>");
    assert_eq!(too_early(&lines(&other), "/d/db"), (1, 1));
}
