use std::path::PathBuf;

use rebuilder_actors::domain::sync::Filter;
use rebuilder_actors::protocol::Archive;

use crate::config::ProfileConfig;
use crate::index::{Environment, Release};

/// What one profile reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebianSettings {
    /// Name of the profile: its cache is kept apart by it.
    pub profile: String,
    /// `debian` or a derivative; names the default keyring and every group.
    pub distribution: String,
    /// Base URL or absolute path of the archive, or `apt`: what this machine's apt uses.
    pub source: String,
    /// Which releases. With `source = "apt"` these select among the configured suites, and none
    /// means all suites of this machine's release, merged under its codename.
    pub releases: Vec<Release>,
    /// `main`, `contrib`, `main/debian-installer` for udebs. With `source = "apt"`, none means
    /// what apt is configured to use.
    pub components: Vec<String>,
    /// `all` must be listed to be followed.
    pub architectures: Vec<String>,
    /// Which packages of them.
    pub filter: Filter,
    /// Where build environments are known from.
    pub environment: Environment,
    /// Keyring that must have signed the indexes. `None`: what `Signed-By` says with
    /// `source = "apt"`, else the distribution's installed keyring.
    pub keyring: Option<PathBuf>,
    /// False: signatures are not looked at, and every group says so.
    pub check_signature: bool,
    /// Base URLs of services with the interface of Debian's snapshot archive.
    pub snapshots: Vec<String>,
    /// Where packages of the environment come from besides the release itself.
    pub archives: Vec<Archive>,
    /// An index that lost more than this percentage of its packages since it was last read is
    /// refused; 100 switches the guard off.
    pub shrink_guard: u8,
    /// An index of which more than this percentage of stanzas cannot be read is refused; 100
    /// switches the guard off.
    pub unreadable_guard: u8,
    /// False: a release that says that it expired is followed, and every group says so.
    pub check_valid_until: bool,
    /// What a release may call itself besides the name that it is asked for by; every group says so
    /// where one does.
    pub accept_suite: Vec<String>,
    /// Packages of all its releases; more are an error, as memory and the queue grow with them.
    pub packages_max: usize,
}

impl DebianSettings {
    /// What a profile of the configuration asks for.
    pub fn of(profile: &ProfileConfig) -> Self {
        Self {
            profile: profile.name.clone(),
            distribution: profile.distribution.clone(),
            source: profile.source.clone(),
            releases: profile.releases.clone(),
            components: profile.components.clone(),
            architectures: profile.architectures.clone(),
            filter: profile.filter.clone(),
            environment: profile.environment.clone(),
            keyring: profile.keyring.clone(),
            check_signature: profile.check_signature,
            snapshots: profile.snapshots.clone(),
            archives: profile.archives.clone(),
            shrink_guard: profile.shrink_guard_percent,
            unreadable_guard: profile.unreadable_guard_percent,
            check_valid_until: profile.check_valid_until,
            accept_suite: profile.accept_suite.clone(),
            packages_max: profile.packages_max,
        }
    }
}

/// Where apt keeps what this reader looks at; another root for tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AptPaths {
    /// The folder with `sources.list` and `sources.list.d`.
    pub folder: PathBuf,
    /// The file with `VERSION_CODENAME`.
    pub os_release: PathBuf,
    /// The folder with the distributions' keyrings.
    pub keyrings: PathBuf,
}

impl Default for AptPaths {
    fn default() -> Self {
        Self {
            folder: PathBuf::from("/etc/apt"),
            os_release: PathBuf::from("/etc/os-release"),
            keyrings: PathBuf::from("/usr/share/keyrings"),
        }
    }
}
