use rebuilder_actors::port::{Store, StoreError};

use super::caught::Caught;
use super::checked::{CheckedStore, Opened, Places, damaged};
use super::head::{Found, Head, HeadFile};
use super::sled_store::{SledStore, StoreOptions};
use crate::data_dir::DataDir;

/// The head of the store's chains, in the data directory.
pub const HEAD: &str = "store.head";

/// A database engine: where it keeps a store, and how it opens it.
#[derive(Clone, Copy, Debug)]
pub struct Engine {
    /// Its folder in the data directory.
    pub folder: &'static str,
    /// Its file in the folder.
    pub file: &'static str,
    /// Opens, and creates if absent, the store of a data directory, without any check of its own.
    open: fn(&DataDir, StoreOptions) -> Result<Box<dyn Store>, StoreError>,
}

/// sled, in the folder `store`.
pub const SLED: Engine = Engine {
    folder: "store",
    file: "db",
    open: |dir, options| Ok(Box::new(SledStore::open(dir, options)?)),
};

impl Engine {
    /// The engine of a data directory.
    pub fn of(_dir: &DataDir) -> Self {
        SLED
    }

    /// True when a data directory holds a store, or did: then its head is there.
    pub fn is_in(dir: &DataDir) -> bool {
        dir.join(Self::of(dir).folder).exists() || dir.join(HEAD).exists()
    }
}

/// Opens, and creates if absent, the store of `dir`, and reads all of it: what it returns was found
/// whole (docs/damage.md). The first time, it makes the sums that later openings compare with.
///
/// # Errors
/// As the engine's; `Damaged` when something that was stored is missing or changed.
pub fn open(dir: &DataDir, options: StoreOptions) -> Result<Box<dyn Store>, StoreError> {
    let engine = dir.join(Engine::of(dir).folder).join(Engine::of(dir).file);
    let places =
        Places { engine: engine.clone(), head: dir.join(HEAD), has_sums: dir.store_has_sums()? };
    // An engine would make what is missing anew, and a later start find that.
    let known = !matches!(HeadFile::read(&places.head)?, Found::Absent | Found::At(Head::BIRTH));
    if (known || places.has_sums) && !engine.exists() {
        return Err(damaged(&engine, "it is missing"));
    }
    let (store, opened) = CheckedStore::open(open_unchecked(dir, options)?, &places)?;
    dir.set_store_has_sums()?;
    if let Opened::Adopted { records } = opened
        && records > 0
    {
        let text = "a release before kept no sums of its records: they were made";
        tracing::info!(target: "rebuilder", "{}: {text} ({records} records)", engine.display());
    }
    Ok(Box::new(store))
}

/// The same without any comparison: for what may be damaged. Panics of the engine are errors.
///
/// # Errors
/// As the engine's; `Damaged` when it panics.
pub fn open_unchecked(
    dir: &DataDir,
    options: StoreOptions,
) -> Result<Caught<Box<dyn Store>>, StoreError> {
    let engine = Engine::of(dir);
    let file = dir.join(engine.folder).join(engine.file);
    Caught::open(&file, || (engine.open)(dir, options))
}
