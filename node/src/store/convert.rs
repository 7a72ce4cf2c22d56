//! Changes the engine of a store while no node runs.
//!
//! All records are copied into a new folder, read again and compared, and then two names change:
//! the new folder gets its name, and the former store another one. Until the first change the
//! former store is the only one; between the two no node opens either, as it could not say which
//! is the right one, and the next run finishes; afterwards the new store is the only one.

use std::fs;
use std::path::{Path, PathBuf};

use rebuilder_actors::port::{Batch, Store, StoreError, StoreOwner, StoreRead};

use super::database_store::{Database, DatabaseStore, StoreOptions, create};
use super::engine::Engine;
use super::redb_store::RedbDatabase;
use super::sled_store::SledDatabase;
use crate::data_dir::{DataDir, io_error};
use crate::durable;

/// Bytes of records that are copied in one commit, about.
const COPIED_BYTES: usize = 1 << 20;

/// What a conversion came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Converted {
    /// The store is one of the wanted engine now.
    Done {
        /// Of the new store; it has the same as the former one.
        records: u64,
        /// The folder of the former store, which nothing uses any more.
        former: PathBuf,
    },
    /// It was before.
    Already,
}

/// A conversion that did not happen, or was not finished. Nothing is lost.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// One of the stores cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A node runs, or another conversion.
    #[error("{0}; stop the node before its store is converted")]
    InUse(StoreError),
    /// The folder is no data directory, or one without a store.
    #[error("{path} has no store to convert: is it coordinator.data_dir?")]
    NoStore {
        /// The data directory that was asked for.
        path: PathBuf,
    },
    /// The copy is not what was copied, or one of two stores was changed after a conversion that
    /// was interrupted.
    #[error(
        "{from} and {to} do not hold the same records ({difference}); both are left as they are: \
         move the one that is not wanted out of the data directory"
    )]
    Differ {
        /// The folder of the former store.
        from: PathBuf,
        /// The folder of the new one.
        to: PathBuf,
        /// The first that was found.
        difference: String,
    },
}

/// Makes the store of the data directory `path` one of the engine `to`. Safe against a kill at any
/// moment: run again, it finishes.
///
/// # Errors
/// See [`ConvertError`]; the store is then as it was, or the same command finishes it.
pub fn convert(path: &Path, to: Engine, options: StoreOptions) -> Result<Converted, ConvertError> {
    // Opening a data directory would make one.
    if !path.join("schema").exists() {
        return Err(ConvertError::NoStore { path: path.to_owned() });
    }
    let dir = DataDir::open(path).map_err(|error| match error {
        StoreError::Locked { .. } => ConvertError::InUse(error),
        other => other.into(),
    })?;
    match to {
        Engine::Redb => run::<SledDatabase, RedbDatabase>(&dir, options),
        Engine::Sled => run::<RedbDatabase, SledDatabase>(&dir, options),
    }
}

fn run<F: Database, T: Database>(
    dir: &DataDir,
    options: StoreOptions,
) -> Result<Converted, ConvertError> {
    let (from, to) = (dir.join(F::ENGINE.folder()), dir.join(T::ENGINE.folder()));
    let fresh = dir.join(T::ENGINE.fresh_folder());
    let records = match (from.exists(), to.exists()) {
        (false, false) => return Err(ConvertError::NoStore { path: dir.path().to_owned() }),
        (false, true) => return Ok(Converted::Already),
        (true, false) => {
            drop(create::<T>(&fresh, options)?);
            let former = open::<F>(dir, &from, options)?;
            copy(&former, open::<T>(dir, &fresh, options)?)?;
            // Opened again, so that what is compared comes from the file.
            let new = open::<T>(dir, &fresh, options)?;
            let records = compare((&former, &from), (&new, &fresh))?;
            drop((former, new));
            rename(dir, &fresh, &to)?;
            records
        }
        // An earlier run was interrupted, of which the new one or the former one may be `to`.
        (true, true) => {
            let former = open::<F>(dir, &from, options)?;
            compare((&former, &from), (&open::<T>(dir, &to, options)?, &to))?
        }
    };
    let kept = name_of_former(&from);
    rename(dir, &from, &kept)?;
    Ok(Converted::Done { records, former: kept })
}

fn open<D: Database>(
    dir: &DataDir,
    folder: &Path,
    options: StoreOptions,
) -> Result<DatabaseStore<D>, StoreError> {
    DatabaseStore::open_folder(dir, folder.to_owned(), options)
}

fn copy<T: Store>(from: &dyn StoreRead, to: T) -> Result<(), StoreError> {
    let mut to = StoreOwner::take(to, None)?;
    let mut batch = Batch::default();
    let mut bytes = 0;
    let mut failed = Ok(());
    from.scan(b"", b"", &mut |key, value| {
        bytes += key.len() + value.len();
        batch.put(key.to_vec(), value.to_vec());
        if bytes >= COPIED_BYTES {
            bytes = 0;
            failed = to.commit(&[std::mem::take(&mut batch)]);
        }
        failed.is_ok()
    })?;
    failed?;
    to.commit(&[batch])
}

/// Reads both from end to end; returns how many records each has.
fn compare(
    (from, from_folder): (&dyn StoreRead, &Path),
    (to, to_folder): (&dyn StoreRead, &Path),
) -> Result<u64, ConvertError> {
    let difference = match first_difference(from, to)? {
        Some(difference) => Some(difference),
        None => first_difference(to, from)?,
    };
    if let Some(difference) = difference {
        let (from, to) = (from_folder.to_owned(), to_folder.to_owned());
        return Err(ConvertError::Differ { from, to, difference });
    }
    let mut records = 0;
    to.scan(b"", b"", &mut |_, _| {
        records += 1;
        true
    })?;
    Ok(records)
}

/// The first record of `all` that is not in `other`; `None` when each is.
fn first_difference(
    all: &dyn StoreRead,
    other: &dyn StoreRead,
) -> Result<Option<String>, StoreError> {
    let mut found = Ok(None);
    all.scan(b"", b"", &mut |key, value| {
        found = other.get(key).map(|there| match there {
            Some(there) if *there == *value => None,
            Some(_) => Some(format!("the values at key {} differ", key.escape_ascii())),
            None => Some(format!("key {} is in one only", key.escape_ascii())),
        });
        matches!(found, Ok(None))
    })?;
    found
}

/// Renames a folder in the data directory; the new name is durable before anything follows.
fn rename(dir: &DataDir, from: &Path, to: &Path) -> Result<(), StoreError> {
    fs::rename(from, to).map_err(|e| io_error("rename", from, &e))?;
    durable::sync_dir(dir.path()).map_err(|e| io_error("sync", dir.path(), &e))
}

/// `store.old`, or `store.old-2` and so on when that is there: no former store is overwritten.
fn name_of_former(folder: &Path) -> PathBuf {
    let named = |end: String| {
        let mut name = folder.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let first = named(".old".to_owned());
    let others = (2_u32..).map(|number| named(format!(".old-{number}")));
    let mut names = std::iter::once(first).chain(others);
    names.find(|name| !name.exists()).expect("numbers do not end")
}
