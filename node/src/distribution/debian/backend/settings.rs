use std::path::PathBuf;
use std::time::Duration;

use crate::fetch::Proxies;

/// How this worker rebuilds Debian packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebianSettings {
    /// Holds the writable layers of running attempts; absolute. Owned by this backend: what is in
    /// its folder `layers` at the start is left over from a crash and removed.
    pub work_dir: PathBuf,
    /// Holds base roots and fetched packages over restarts; absolute.
    pub cache_dir: PathBuf,
    /// A folder on a tmpfs, used instead of the two above for base roots and writable layers
    /// while it has `memory_free_bytes_min` free: that halves the times. `None`: never.
    pub memory_dir: Option<PathBuf>,
    /// Free bytes below which `memory_dir` gets nothing new.
    pub memory_free_bytes_min: u64,
    /// Through which apt fetches in its sandbox.
    pub proxies: Proxies,
    /// The distribution's keyrings, binary (`.gpg`): what signs the suites of `archives`.
    pub keyrings: Vec<PathBuf>,
    /// Age at which a base root is made anew though its suites have not changed.
    pub base_max_age: Duration,
    /// How often the suites of a base root are asked whether they have changed.
    pub release_check_every: Duration,
    /// Packages in every base root besides `build-essential`.
    pub base_include: Vec<String>,
    /// `DEB_BUILD_OPTIONS` where none are recorded, without `parallel`.
    pub build_options: Vec<String>,
    /// `parallel=` of `DEB_BUILD_OPTIONS` where none are recorded; at least 1.
    pub parallel: u32,
    /// Bytes of memory of one build; `None`: not limited.
    pub memory_bytes_max: Option<u64>,
    /// Processes and threads of one build at a time; `u32::MAX`: not limited.
    pub processes_max: u32,
    /// Bytes that one build may have on disk; `None`: not limited.
    pub disk_bytes_max: Option<u64>,
    /// True: builds may make user namespaces. Their verdicts do not say `isolation: full`.
    pub nested_namespaces: bool,
    /// Bytes of log that one build may write in a second, else it waits; `None`: not limited.
    pub log_bytes_per_sec_max: Option<u64>,
    /// Bytes of all outputs of one build together; `None`: not limited.
    pub outputs_bytes_max: Option<u64>,
    /// Bytes of one file of a source package.
    pub source_bytes_max: u64,
    /// Bytes of one package of the environment, and of one output.
    pub package_bytes_max: u64,
    /// Bytes of fetched packages that are kept; the longest unused go first.
    pub package_cache_bytes_max: u64,
}

impl DebianSettings {
    /// The defaults, for these two folders.
    pub fn new(work_dir: PathBuf, cache_dir: PathBuf) -> Self {
        Self {
            work_dir,
            cache_dir,
            memory_dir: None,
            memory_free_bytes_min: 4 << 30,
            proxies: Proxies::default(),
            keyrings: vec![PathBuf::from("/usr/share/keyrings/debian-archive-keyring.gpg")],
            base_max_age: Duration::from_secs(7 * 24 * 3600),
            release_check_every: Duration::from_secs(15 * 60),
            base_include: vec!["fakeroot".to_owned(), "debhelper".to_owned()],
            build_options: vec!["nocheck".to_owned()],
            parallel: std::thread::available_parallelism()
                .map_or(1, |n| u32::try_from(n.get()).unwrap_or(1)),
            memory_bytes_max: None,
            processes_max: 16_384,
            disk_bytes_max: None,
            nested_namespaces: false,
            log_bytes_per_sec_max: None,
            outputs_bytes_max: None,
            source_bytes_max: 4 << 30,
            package_bytes_max: 8 << 30,
            package_cache_bytes_max: 20 << 30,
        }
    }
}
