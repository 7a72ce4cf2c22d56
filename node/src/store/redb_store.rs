use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use rebuilder_actors::port::{ReadStore, Snapshot, StoreError, StoreRead, StoreReader};
use redb::{Builder, Durability, ReadOnlyTable, ReadableDatabase as _, TableDefinition};

use super::database_store::{Changes, Database, DatabaseStore, StoreOptions, Visit, when_released};
use super::engine::Engine;
use super::sled_reader::closed;
use super::summed::{NoSums, Sums};
use crate::data_dir::io_error;
use crate::durable;

/// The port `Store` on redb, in the folder `store-redb` of a data directory.
///
/// Each commit is one transaction in two phases: all pages and the new root are synced before the
/// byte that makes the root current is written, and that byte is synced before the commit is
/// acknowledged. So the current root is always whole, and redb never has to guess from checksums
/// which of two roots is.
///
/// redb verifies no page that it reads. So the file is checked as a whole, every checksum of it,
/// whenever it is opened; what does not verify is refused.
pub type RedbStore = DatabaseStore<RedbDatabase>;

/// Keys and values as the port has them.
const ROWS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("rows");
/// The database's only file.
const FILE: &str = "db.redb";

/// redb's database in a folder.
#[derive(Debug)]
pub struct RedbDatabase {
    rows: Arc<Rows>,
}

/// What is in the database, for its owner and, as long as that is there, for readers.
#[derive(Debug)]
struct Rows {
    /// `None` only while it is dropped.
    db: Option<redb::Database>,
    path: PathBuf,
    /// Tables as of the moments of snapshots. They lie here, so that all end with the owner: one
    /// alone would keep the file locked.
    snapshots: Mutex<Snapshots>,
}

#[derive(Default)]
struct Snapshots {
    tables: BTreeMap<u64, Arc<Table>>,
    last: u64,
}

impl fmt::Debug for Snapshots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} snapshots", self.tables.len())
    }
}

type Table = ReadOnlyTable<&'static [u8], &'static [u8]>;

impl Database for RedbDatabase {
    const ENGINE: Engine = Engine::Redb;

    fn open(folder: &Path, options: StoreOptions, create: bool) -> Result<Self, StoreError> {
        let path = folder.join(FILE);
        // What a killed process wrote can be read, and need not be durable.
        if !create {
            let file = File::open(&path).map_err(|e| missing_or(&path, &e))?;
            file.sync_all().map_err(|e| io_error("sync", &path, &e))?;
        }
        let mut builder = Builder::new();
        let cache = usize::try_from(options.cache_bytes).unwrap_or(usize::MAX);
        builder.set_cache_size(cache).set_check_integrity_on_open(true);
        // redb would take an empty file for a new database: one that should be there is opened
        // with the call that does not.
        let open = || if create { builder.create(&path) } else { builder.open(&path) };
        let is_held =
            |error: &redb::DatabaseError| matches!(error, redb::DatabaseError::DatabaseAlreadyOpen);
        let db = guarded("open", &path, || Ok(when_released(open, is_held)?))?;
        let rows = Rows { db: Some(db), path, snapshots: Mutex::default() };
        let mut database = Self { rows: Arc::new(rows) };
        if create {
            database.commit(&Changes::new(), &mut NoSums)?;
        }
        // The table must be there: it was made when the database was.
        database.rows.table()?;
        durable::sync_dir(folder).map_err(|e| io_error("sync", folder, &e))?;
        Ok(database)
    }

    fn commit(&mut self, changes: &Changes<'_>, sums: &mut dyn Sums) -> Result<(), StoreError> {
        let mut refused = Ok(());
        guarded("write", &self.rows.path, || {
            let mut write = self.rows.db().begin_write()?;
            write.set_durability(Durability::Immediate)?;
            write.set_two_phase_commit(true);
            let mut rows = write.open_table(ROWS)?;
            for (key, value) in changes {
                let after = value.map(|value| &value[..]);
                let before = match after {
                    Some(value) => rows.insert(*key, value)?,
                    None => rows.remove(*key)?,
                };
                let before = before.as_ref().map(|value| value.value());
                refused = sums.change(key, before, after);
                if refused.is_err() {
                    // The transaction ends with `write`, without a trace.
                    return Ok(());
                }
            }
            if let Some((key, value)) = sums.record() {
                rows.insert(&key[..], &value[..])?;
            }
            drop(rows);
            Ok(write.commit()?)
        })?;
        refused
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.rows.get(&self.rows.table()?, key)
    }

    fn scan(&self, prefix: &[u8], from: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.rows.scan(&self.rows.table()?, prefix, from, visit)
    }

    fn reader(&self) -> StoreReader {
        let place = self.rows.path.display().to_string();
        Arc::new(RedbReader { rows: Arc::downgrade(&self.rows), place })
    }
}

impl Rows {
    fn db(&self) -> &redb::Database {
        self.db.as_ref().expect("it is there until it is dropped")
    }

    fn snapshots(&self) -> MutexGuard<'_, Snapshots> {
        // A panic while the lock is held cannot leave a map half changed.
        self.snapshots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The table as of the last commit.
    fn table(&self) -> Result<Table, StoreError> {
        guarded("read", &self.path, || Ok(self.db().begin_read()?.open_table(ROWS)?))
    }

    fn get(&self, table: &Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        guarded("read", &self.path, || {
            let value = table.get(key)?;
            Ok(value.map(|value| Bytes::copy_from_slice(value.value())))
        })
    }

    fn scan(
        &self,
        table: &Table,
        prefix: &[u8],
        from: &[u8],
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        let start = prefix.max(from);
        let mut range = guarded("read", &self.path, || Ok(table.range(start..)?))?;
        loop {
            // A panic of `visit` is not redb's.
            let row = guarded("read", &self.path, || Ok(range.next().transpose()?))?;
            let Some((key, value)) = row else { return Ok(()) };
            let (key, value) = guarded("read", &self.path, || Ok((key.value(), value.value())))?;
            if !key.starts_with(prefix) || !visit(key, value) {
                return Ok(());
            }
        }
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        self.snapshots().tables.clear();
        // It writes once more, and nobody is there who could be told what fails: the next open
        // finds out. A panic in here would end the process when another one is under way.
        let db = self.db.take();
        if catch_unwind(AssertUnwindSafe(|| drop(db))).is_err() {
            tracing::warn!(path = %self.path.display(), "redb panicked while it closed the store");
        }
    }
}

/// Reads redb beside its owner: redb keeps the pages of every transaction that is being read, and
/// shows a commit once its second sync is over.
struct RedbReader {
    rows: Weak<Rows>,
    place: String,
}

impl RedbReader {
    fn rows(&self) -> Result<Arc<Rows>, StoreError> {
        self.rows.upgrade().ok_or_else(|| closed(&self.place))
    }
}

impl StoreRead for RedbReader {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let rows = self.rows()?;
        rows.get(&rows.table()?, key)
    }

    fn scan(&self, prefix: &[u8], from: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let rows = self.rows()?;
        rows.scan(&rows.table()?, prefix, from, visit)
    }

    fn place(&self) -> String {
        self.place.clone()
    }
}

impl ReadStore for RedbReader {
    fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let rows = self.rows()?;
        let table = Arc::new(rows.table()?);
        let mut snapshots = rows.snapshots();
        snapshots.last += 1;
        let number = snapshots.last;
        snapshots.tables.insert(number, table);
        let reader = Self { rows: self.rows.clone(), place: self.place.clone() };
        Ok(Box::new(RedbSnapshot { reader, number }))
    }
}

struct RedbSnapshot {
    reader: RedbReader,
    number: u64,
}

impl Drop for RedbSnapshot {
    fn drop(&mut self) {
        if let Some(rows) = self.reader.rows.upgrade() {
            rows.snapshots().tables.remove(&self.number);
        }
    }
}

impl RedbSnapshot {
    fn table(&self) -> Result<(Arc<Rows>, Arc<Table>), StoreError> {
        let rows = self.reader.rows()?;
        let table = rows.snapshots().tables.get(&self.number).cloned();
        table.map(|table| (rows, table)).ok_or_else(|| closed(&self.reader.place))
    }
}

impl StoreRead for RedbSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let (rows, table) = self.table()?;
        rows.get(&table, key)
    }

    fn scan(&self, prefix: &[u8], from: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let (rows, table) = self.table()?;
        rows.scan(&table, prefix, from, visit)
    }

    fn place(&self) -> String {
        self.reader.place.clone()
    }
}

/// Does something with redb. It says that a file is damaged by an error or, now and then, by a
/// panic: both become the same error.
fn guarded<T>(
    action: &'static str,
    path: &Path,
    work: impl FnOnce() -> Result<T, redb::Error>,
) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done.map_err(|error| store_error(action, path, error)),
        Err(panic) => Err(damaged(path, format!("redb panicked: {}", said(&*panic)))),
    }
}

fn store_error(action: &'static str, path: &Path, error: redb::Error) -> StoreError {
    match error {
        // Shorter than its header says.
        redb::Error::Io(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
            damaged(path, "it ends before its content does".to_owned())
        }
        redb::Error::Io(e) => io_error(action, path, &e),
        redb::Error::DatabaseAlreadyOpen
        | redb::Error::PreviousIo
        | redb::Error::DatabaseClosed => {
            StoreError::Io { action, path: path.display().to_string(), reason: error.to_string() }
        }
        other => damaged(path, other.to_string()),
    }
}

fn damaged(path: &Path, reason: String) -> StoreError {
    StoreError::Damaged { path: path.display().to_string(), reason }
}

/// A folder without its file lost it: redb's is renamed into its place whole.
fn missing_or(path: &Path, error: &io::Error) -> StoreError {
    if error.kind() == io::ErrorKind::NotFound {
        damaged(path, "the file is missing".to_owned())
    } else {
        io_error("open", path, error)
    }
}

fn said(panic: &dyn Any) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}
