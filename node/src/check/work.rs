//! A copy of the store to work on: an engine changes what it opens, and may lose more of what is
//! damaged when it does.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rebuilder_actors::port::{Store, StoreError};

use crate::data_dir::{DataDir, io_error};
use crate::store::{self, Engine, StoreOptions};

/// The folder for it, in the data directory; removed afterwards.
const WORK: &str = "check.work";

/// The copy's folder there.
pub(super) const COPY: &str = "old";

/// Durability of a copy is of no use.
pub(super) const OPTIONS: StoreOptions =
    StoreOptions { cache_bytes: 8 << 20, assume_synchronous: true };

/// Copies the store and opens the copy as a coordinator would open the original.
pub(super) fn open_copy(dir: &DataDir) -> Result<Box<dyn Store>, StoreError> {
    store::open(Engine::of(dir), &copy(dir)?, OPTIONS)
}

/// True when a data directory holds a store, or did: then its head is there.
pub(super) fn has_store(dir: &DataDir) -> bool {
    dir.join(Engine::of(dir).folder()).exists() || dir.join(store::HEAD).exists()
}

/// A data directory that holds a copy of the store of `dir`, and nothing else.
pub(super) fn copy(dir: &DataDir) -> Result<DataDir, StoreError> {
    remove(dir)?;
    let copy = DataDir::open(&folder(dir, COPY))?;
    let engine = Engine::of(dir);
    copy_all(&dir.join(engine.folder()), &copy.join(engine.folder()))?;
    for name in [store::HEAD, "schema"] {
        if dir.join(name).exists() {
            copy_all(&dir.join(name), &copy.join(name))?;
        }
    }
    Ok(copy)
}

/// A folder for work, by its name.
pub(super) fn folder(dir: &DataDir, name: &str) -> PathBuf {
    dir.join(WORK).join(name)
}

/// Removes all of it.
pub(super) fn remove(dir: &DataDir) -> Result<(), StoreError> {
    let path = dir.join(WORK);
    match fs::remove_dir_all(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(io_error("remove", &path, &e)),
        _ => Ok(()),
    }
}

fn copy_all(from: &Path, to: &Path) -> Result<(), StoreError> {
    let failed = |e: &io::Error| io_error("copy", from, e);
    if !from.is_dir() {
        return fs::copy(from, to).map(drop).map_err(|e| failed(&e));
    }
    fs::create_dir(to).map_err(|e| failed(&e))?;
    for entry in fs::read_dir(from).map_err(|e| failed(&e))? {
        let entry = entry.map_err(|e| failed(&e))?;
        copy_all(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}
