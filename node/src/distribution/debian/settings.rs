use core::any::Any;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::backend::{DebianBackend, DebianSettings};
use crate::config::value::{AbsolutePath, Size, Within, Word};
use crate::config::words;
use crate::distribution::{BuiltIn, WorkerParts, WorkerSettings};
use crate::environment::{EnvironmentLimits, Folders};

/// The table as it is written; `settings.md` beside it describes the keys.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Table {
    enabled: Option<bool>,
    cache_dir: Option<AbsolutePath>,
    tmpfs: Option<AbsolutePath>,
    tmpfs_free_bytes_min: Option<Size>,
    keyrings: Option<Vec<AbsolutePath>>,
    base_max_age_hours: Option<Within<1, 87_600>>,
    base_include: Option<Vec<Word>>,
    release_check_secs: Option<Within<0, 604_800>>,
    build_options: Option<Vec<Word>>,
    parallel: Option<Within<1, 4096>>,
    nested_namespaces: Option<bool>,
    source_bytes_max: Option<Size>,
    package_bytes_max: Option<Size>,
    package_cache_bytes_max: Option<Size>,
}

/// How Debian packages are rebuilt; `None` where the backend has a default of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebianConfig {
    /// Base roots and fetched packages; absolute. `None`: a folder in the worker's.
    pub cache_dir: Option<PathBuf>,
    /// A folder on a tmpfs that base roots and layers go to while it has room; `None`: none.
    pub tmpfs: Option<PathBuf>,
    /// Free bytes below which `tmpfs` gets nothing new.
    pub tmpfs_free_bytes_min: Option<u64>,
    /// Binary keyrings of the distribution.
    pub keyrings: Option<Vec<PathBuf>>,
    /// Age at which a base root is made anew.
    pub base_max_age: Option<Duration>,
    /// Packages in every base root besides `build-essential`.
    pub base_include: Option<Vec<String>>,
    /// How often the suites of a base root are asked for changes.
    pub release_check_every: Option<Duration>,
    /// `DEB_BUILD_OPTIONS` where none are recorded, without `parallel`.
    pub build_options: Option<Vec<String>>,
    /// `parallel=` where none is recorded; at least 1.
    pub parallel: Option<u32>,
    /// Whether builds may make user namespaces.
    pub nested_namespaces: Option<bool>,
    /// Bytes of one file of a source package.
    pub source_bytes_max: Option<u64>,
    /// Bytes of one package of the environment, and of one output.
    pub package_bytes_max: Option<u64>,
    /// Bytes of fetched packages that are kept.
    pub package_cache_bytes_max: Option<u64>,
}

/// What is written; `None`: the backend is switched off.
pub(super) fn of(table: Table) -> Option<DebianConfig> {
    let bytes = |size: Option<Size>| size.map(|size| size.0);
    let secs = |secs: u32| Duration::from_secs(secs.into());
    table.enabled.unwrap_or(true).then(|| DebianConfig {
        cache_dir: table.cache_dir.map(|dir| dir.0),
        tmpfs: table.tmpfs.map(|dir| dir.0),
        tmpfs_free_bytes_min: bytes(table.tmpfs_free_bytes_min),
        keyrings: table.keyrings.map(|list| list.into_iter().map(|path| path.0).collect()),
        base_max_age: table.base_max_age_hours.map(|hours| secs(hours.0) * 3600),
        base_include: table.base_include.map(words),
        release_check_every: table.release_check_secs.map(|given| secs(given.0)),
        build_options: table.build_options.map(words),
        parallel: table.parallel.map(|n| n.0),
        nested_namespaces: table.nested_namespaces,
        source_bytes_max: bytes(table.source_bytes_max),
        package_bytes_max: bytes(table.package_bytes_max),
        package_cache_bytes_max: bytes(table.package_cache_bytes_max),
    })
}

impl DebianConfig {
    fn cache_dir(&self, work_dir: &Path) -> PathBuf {
        self.cache_dir.clone().unwrap_or_else(|| work_dir.join("debian"))
    }

    /// The defaults, and what the configuration says.
    fn backend(&self, worker: &WorkerParts<'_>) -> DebianSettings {
        let work_dir = worker.work_dir;
        let usual = DebianSettings::new(work_dir.join("debian-builds"), self.cache_dir(work_dir));
        let (own, bounds) = (self.clone(), worker.bounds);
        let (folders, limits) = (usual.folders, usual.limits);
        DebianSettings {
            folders: Folders {
                memory_dir: own.tmpfs,
                memory_free_bytes_min: own
                    .tmpfs_free_bytes_min
                    .unwrap_or(folders.memory_free_bytes_min),
                ..folders
            },
            limits: EnvironmentLimits {
                memory_bytes_max: bounds.memory_bytes_max,
                processes_max: bounds.processes_max.unwrap_or(u32::MAX),
                disk_bytes_max: bounds.disk_bytes_max,
                log_bytes_per_sec_max: bounds.log_bytes_per_sec_max,
                outputs_bytes_max: bounds.outputs_bytes_max,
                source_bytes_max: own.source_bytes_max.unwrap_or(limits.source_bytes_max),
                package_bytes_max: own.package_bytes_max.unwrap_or(limits.package_bytes_max),
            },
            keyrings: own.keyrings.unwrap_or(usual.keyrings),
            base_max_age: own.base_max_age.unwrap_or(usual.base_max_age),
            release_check_every: own.release_check_every.unwrap_or(usual.release_check_every),
            base_include: own.base_include.unwrap_or(usual.base_include),
            build_options: own.build_options.unwrap_or(usual.build_options),
            parallel: own.parallel.unwrap_or(usual.parallel),
            nested_namespaces: own.nested_namespaces.unwrap_or(usual.nested_namespaces),
            package_cache_bytes_max: own
                .package_cache_bytes_max
                .unwrap_or(usual.package_cache_bytes_max),
            proxies: worker.proxies.clone(),
        }
    }
}

impl WorkerSettings for DebianConfig {
    fn summary(&self, work_dir: &Path) -> String {
        let tmpfs = self.tmpfs.as_ref().map(|path| path.display().to_string());
        let tmpfs = tmpfs.unwrap_or_else(|| "none".to_owned());
        format!("debian: built in, cache {}, tmpfs {tmpfs}", self.cache_dir(work_dir).display())
    }

    fn warnings(&self) -> Vec<String> {
        let missing = self.keyrings.iter().flatten().filter_map(|path| {
            let (path, reason) = (path.display(), fs::File::open(path).err()?);
            Some(format!(
                "no base root can be made: {path} in `keyrings` of [debian] cannot be read \
                 ({reason}): install it, or name one that is there"
            ))
        });
        missing.collect()
    }

    fn open(&self, worker: &WorkerParts<'_>) -> Result<BuiltIn, (PathBuf, io::Error)> {
        let settings = self.backend(worker);
        let at = settings.folders.work_dir.clone();
        let attempts = settings.folders.layer_homes();
        let (sandbox, fetcher) = (worker.sandbox.clone(), worker.fetcher.clone());
        let backend = DebianBackend::new(settings, sandbox, fetcher, Arc::clone(worker.clock));
        let backend = Arc::new(backend.map_err(|error| (at, error))?);
        Ok(BuiltIn { backend, attempts })
    }

    fn is_same(&self, other: &dyn WorkerSettings) -> bool {
        let other: &dyn Any = other;
        other.downcast_ref::<Self>() == Some(self)
    }
}
