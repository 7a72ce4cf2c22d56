use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

use bytes::Bytes;
use rebuilder_actors::port::{Batch, Op, Store, StoreError};

use super::layout::{self, Head, MAX_KEY, MAX_VALUE, RESTS};
use super::synchronous::make_synchronous;
use crate::data_dir::{DataDir, io_error};
use crate::durable;

/// Batches of one commit are merged into atomic writes of about this many bytes: a larger one
/// costs memory until it is whole.
const MERGE_BYTES: usize = 256 << 10;

/// How long a database that was just dropped in this process may take to let go of its lock.
const RELEASE_TRIES: u32 = 500;
const RELEASE_PAUSE: Duration = Duration::from_millis(10);

/// Settings of the store.
#[derive(Clone, Copy, Debug)]
pub struct StoreOptions {
    /// Bytes of pages kept in memory. With the default (16 MiB) and 60,000 values of 600 bytes the
    /// process as a whole was measured at 63 MiB.
    pub cache_bytes: u64,
    /// The file system writes synchronously by itself: one without synchronous files will do.
    pub assume_synchronous: bool,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { cache_bytes: 8 << 20, assume_synchronous: false }
    }
}

/// The port `Store` on sled, in the folder `store` of a data directory. Keys are at most 256
/// bytes, values at most 1 MiB; a commit with a larger one is refused whole.
///
/// sled believes what it wrote to be durable after `sync_file_range`, which reaches neither the
/// drive's cache nor the file's size, and reuses the space of moved pages on that belief. The file
/// is therefore marked synchronous (`chattr +S`), so that every write is durable in its order, and
/// synced once more before a commit is acknowledged. A file system that cannot is refused.
///
/// A panic in one of sled's threads ends the process: sled would catch it and wait for ever.
#[derive(Debug)]
pub struct SledStore {
    db: sled::Db,
    /// The file that sled writes, opened before its first commit so that no error of writing back
    /// escapes `fdatasync`.
    file: File,
    folder: PathBuf,
    /// What failed; a file whose sync failed once is not to be trusted again.
    broken: Option<StoreError>,
    /// Keeps other processes out.
    _dir: DataDir,
}

impl SledStore {
    /// Opens, and creates if absent, the store of `dir`.
    ///
    /// # Errors
    /// The folder cannot be read or written, or its content is damaged, or its file system has no
    /// synchronous files.
    pub fn open(dir: &DataDir, options: StoreOptions) -> Result<Self, StoreError> {
        abort_on_panics_of_sled();
        let folder = dir.join("store");
        if folder.exists() {
            prepare(&folder, options)?;
        } else {
            create(dir, &folder, options)?;
        }
        let db = open_sled(&folder, options)?;
        let file = sync_all(&folder, options)?;
        durable::sync_dir(dir.path()).map_err(|e| io_error("sync", dir.path(), &e))?;
        Ok(Self { db, file, folder, broken: None, _dir: dir.clone() })
    }

    /// Bytes that the store occupies on disk.
    ///
    /// # Errors
    /// The medium failed.
    pub fn disk_bytes(&self) -> Result<u64, StoreError> {
        self.db.size_on_disk().map_err(|e| store_error("measure", &self.folder, e))
    }

    fn commit_all(&self, batches: &[Batch]) -> Result<(), StoreError> {
        let mut merged = BTreeMap::new();
        let mut bytes = 0;
        for op in batches.iter().flat_map(|batch| &batch.0) {
            check(op, &self.folder)?;
        }
        for batch in batches {
            for op in &batch.0 {
                let (key, value) = match op {
                    Op::Put { key, value } => (key, Some(value)),
                    Op::Delete { key } => (key, None),
                };
                bytes += key.len() + value.map_or(0, Bytes::len);
                merged.insert(&key[..], value);
            }
            if bytes >= MERGE_BYTES {
                self.apply(&std::mem::take(&mut merged))?;
                // The next ones may cut the file where moved pages were, so that the pages must
                // be safe where they are now.
                self.sync()?;
                bytes = 0;
            }
        }
        self.apply(&merged)?;
        self.sync()
    }

    /// Makes all that was applied durable.
    fn sync(&self) -> Result<(), StoreError> {
        self.db.flush().map_err(|e| store_error("write", &self.folder, e))?;
        self.file.sync_data().map_err(|e| io_error("sync", &self.folder.join("db"), &e))
    }

    /// Applies changes of different keys as one.
    fn apply(&self, changes: &BTreeMap<&[u8], Option<&Bytes>>) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        for (key, value) in changes {
            let stored_key = layout::to_stored(key);
            let before = self.row(&stored_key)?;
            let old_rests = match &before {
                Some(row) => self.head(key, row)?.rests(),
                None => 1..1,
            };
            let mut kept = 1;
            if let Some(value) = value {
                let (head, rests) = layout::cut(value);
                batch.insert(&*stored_key, head);
                for rest in rests {
                    batch.insert(layout::rest_key(key, kept), rest);
                    kept += 1;
                }
            } else if before.is_some() {
                batch.remove(&*stored_key);
            }
            for index in kept..old_rests.end {
                batch.remove(layout::rest_key(key, index));
            }
        }
        self.db.apply_batch(batch).map_err(|e| store_error("write", &self.folder, e))
    }

    fn row(&self, stored_key: &[u8]) -> Result<Option<sled::IVec>, StoreError> {
        self.db.get(stored_key).map_err(|e| store_error("read", &self.folder, e))
    }

    fn head<'a>(&self, key: &[u8], row: &'a [u8]) -> Result<Head<'a>, StoreError> {
        Head::read(row).ok_or_else(|| self.damaged(key, "its row is malformed"))
    }

    /// The whole of a value that was cut.
    fn join(&self, key: &[u8], head: &Head<'_>) -> Result<Bytes, StoreError> {
        let (length, first) = match head {
            Head::Whole(value) => return Ok(Bytes::copy_from_slice(value)),
            Head::Cut { length, first } => (*length, *first),
        };
        let mut value = Vec::with_capacity(length);
        value.extend_from_slice(first);
        for index in head.rests() {
            let rest = self.row(&layout::rest_key(key, index))?;
            value.extend_from_slice(&rest.ok_or_else(|| self.damaged(key, "a piece is missing"))?);
        }
        if value.len() == length {
            Ok(value.into())
        } else {
            Err(self.damaged(key, "its pieces do not have its length"))
        }
    }

    fn damaged(&self, key: &[u8], reason: &str) -> StoreError {
        let path = format!("{} (key {})", self.folder.display(), key.escape_ascii());
        StoreError::Damaged { path, reason: reason.to_owned() }
    }

    /// Gives one row of a scan to `visit`.
    fn visit(
        &self,
        stored_key: &[u8],
        row: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<ControlFlow<()>, StoreError> {
        let key = layout::from_stored(stored_key);
        let more = match self.head(&key, row)? {
            Head::Whole(value) => visit(&key, value),
            cut @ Head::Cut { .. } => visit(&key, &self.join(&key, &cut)?),
        };
        Ok(if more { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    }
}

impl Store for SledStore {
    fn commit(&mut self, batches: &[Batch]) -> Result<(), StoreError> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        let done = self.commit_all(batches);
        self.broken = done.as_ref().err().cloned();
        done
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        match self.row(&layout::to_stored(key))? {
            Some(row) => self.join(key, &self.head(key, &row)?).map(Some),
            None => Ok(None),
        }
    }

    fn scan(
        &self,
        prefix: &[u8],
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        let start = layout::to_stored(prefix.max(from));
        let prefix = layout::to_stored(prefix);
        for row in self.db.range(&*start..) {
            let (key, value) = row.map_err(|e| store_error("read", &self.folder, e))?;
            if !key.starts_with(&prefix) || key.starts_with(RESTS) {
                break;
            }
            if self.visit(&key, &value, visit)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// Makes an empty store beside its place and moves it there whole, so that a crash leaves either
/// no store or a sound one.
fn create(dir: &DataDir, folder: &Path, options: StoreOptions) -> Result<(), StoreError> {
    let fresh = dir.join("store.new");
    match fs::remove_dir_all(&fresh) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            return Err(io_error("remove", &fresh, &e));
        }
        _ => {}
    }
    durable::make_dir(&fresh).map_err(|e| io_error("create", &fresh, &e))?;
    drop(open_sled(&fresh, options)?);
    sync_all(&fresh, options)?;
    fs::rename(&fresh, folder)
        .and_then(|()| durable::sync_dir(dir.path()))
        .map_err(|e| io_error("create", folder, &e))
}

/// Makes what an earlier process left fit for sled, which would take it as it is:
/// - a snapshot that was being written would be read as the newest one, and fail;
/// - what a killed process wrote is visible, but may not be durable, and space would be reused and
///   the log be cut on that;
/// - a copy, as from a backup, has lost the attribute `S`.
fn prepare(folder: &Path, options: StoreOptions) -> Result<(), StoreError> {
    let failed = |path: &Path, e: &io::Error| io_error("read", path, e);
    for entry in fs::read_dir(folder).map_err(|e| failed(folder, &e))? {
        let path = entry.map_err(|e| failed(folder, &e))?.path();
        if path.extension().is_some_and(|e| e == "generating") {
            fs::remove_file(&path).map_err(|e| io_error("remove", &path, &e))?;
        }
    }
    let path = folder.join("db");
    let file = match File::open(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened.map_err(|e| failed(&path, &e))?,
    };
    make_synchronous(&file, &path, options.assume_synchronous)?;
    file.sync_all().map_err(|e| io_error("sync", &path, &e))
}

fn open_sled(folder: &Path, options: StoreOptions) -> Result<sled::Db, StoreError> {
    let config = sled::Config::default()
        .path(folder)
        .cache_capacity(options.cache_bytes)
        .flush_every_ms(None);
    let mut tries = 0;
    loop {
        match config.open() {
            // No other process can hold sled's own lock, for the data directory is ours: it is an
            // earlier store of this process, whose threads have yet to let go of the file.
            Err(sled::Error::Io(e))
                if tries < RELEASE_TRIES && e.to_string().contains("could not acquire lock") =>
            {
                tries += 1;
                std::thread::sleep(RELEASE_PAUSE);
            }
            opened => return opened.map_err(|e| store_error("open", folder, e)),
        }
    }
}

/// Makes all that opening wrote durable, names included; returns the file that commits sync.
fn sync_all(folder: &Path, options: StoreOptions) -> Result<File, StoreError> {
    let failed = |path: &Path, e: &io::Error| io_error("sync", path, e);
    for name in ["conf", "blobs", "."] {
        let path = folder.join(name);
        File::open(&path).and_then(|file| file.sync_all()).map_err(|e| failed(&path, &e))?;
    }
    let path = folder.join("db");
    let file = File::open(&path).map_err(|e| failed(&path, &e))?;
    make_synchronous(&file, &path, options.assume_synchronous)?;
    file.sync_all().map_err(|e| failed(&path, &e))?;
    Ok(file)
}

fn check(op: &Op, folder: &Path) -> Result<(), StoreError> {
    let (key, value) = match op {
        Op::Put { key, value } => (key.len(), value.len()),
        Op::Delete { key } => (key.len(), 0),
    };
    if key <= MAX_KEY && value <= MAX_VALUE {
        return Ok(());
    }
    let reason = format!(
        "a key of {key} bytes with a value of {value} is over the limits of {MAX_KEY} and \
         {MAX_VALUE}; larger things are blobs"
    );
    Err(StoreError::Io { action: "write", path: folder.display().to_string(), reason })
}

fn store_error(action: &'static str, folder: &Path, error: sled::Error) -> StoreError {
    match error {
        sled::Error::Io(e) => io_error(action, folder, &e),
        sled::Error::Corruption { .. } => {
            StoreError::Damaged { path: folder.display().to_string(), reason: error.to_string() }
        }
        other => {
            StoreError::Io { action, path: folder.display().to_string(), reason: other.to_string() }
        }
    }
}

fn abort_on_panics_of_sled() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            before(info);
            let of_sled = |name: &str| name.starts_with("sled-io-");
            if std::thread::current().name().is_some_and(of_sled) {
                std::process::abort();
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::conformance::{self, Step};
    use proptest::prelude::*;

    fn open(path: &Path) -> SledStore {
        SledStore::open(&DataDir::open(path).unwrap(), StoreOptions::default()).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn any_history_reads_like_an_ordered_map(steps in conformance::history()) {
            let top = tempfile::tempdir().unwrap();
            conformance::check_history(&steps, || open(top.path()));
            no_files_beside(top.path());
        }
    }

    /// sled never syncs the files that it puts there: it must never need any.
    fn no_files_beside(path: &Path) {
        assert_eq!(fs::read_dir(path.join("store/blobs")).unwrap().count(), 0);
    }

    #[test]
    fn order_and_limits_hold() {
        let top = tempfile::tempdir().unwrap();
        conformance::check_order_within_a_commit(open(&top.path().join("a")));
        conformance::check_limits(|| open(&top.path().join("b")));
    }

    #[test]
    fn pages_of_the_longest_rows_stay_in_the_file() {
        let top = tempfile::tempdir().unwrap();
        let mut store = open(top.path());
        let key = |i: u32| {
            let mut key = vec![0xff; MAX_KEY];
            key[..4].copy_from_slice(&i.wrapping_mul(0x9e37_79b1).to_be_bytes());
            Bytes::from(key)
        };
        for round in 0..3 {
            for chunk in (0..900).collect::<Vec<u32>>().chunks(100) {
                let mut batch = Batch::default();
                for i in chunk {
                    if (i + round) % 4 == 0 {
                        batch.delete(key(*i));
                    } else {
                        batch.put(key(*i), vec![1; layout::CHUNK - (round as usize)]);
                    }
                }
                store.commit(&[batch]).unwrap();
            }
            no_files_beside(top.path());
        }
        drop(store);
        drop(open(top.path()));
        no_files_beside(top.path());
    }

    #[test]
    fn a_half_made_store_is_made_anew() {
        let top = tempfile::tempdir().unwrap();
        fs::create_dir(top.path().join("store.new")).unwrap();
        fs::write(top.path().join("store.new/conf"), "half").unwrap();
        let steps = [Step::Reopen];
        conformance::check_history(&steps, || open(top.path()));
        assert!(!top.path().join("store.new").exists());
    }

    #[test]
    fn after_a_failed_commit_nothing_is_taken_until_reopened() {
        let top = tempfile::tempdir().unwrap();
        let mut store = open(top.path());
        let mut bad = Batch::default();
        bad.put(vec![0; MAX_KEY + 1], Bytes::new());
        let error = store.commit(&[bad]).unwrap_err();
        assert_eq!(store.commit(&[]), Err(error));
        drop(store);
        open(top.path()).commit(&[]).unwrap();
    }

    #[test]
    fn damage_is_an_error_and_not_an_empty_store() {
        let top = tempfile::tempdir().unwrap();
        let mut store = open(top.path());
        let mut batch = Batch::default();
        batch.put(&b"key"[..], vec![9; 5000]);
        store.commit(&[batch]).unwrap();
        store.db.remove(layout::rest_key(b"key", 1)).unwrap();
        assert!(matches!(store.get(b"key"), Err(StoreError::Damaged { .. })));
        let scanned = store.scan(b"", b"", &mut |_, _| true);
        assert!(matches!(scanned, Err(StoreError::Damaged { .. })));
    }
}
