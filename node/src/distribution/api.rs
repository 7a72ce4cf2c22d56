use core::any::Any;
use core::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rebuilder_actors::port::{Clock, IndexReader};
use rebuilder_actors::protocol::Artifact;
use toml::Spanned;
use toml::de::DeValue;

use crate::backend::Rebuild;
use crate::config::{Bounds, ProfileConfig};
use crate::fetch::{Fetcher, Proxies};
use crate::sandbox::Sandbox;

/// All that the crate asks of one distribution. Each implements it in a folder of its own, and has
/// a line in [`registry`](super::registry); nothing else names one.
pub trait Distribution: Send + Sync {
    /// Names its reader (`index` of a profile), its table in the configuration, and its built-in
    /// backend. A word of small letters.
    fn name(&self) -> &'static str;

    /// Keys that a profile that is read by [`Self::reader`] needs besides `source`, of `releases`,
    /// `components` and `architectures`.
    fn required(&self, profile: &Written<'_>) -> Vec<&'static str>;

    /// Where it publishes what its builders recorded, as `buildinfos` takes it. `None`: that is not
    /// known, and a profile has to say it.
    fn records_url(&self) -> Option<&'static str> {
        None
    }

    /// What an operator should know of a profile before it is first synced: files that it needs of
    /// this machine and that are missing. One sentence each.
    fn profile_warnings(&self, profile: &ProfileConfig) -> Vec<String> {
        let _none = profile;
        Vec::new()
    }

    /// Reads the index that a profile follows.
    fn reader(&self, profile: &ProfileConfig, parts: &ReaderParts<'_>) -> Arc<dyn IndexReader>;

    /// Keys of its table in the configuration.
    fn keys(&self) -> &'static [&'static str];

    /// Its chapter of `docs/configuration.md`, heading included.
    fn docs(&self) -> &'static str;

    /// Reads its table in the configuration; `None` there: it is not written. `None` here: workers
    /// are to have no backend of its own.
    ///
    /// # Errors
    /// A key or value that it does not know, with its place.
    fn settings(
        &self,
        table: Option<Spanned<DeValue<'_>>>,
    ) -> Result<Option<Arc<dyn WorkerSettings>>, toml::de::Error>;

    /// URLs under which the record of a build may lie of which `url` is one, that one first.
    /// `None`: a file of this name is no record of this distribution's.
    fn record_places(&self, url: &str) -> Option<Vec<String>> {
        let _unknown = url;
        None
    }

    /// How far `record`, found at one of [`Self::record_places`], is one of `artifacts`.
    fn record_fit(&self, record: &[u8], artifacts: &[Artifact]) -> Fit {
        let _unknown = (record, artifacts);
        Fit::Other
    }

    /// Extensions of its packages' files, where the format says which package a file is.
    fn package_extensions(&self) -> &'static [&'static str] {
        &[]
    }

    /// What a built file says of itself. It may be hostile: what is read of it is bounded. `None`:
    /// it is no package of this distribution's format, or says too little.
    fn identity(&self, file: &mut File) -> Option<Identity> {
        let _unknown = file;
        None
    }
}

impl fmt::Debug for dyn Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl PartialEq for dyn Distribution {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for dyn Distribution {}

/// What of a profile decides which keys it needs.
#[derive(Clone, Copy, Debug)]
pub struct Written<'a> {
    /// Where the archive is.
    pub source: &'a str,
    /// Names of `releases`.
    pub releases: &'a [&'a str],
}

/// What a reader is made of besides its profile.
#[derive(Clone, Copy)]
pub struct ReaderParts<'a> {
    /// Fetches the index.
    pub fetcher: &'a Fetcher,
    /// A folder for fetched indexes, of all profiles; may be emptied at any time.
    pub cache: &'a Path,
}

/// The table of one distribution in the configuration, read: how a worker rebuilds its packages.
pub trait WorkerSettings: Any + fmt::Debug + Send + Sync {
    /// One line for `--check-config`; `work_dir` is the worker's.
    fn summary(&self, work_dir: &Path) -> String;

    /// Files that it names and that are missing on this machine; one sentence each.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Makes the backend, and the folders that it needs.
    ///
    /// # Errors
    /// A folder cannot be made, read or emptied: which one.
    fn open(&self, worker: &WorkerParts<'_>) -> Result<BuiltIn, (PathBuf, io::Error)>;

    /// Whether `other` is of the same distribution and says the same.
    fn is_same(&self, other: &dyn WorkerSettings) -> bool;
}

impl PartialEq for dyn WorkerSettings {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other)
    }
}

impl Eq for dyn WorkerSettings {}

/// What a built-in backend is made of besides its settings.
#[derive(Clone, Copy)]
pub struct WorkerParts<'a> {
    /// The worker's folder; absolute.
    pub work_dir: &'a Path,
    /// What one build may take of the machine.
    pub bounds: &'a Bounds,
    /// Through which package tools fetch.
    pub proxies: &'a Proxies,
    /// Runs what is hostile.
    pub sandbox: &'a Sandbox,
    /// Fetches sources, records and packages.
    pub fetcher: &'a Fetcher,
    /// Bounds stages.
    pub clock: &'a Arc<dyn Clock>,
}

/// A backend that is ready.
pub struct BuiltIn {
    /// The backend.
    pub backend: Arc<dyn Rebuild>,
    /// Folders that hold what attempts leave, and nothing else.
    pub attempts: Vec<PathBuf>,
}

/// How far a record is one of the files of a job; greater is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// It cannot be read, or is a page for people.
    None,
    /// It says nothing of files, or names others.
    Other,
    /// It names one of them.
    Named,
    /// It has the digest of one of them.
    Same,
}

impl Fit {
    /// The best that a record of these can be.
    pub fn most(artifacts: &[Artifact]) -> Self {
        let is_known = artifacts.iter().any(|artifact| artifact.sha256.is_some());
        if is_known { Self::Same } else { Self::Named }
    }
}

/// What a binary package says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its name.
    pub package: String,
    /// Its version, with the epoch.
    pub version: String,
    /// What it is for.
    pub architecture: String,
}
