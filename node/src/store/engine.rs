use std::path::PathBuf;

use clap::ValueEnum;
use rebuilder_actors::port::{Store, StoreError};
use serde::Deserialize;

use super::database_store::StoreOptions;
use super::redb_store::RedbStore;
use super::sled_store::SledStore;
use super::summed::SummedStore;
use crate::data_dir::DataDir;

/// The embedded database that keeps a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// sled, made durable from outside (`docs/adr/0003-sled-with-fdatasync.md`).
    #[default]
    Sled,
    /// redb with two-phase commits (`docs/adr/0012-redb-as-second-engine.md`).
    Redb,
}

impl Engine {
    /// All that there are.
    pub const ALL: [Self; 2] = [Self::Sled, Self::Redb];

    /// As the configuration spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sled => "sled",
            Self::Redb => "redb",
        }
    }

    /// The store's folder in a data directory. It says which engine wrote it: each has its own.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Sled => "store",
            Self::Redb => "store-redb",
        }
    }

    /// The database's file in the folder.
    pub fn file(self) -> &'static str {
        match self {
            Self::Sled => "db",
            Self::Redb => "db.redb",
        }
    }

    /// The engine whose store lies in `dir`: sled, if there is none.
    pub fn of(dir: &DataDir) -> Self {
        let there = |engine: &Self| dir.join(engine.folder()).exists();
        Self::ALL.into_iter().find(there).unwrap_or_default()
    }

    /// Where a store is made before it gets its name. Whatever is there is unfinished.
    pub(super) fn fresh_folder(self) -> &'static str {
        match self {
            Self::Sled => "store.new",
            Self::Redb => "store-redb.new",
        }
    }

    /// The engine that is not this one.
    pub(super) fn other(self) -> Self {
        match self {
            Self::Sled => Self::Redb,
            Self::Redb => Self::Sled,
        }
    }

    /// The engine that the environment variable `name` of a test's child names.
    #[cfg(test)]
    pub(crate) fn asked_by(name: &str) -> Self {
        let asked = std::env::var(name).expect("the parent sets it");
        <Self as ValueEnum>::from_str(&asked, false).expect("it is the name of an engine")
    }

    /// Opens, and creates if absent, the store of `dir`, without the comparison with its sums that
    /// [`open`](super::open) makes.
    ///
    /// # Errors
    /// The folder cannot be read or written, its content is damaged or of another engine, or its
    /// file system has no synchronous files where the engine needs them.
    pub fn open(self, dir: &DataDir, options: StoreOptions) -> Result<Box<dyn Store>, StoreError> {
        Ok(self.open_summed(dir, options)?)
    }

    /// The same, for whoever keeps sums.
    pub(super) fn open_summed(
        self,
        dir: &DataDir,
        options: StoreOptions,
    ) -> Result<Box<dyn SummedStore>, StoreError> {
        Ok(match self {
            Self::Sled => Box::new(SledStore::open(dir, options)?),
            Self::Redb => Box::new(RedbStore::open(dir, options)?),
        })
    }
}

/// Refuses a data directory that has a store of another engine than `wanted`: an empty one beside
/// it would look like a coordinator that never had a job.
///
/// # Errors
/// There is one; the error names the way out.
pub fn expect_no_other(dir: &DataDir, wanted: Engine) -> Result<(), StoreError> {
    let other = wanted.other();
    let path: PathBuf = dir.join(other.folder());
    if !path.exists() {
        return Ok(());
    }
    let (wanted_name, other_name) = (wanted.name(), other.name());
    let convert = format!("rebuilder-node store convert --to {wanted_name}");
    let reason = if dir.join(wanted.folder()).exists() {
        format!(
            "there are two stores, of {other_name} and of {wanted_name}: a conversion was \
             interrupted; nothing is lost, finish it with `{convert}`"
        )
    } else {
        format!(
            "{} was written by {other_name}, and coordinator.store asks for {wanted_name}: set \
             coordinator.store = \"{other_name}\", or convert it with `{convert}` while no node \
             runs",
            path.display()
        )
    };
    let path = dir.join(wanted.folder()).display().to_string();
    Err(StoreError::Io { action: "open", path, reason })
}
