use rebuilder_actors::port::{Store, StoreError};

use super::catch_panic::CatchPanic;
use super::checked::{CheckedStore, Opened, Places, damaged};
use super::database_store::StoreOptions;
use super::engine::Engine;
use super::head::{Found, Head, HeadFile};
use crate::data_dir::DataDir;

/// The head of the store's chains, in the data directory.
pub const HEAD: &str = "store.head";

/// Opens, and creates if absent, the store of `dir`, and reads all of it: what it returns was found
/// whole (docs/damage.md). The first time, it makes the sums that later openings compare with.
///
/// # Errors
/// As the engine's; `Damaged` when something that was stored is missing or changed.
pub fn open(
    engine: Engine,
    dir: &DataDir,
    options: StoreOptions,
) -> Result<Box<dyn Store>, StoreError> {
    let file = dir.join(engine.folder()).join(engine.file());
    let places =
        Places { engine: file.clone(), head: dir.join(HEAD), has_sums: dir.store_has_sums()? };
    // An engine would make what is missing anew, and a later start find that.
    let known = !matches!(HeadFile::read(&places.head)?, Found::Absent | Found::At(Head::BIRTH));
    if (known || places.has_sums) && !file.exists() {
        return Err(damaged(&file, "it is missing"));
    }
    let inner = CatchPanic::open(&file, || engine.open_summed(dir, options))?;
    let (store, opened) = CheckedStore::open(inner, &places)?;
    dir.set_store_has_sums()?;
    if let Opened::Adopted { records } = opened
        && records > 0
    {
        let text = "a release before kept no sums of its records: they were made";
        tracing::info!(target: "rebuilder", "{}: {text} ({records} records)", file.display());
    }
    Ok(Box::new(store))
}

/// The same without any comparison: for what may be damaged. Panics of the engine are errors.
///
/// # Errors
/// As the engine's; `Damaged` when it panics.
pub fn open_unchecked(
    engine: Engine,
    dir: &DataDir,
    options: StoreOptions,
) -> Result<CatchPanic<Box<dyn Store>>, StoreError> {
    let file = dir.join(engine.folder()).join(engine.file());
    CatchPanic::open(&file, || engine.open(dir, options))
}
