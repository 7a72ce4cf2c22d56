use core::time::Duration;
use std::collections::BTreeMap;
use std::path::PathBuf;

use rebuilder_actors::protocol::PublicKey;
use toml::Spanned;

use super::bounds::{Bounds, Machine};
use super::error::Problems;
use super::profile::words;
use super::secret::Secret;
use super::value::{Size, is_word, not_a_word};
use super::{file, load};
use crate::backend::{DiffoscopeSettings, ScriptSettings, architectures};
use crate::fetch::Proxies;

/// What a worker needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerConfig {
    /// `host:port`; `None`: what the invitation says, or the coordinator of the same process.
    pub coordinator: Option<String>,
    /// The only key that the coordinator may have; `None`: the one of the first coordinator that
    /// proved to know the secret, or any if there is no secret.
    pub coordinator_key: Option<PublicKey>,
    /// For people; at most 64 bytes.
    pub name: String,
    /// Attempts at a time, 1 to 256.
    pub slots: u16,
    /// Key, spool and attempts; absolute.
    pub work_dir: PathBuf,
    /// What it builds for; `*` is any. Never empty.
    pub architectures: Vec<String>,
    /// Tags that jobs can ask for.
    pub tags: Vec<String>,
    /// How it gets in.
    pub enrolment: WorkerEnrolment,
    /// What one build may take of the machine.
    pub bounds: Bounds,
    /// `None`: this worker has no backend of its own for Debian.
    pub debian: Option<DebianConfig>,
    /// Script backends by name; each replaces the built-in one of its name.
    pub scripts: BTreeMap<String, ScriptSettings>,
    /// How differences are explained.
    pub diffoscope: DiffoscopeSettings,
    /// Through which it fetches, before those that the environment names.
    pub proxies: Proxies,
}

/// How a worker gets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerEnrolment {
    /// Its key is listed, or was let in before.
    KeyOnly,
    /// By the coordinator's `signup_secret`.
    SignupSecret(Secret),
    /// By a token of `rebuilder-ctl worker invite`.
    Invitation(Secret),
}

/// How Debian packages are rebuilt; `None` where the backend has a default of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebianConfig {
    /// Base roots and fetched packages; absolute.
    pub cache_dir: PathBuf,
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

/// Bytes of a host's name that a worker's name takes.
const NAME_BYTES_MAX: usize = 64;

impl WorkerConfig {
    /// Where script backends and the built-in ones put their attempts.
    pub fn attempts_dir(&self) -> PathBuf {
        self.work_dir.join("attempts")
    }

    /// `works`: the role has a worker, so that secrets are read from their files, and what is
    /// switched off is warned of.
    pub(super) fn read(
        file: file::Worker,
        (debian, diffoscope): (file::Debian, file::Diffoscope),
        scripts: BTreeMap<Spanned<String>, file::Script>,
        works: bool,
        problems: &mut Problems<'_>,
        warnings: &mut Vec<String>,
    ) -> Self {
        let work_dir = file
            .work_dir
            .as_ref()
            .map_or_else(|| "/var/lib/rebuilder-worker".into(), |d| d.0.clone());
        let slots = file.slots.map_or(1, |n| u16::try_from(n.0).expect("it is at most 256"));
        let mut off = Vec::new();
        let bounds = Bounds::new(&file, Machine::measure(&work_dir), slots, &mut off);
        if works {
            warnings.append(&mut off);
        }
        let scripts = read_scripts(scripts, problems);
        let built_in = debian.enabled.unwrap_or(true) && !scripts.contains_key("debian");
        let given = (file.signup_secret, file.signup_secret_file);
        if let Some(invitation) = &file.invitation
            && (given.0.is_some() || given.1.is_some())
        {
            let message = "an `invitation` needs no signup secret: remove one of them";
            problems.add(Some(invitation.span()), message);
        }
        let secret = load::signup_secret(given, works, problems);
        let enrolment = match (file.invitation, secret) {
            (Some(token), _) => WorkerEnrolment::Invitation(token.into_inner()),
            (None, Some(secret)) => WorkerEnrolment::SignupSecret(secret),
            (None, None) => WorkerEnrolment::KeyOnly,
        };
        let offered = file.architectures.map(words).filter(|list| !list.is_empty());
        Self {
            coordinator: file.coordinator.map(|address| address.into_inner().0),
            coordinator_key: file.coordinator_key,
            name: file.name.map_or_else(host_name, |name| name.0),
            slots,
            architectures: offered.unwrap_or_else(architectures),
            tags: words(file.tags),
            enrolment,
            bounds,
            debian: built_in.then(|| read_debian(debian, work_dir.join("debian"))),
            scripts,
            diffoscope: read_diffoscope(diffoscope),
            work_dir,
            proxies: Proxies::default(),
        }
    }
}

fn read_scripts(
    scripts: BTreeMap<Spanned<String>, file::Script>,
    problems: &mut Problems<'_>,
) -> BTreeMap<String, ScriptSettings> {
    let mut read = BTreeMap::new();
    for (name, script) in scripts {
        if !is_word(name.get_ref()) {
            problems.add(Some(name.span()), not_a_word(name.get_ref()));
        }
        let settings = ScriptSettings {
            program: script.path.0,
            path: script.search_path.map(Into::into),
            pass: words(script.pass),
        };
        read.insert(name.into_inner(), settings);
    }
    read
}

fn read_debian(file: file::Debian, cache_dir: PathBuf) -> DebianConfig {
    DebianConfig {
        cache_dir: file.cache_dir.map_or(cache_dir, |dir| dir.0),
        tmpfs: file.tmpfs.map(|dir| dir.0),
        tmpfs_free_bytes_min: bytes(file.tmpfs_free_bytes_min),
        keyrings: file.keyrings.map(|list| list.into_iter().map(|path| path.0).collect()),
        base_max_age: file.base_max_age_hours.map(|h| Duration::from_secs(u64::from(h.0) * 3600)),
        base_include: file.base_include.map(words),
        release_check_every: file.release_check_secs.map(|s| Duration::from_secs(s.0.into())),
        build_options: file.build_options.map(words),
        parallel: file.parallel.map(|n| n.0),
        nested_namespaces: file.nested_namespaces,
        source_bytes_max: bytes(file.source_bytes_max),
        package_bytes_max: bytes(file.package_bytes_max),
        package_cache_bytes_max: bytes(file.package_cache_bytes_max),
    }
}

fn read_diffoscope(file: file::Diffoscope) -> DiffoscopeSettings {
    let usual = DiffoscopeSettings::default();
    DiffoscopeSettings {
        enabled: file.enabled.unwrap_or(usual.enabled),
        args: file.args,
        timeout: file.timeout.map_or(usual.timeout, |secs| Duration::from_secs(secs.0.into())),
        bytes_max: bytes(file.max_bytes).unwrap_or(usual.bytes_max),
        program: file.program.map_or(usual.program, PathBuf::from),
    }
}

fn bytes(size: Option<Size>) -> Option<u64> {
    size.map(|size| size.0)
}

fn host_name() -> String {
    let name = nix::unistd::gethostname().unwrap_or_default();
    let name: String = name.to_string_lossy().chars().filter(char::is_ascii).collect();
    let name = name[..name.len().min(NAME_BYTES_MAX)].to_owned();
    if name.is_empty() { "worker".to_owned() } else { name }
}
