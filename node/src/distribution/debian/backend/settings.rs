use std::path::PathBuf;
use std::time::Duration;

use crate::environment::{EnvironmentLimits, Folders};
use crate::fetch::Proxies;

/// How this worker rebuilds Debian packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebianSettings {
    /// Where base roots, fetched packages and writable layers are.
    pub folders: Folders,
    /// Bounds of one attempt.
    pub limits: EnvironmentLimits,
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
    /// True: builds may make user namespaces. Their verdicts do not say `isolation: full`.
    pub nested_namespaces: bool,
    /// Bytes of fetched packages that are kept; the longest unused go first.
    pub package_cache_bytes_max: u64,
}

impl DebianSettings {
    /// The defaults, for these two folders.
    pub fn new(work_dir: PathBuf, cache_dir: PathBuf) -> Self {
        Self {
            folders: Folders::new(work_dir, cache_dir),
            limits: EnvironmentLimits::default(),
            proxies: Proxies::default(),
            keyrings: vec![PathBuf::from("/usr/share/keyrings/debian-archive-keyring.gpg")],
            base_max_age: Duration::from_secs(7 * 24 * 3600),
            release_check_every: Duration::from_secs(15 * 60),
            base_include: vec!["fakeroot".to_owned(), "debhelper".to_owned()],
            build_options: vec!["nocheck".to_owned()],
            parallel: std::thread::available_parallelism()
                .map_or(1, |n| u32::try_from(n.get()).unwrap_or(1)),
            nested_namespaces: false,
            package_cache_bytes_max: 20 << 30,
        }
    }
}
