use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use rebuilder_actors::port::{Batch, Fence, Op, Store, StoreError, StoreRead, StoreReader};
use rebuilder_actors::protocol::stored::{FenceRecord, Record as _};

use super::engine::{self, Engine};
use super::fence;
use super::layout::{MAX_KEY, MAX_VALUE};
use super::summed::{NoSums, SummedStore, Sums};
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
    /// Bytes of pages kept in memory. With the default (8 MiB), sled and 60,000 values of 600
    /// bytes the process as a whole was measured at 63 MiB.
    pub cache_bytes: u64,
    /// The file system writes synchronously by itself: sled does with one without synchronous
    /// files. redb needs none.
    pub assume_synchronous: bool,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { cache_bytes: 8 << 20, assume_synchronous: false }
    }
}

/// The last value of each key that a group of batches changes; `None`: the key is removed.
pub(super) type Changes<'a> = BTreeMap<&'a [u8], Option<&'a Bytes>>;

/// What a scan gives each key and value to, until it returns false.
pub(super) type Visit<'v> = dyn FnMut(&[u8], &[u8]) -> bool + 'v;

/// An embedded database in a folder of its own. Whoever opens it holds the lock of the data
/// directory, so that no other process has it open.
pub(super) trait Database: Sized + Send + 'static {
    const ENGINE: Engine;

    /// Opens what is in `folder`, which exists. What is read afterwards is durable, and so are
    /// all names in the folder.
    ///
    /// `create`: the folder is empty, and gets an empty database; otherwise one must be there.
    fn open(folder: &Path, options: StoreOptions, create: bool) -> Result<Self, StoreError>;

    /// Makes all changes as one, durably, with the record of `sums`, which is told of each.
    fn commit(&mut self, changes: &Changes<'_>, sums: &mut dyn Sums) -> Result<(), StoreError>;

    /// As [`StoreRead::get`].
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// As [`StoreRead::scan`].
    fn scan(&self, prefix: &[u8], from: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError>;

    /// As [`Store::reader`].
    fn reader(&self) -> StoreReader;
}

/// The port `Store` on a database in a data directory. Keys are at most 256 bytes, values at most
/// 1 MiB; a commit with a larger one is refused whole.
#[derive(Debug)]
pub struct DatabaseStore<D> {
    pub(super) database: D,
    folder: PathBuf,
    /// What failed; a file whose sync failed once is not to be trusted again.
    broken: Option<StoreError>,
    /// Keeps other processes out.
    _dir: DataDir,
}

#[expect(private_bounds, reason = "the engines that there are have names of their own")]
impl<D: Database> DatabaseStore<D> {
    /// Opens, and creates if absent, the store of `dir`.
    ///
    /// # Errors
    /// The folder cannot be read or written, its content is damaged or of another engine, or its
    /// file system has no synchronous files where the engine needs them.
    pub fn open(dir: &DataDir, options: StoreOptions) -> Result<Self, StoreError> {
        engine::expect_no_other(dir, D::ENGINE)?;
        let folder = dir.join(D::ENGINE.folder());
        if !folder.exists() {
            let fresh = dir.join(D::ENGINE.fresh_folder());
            drop(create::<D>(&fresh, options)?);
            fs::rename(&fresh, &folder).map_err(|e| io_error("create", &folder, &e))?;
            durable::sync_dir(dir.path()).map_err(|e| io_error("sync", dir.path(), &e))?;
        }
        Self::open_folder(dir, folder, options)
    }

    /// Opens the database in `folder`, a folder in `dir`.
    pub(super) fn open_folder(
        dir: &DataDir,
        folder: PathBuf,
        options: StoreOptions,
    ) -> Result<Self, StoreError> {
        let database = D::open(&folder, options, false)?;
        // Its name may be from a process that was killed before it synced it.
        durable::sync_dir(dir.path()).map_err(|e| io_error("sync", dir.path(), &e))?;
        Ok(Self { database, folder, broken: None, _dir: dir.clone() })
    }

    /// The token of whoever took the store over last.
    fn stored_fence(&self) -> Result<Option<Fence>, StoreError> {
        fence::read(&self.place(), self.database.get(&FenceRecord::key(()))?)
    }

    fn commit_all(&mut self, batches: &[Batch], sums: &mut dyn Sums) -> Result<(), StoreError> {
        for op in batches.iter().flat_map(|batch| &batch.0) {
            check(op, &self.folder)?;
        }
        let mut merged = Changes::new();
        let mut bytes = 0;
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
                self.database.commit(&std::mem::take(&mut merged), sums)?;
                bytes = 0;
            }
        }
        if merged.is_empty() { Ok(()) } else { self.database.commit(&merged, sums) }
    }
}

impl<D: Database> SummedStore for DatabaseStore<D> {
    fn commit_summed(
        &mut self,
        fence: Fence,
        batches: &[Batch],
        sums: &mut dyn Sums,
    ) -> Result<(), StoreError> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        let done = fence::check(&self.place(), fence, self.stored_fence())
            .and_then(|()| self.commit_all(batches, sums));
        self.broken = done.as_ref().err().cloned();
        done
    }
}

impl<D: Database> Store for DatabaseStore<D> {
    fn take_over(&mut self, held: Option<Fence>) -> Result<Fence, StoreError> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        let next = fence::next(&self.place(), held, self.stored_fence()?)?;
        let (key, value) = fence::record(next);
        let done = self.database.commit(&Changes::from([(&key[..], Some(&value))]), &mut NoSums);
        self.broken = done.as_ref().err().cloned();
        done.map(|()| next)
    }

    fn commit(&mut self, fence: Fence, batches: &[Batch]) -> Result<(), StoreError> {
        self.commit_summed(fence, batches, &mut NoSums)
    }

    fn reader(&self) -> StoreReader {
        fence::hidden(self.database.reader())
    }
}

impl<D: Database> StoreRead for DatabaseStore<D> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        fence::get(key, || self.database.get(key))
    }

    fn scan(&self, prefix: &[u8], from: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        fence::scan(visit, |visit| self.database.scan(prefix, from, visit))
    }

    fn place(&self) -> String {
        self.folder.join(D::ENGINE.file()).display().to_string()
    }
}

/// Makes an empty database in `folder`, beside the place where it is wanted: it is moved there
/// whole, so that a crash leaves either no store or a sound one. What an earlier process that was
/// killed left in `folder` is removed.
pub(super) fn create<D: Database>(folder: &Path, options: StoreOptions) -> Result<D, StoreError> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            return Err(io_error("remove", folder, &e));
        }
        _ => {}
    }
    durable::make_dir(folder).map_err(|e| io_error("create", folder, &e))?;
    D::open(folder, options, true)
}

/// Opens a database whose lock an earlier store of this process may still hold. No other process
/// can: the data directory is ours.
pub(super) fn when_released<T, E>(
    open: impl Fn() -> Result<T, E>,
    is_held: impl Fn(&E) -> bool,
) -> Result<T, E> {
    for _ in 0..RELEASE_TRIES {
        match open() {
            Err(error) if is_held(&error) => std::thread::sleep(RELEASE_PAUSE),
            opened => return opened,
        }
    }
    open()
}

fn check(op: &Op, folder: &Path) -> Result<(), StoreError> {
    let (key, value) = match op {
        Op::Put { key, value } => (key.len(), value.len()),
        Op::Delete { key } => (key.len(), 0),
    };
    if fence::is_its_key(op) {
        let reason = "that is where the store keeps the number of its owner".to_owned();
        return Err(StoreError::Io { action: "write", path: folder.display().to_string(), reason });
    }
    if key <= MAX_KEY && value <= MAX_VALUE {
        return Ok(());
    }
    let reason = format!(
        "a key of {key} bytes with a value of {value} is over the limits of {MAX_KEY} and \
         {MAX_VALUE}; larger things are blobs"
    );
    Err(StoreError::Io { action: "write", path: folder.display().to_string(), reason })
}
