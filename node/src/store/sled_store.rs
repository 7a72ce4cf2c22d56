use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::ops::{Bound, ControlFlow};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Once, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use rebuilder_actors::port::{StoreError, StoreReader};

use super::database_store::{Changes, Database, DatabaseStore, StoreOptions, Visit, when_released};
use super::engine::Engine;
use super::layout::{self, Head, RESTS};
use super::sled_reader::SledReader;
use super::summed::Sums;
use super::synchronous::make_synchronous;
use super::versions::Versions;
use crate::data_dir::io_error;

/// The port `Store` on sled, in the folder `store` of a data directory.
///
/// sled believes what it wrote to be durable after `sync_file_range`, which reaches neither the
/// drive's cache nor the file's size, and reuses the space of moved pages on that belief. The file
/// is therefore marked synchronous (`chattr +S`), so that every write is durable in its order, and
/// synced once more before a commit is acknowledged. A file system that cannot is refused.
///
/// A panic in one of sled's threads ends the process: sled would catch it and wait for ever.
pub type SledStore = DatabaseStore<SledDatabase>;

/// sled's database in a folder.
#[derive(Debug)]
pub struct SledDatabase {
    rows: Arc<Rows>,
    /// The file that sled writes, opened before its first commit so that no error of writing back
    /// escapes `fdatasync`.
    file: File,
}

/// What is in the database, for its owner and, as long as that is there, for readers.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) db: sled::Db,
    folder: PathBuf,
    /// Held for writing while a commit is applied, which readers see after its sync alone, and for
    /// reading while some rows are read: a reader waits for no sync, and the owner for a page.
    pub(super) versions: RwLock<Versions>,
}

impl Database for SledDatabase {
    const ENGINE: Engine = Engine::Sled;

    fn open(folder: &Path, options: StoreOptions, create: bool) -> Result<Self, StoreError> {
        abort_on_panics_of_sled(folder);
        if !create {
            prepare(folder, options)?;
        }
        let db = open_sled(folder, options)?;
        let file = sync_all(folder, options)?;
        let rows = Rows { db, folder: folder.to_owned(), versions: RwLock::default() };
        Ok(Self { rows: Arc::new(rows), file })
    }

    fn commit(&mut self, changes: &Changes<'_>, sums: &mut dyn Sums) -> Result<(), StoreError> {
        let rows = &*self.rows;
        rows.apply(changes, sums)?;
        // The next changes may cut the file where moved pages were, so that the pages must be safe
        // where they are now.
        rows.db.flush().map_err(|e| store_error("write", &rows.folder, e))?;
        self.file.sync_data().map_err(|e| io_error("sync", &rows.folder.join("db"), &e))?;
        rows.write().synced();
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.rows.value(key)
    }

    fn scan(&self, prefix: &[u8], from: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let start = layout::to_stored(prefix.max(from));
        let prefix = layout::to_stored(prefix);
        for row in self.rows.db.range(&*start..) {
            let (key, value) = row.map_err(|e| store_error("read", &self.rows.folder, e))?;
            if !key.starts_with(&prefix) || key.starts_with(RESTS) {
                break;
            }
            if self.rows.visit(&key, &value, visit)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn reader(&self) -> StoreReader {
        Arc::new(SledReader::new(&self.rows))
    }
}

impl Rows {
    pub(super) fn read(&self) -> RwLockReadGuard<'_, Versions> {
        // A panic while it is held cannot leave it half changed.
        self.versions.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Versions> {
        self.versions.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn place(&self) -> String {
        self.folder.join(SledDatabase::ENGINE.file()).display().to_string()
    }

    /// Applies changes of different keys as one.
    fn apply(&self, changes: &Changes<'_>, sums: &mut dyn Sums) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        let mut replaced = Vec::with_capacity(changes.len() + 1);
        for (key, value) in changes {
            let stored_key = layout::to_stored(key);
            let row = self.row(&stored_key)?;
            let head = row.as_ref().map(|row| self.head(key, row)).transpose()?;
            let before = head.as_ref().map(|head| self.join(key, head)).transpose()?;
            let after = value.map(|value| &value[..]);
            sums.change(key, before.as_deref(), after)?;
            put(&mut batch, (key, &stored_key), head.as_ref(), after);
            replaced.push((Bytes::copy_from_slice(key), before));
        }
        if let Some((key, value)) = sums.record() {
            let stored_key = layout::to_stored(&key);
            let row = self.row(&stored_key)?;
            let head = row.as_ref().map(|row| self.head(&key, row)).transpose()?;
            let before = head.as_ref().map(|head| self.join(&key, head)).transpose()?;
            put(&mut batch, (&key, &stored_key), head.as_ref(), Some(&value));
            replaced.push((key.into(), before));
        }
        let mut versions = self.write();
        versions.begin(replaced);
        self.db.apply_batch(batch).map_err(|e| store_error("write", &self.folder, e))
    }

    /// The value that the database has at `key`.
    pub(super) fn value(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        match self.row(&layout::to_stored(key))? {
            Some(row) => self.join(key, &self.head(key, &row)?).map(Some),
            None => Ok(None),
        }
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

    /// Up to `rows` rows, or a little more than `bytes` bytes, of what the database has from the
    /// key `start` on that begins with `prefix`; whether there may be more.
    pub(super) fn page(
        &self,
        prefix: &[u8],
        start: Bound<&[u8]>,
        rows: usize,
        bytes: usize,
    ) -> Result<(BTreeMap<Bytes, Bytes>, bool), StoreError> {
        let start = start.map(layout::to_stored);
        let prefix = layout::to_stored(prefix);
        let (mut page, mut length) = (BTreeMap::new(), 0);
        for row in self.db.range::<Bytes, _>((start, Bound::Unbounded)) {
            let (key, value) = row.map_err(|e| store_error("read", &self.folder, e))?;
            if !key.starts_with(&prefix) || key.starts_with(RESTS) {
                return Ok((page, false));
            }
            let _all = self.visit(&key, &value, &mut |key, value| {
                length += key.len() + value.len();
                page.insert(Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
                true
            })?;
            if page.len() == rows || length >= bytes {
                return Ok((page, true));
            }
        }
        Ok((page, false))
    }
}

/// Adds the rows of one change to `batch`. `before`: the row that is stored at `key`; `after`: the
/// new value, `None` to remove it.
fn put(
    batch: &mut sled::Batch,
    (key, stored_key): (&[u8], &[u8]),
    before: Option<&Head<'_>>,
    after: Option<&[u8]>,
) {
    let mut kept = 1;
    if let Some(value) = after {
        let (head, rests) = layout::cut(value);
        batch.insert(stored_key, head);
        for rest in rests {
            batch.insert(layout::rest_key(key, kept), rest);
            kept += 1;
        }
    } else if before.is_some() {
        batch.remove(stored_key);
    }
    for index in kept..before.map_or(1, |head| head.rests().end) {
        batch.remove(layout::rest_key(key, index));
    }
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
    let held = "could not acquire lock";
    let is_held =
        |e: &sled::Error| matches!(e, sled::Error::Io(io) if io.to_string().contains(held));
    when_released(|| config.open(), is_held).map_err(|e| store_error("open", folder, e))
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

/// Folders of all stores that this process opened: a thread of sled cannot say whose it is.
static FOLDERS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn abort_on_panics_of_sled(folder: &Path) {
    static ONCE: Once = Once::new();
    let mut folders = FOLDERS.lock().unwrap_or_else(PoisonError::into_inner);
    if !folders.iter().any(|known| known == folder) {
        folders.push(folder.to_owned());
    }
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            before(info);
            let of_sled = |name: &str| name.starts_with("sled-io-");
            if std::thread::current().name().is_some_and(of_sled) {
                for folder in FOLDERS.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                    let text = "a thread of the database panicked: `rebuilder-node check` says \
                                whether what it holds is whole";
                    tracing::error!(target: "rebuilder", "{}: {text}", folder.display());
                }
                std::process::abort();
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use rebuilder_actors::port::{Batch, StoreOwner, StoreRead as _};

    use super::*;
    use crate::data_dir::DataDir;
    use crate::store::MAX_KEY;

    fn open(path: &Path) -> StoreOwner<SledStore> {
        let dir = DataDir::open(path).unwrap();
        StoreOwner::take(SledStore::open(&dir, StoreOptions::default()).unwrap(), None).unwrap()
    }

    /// sled never syncs the files that it puts there: it must never need any.
    fn no_files_beside(path: &Path) {
        assert_eq!(fs::read_dir(path.join("store/blobs")).unwrap().count(), 0);
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
    fn damage_is_an_error_and_not_an_empty_store() {
        let top = tempfile::tempdir().unwrap();
        let mut store = open(top.path());
        let mut batch = Batch::default();
        batch.put(&b"key"[..], vec![9; 5000]);
        store.commit(&[batch]).unwrap();
        store.database.rows.db.remove(layout::rest_key(b"key", 1)).unwrap();
        assert!(matches!(store.get(b"key"), Err(StoreError::Damaged { .. })));
        let scanned = store.scan(b"", b"", &mut |_, _| true);
        assert!(matches!(scanned, Err(StoreError::Damaged { .. })));
    }
}
