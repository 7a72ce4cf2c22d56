use core::time::Duration;
use std::collections::BTreeMap;
use std::path::PathBuf;

use rebuilder_actors::protocol::PublicKey;
use toml::Spanned;

use super::error::Problems;
use super::profile::words;
use super::secret::Secret;
use super::value::{Size, is_word, not_a_word};
use super::{file, load};
use crate::backend::debian::DebianSettings;
use crate::backend::{DiffoscopeSettings, ScriptSettings, architectures};

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
    /// The built-in backend for Debian; `None`: this worker does not offer it.
    pub debian: Option<DebianSettings>,
    /// Script backends by name; each replaces the built-in one of its name.
    pub scripts: BTreeMap<String, ScriptSettings>,
    /// How differences are explained.
    pub diffoscope: DiffoscopeSettings,
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

/// Bytes of a host's name that a worker's name takes.
const NAME_BYTES_MAX: usize = 64;

impl WorkerConfig {
    /// Where script backends and the built-in ones put their attempts.
    pub fn attempts_dir(&self) -> PathBuf {
        self.work_dir.join("attempts")
    }

    /// `secrets`: files are read.
    pub(super) fn read(
        file: file::Worker,
        (debian, diffoscope): (file::Debian, file::Diffoscope),
        scripts: BTreeMap<Spanned<String>, file::Script>,
        secrets: bool,
        problems: &mut Problems<'_>,
    ) -> Self {
        let work_dir = file.work_dir.map_or_else(|| "/var/lib/rebuilder-worker".into(), |d| d.0);
        let scripts = read_scripts(scripts, problems);
        let built_in = debian.enabled.unwrap_or(true) && !scripts.contains_key("debian");
        let given = (file.signup_secret, file.signup_secret_file);
        if let Some(invitation) = &file.invitation
            && (given.0.is_some() || given.1.is_some())
        {
            let message = "an `invitation` needs no signup secret: remove one of them";
            problems.add(Some(invitation.span()), message);
        }
        let secret = load::signup_secret(given, secrets, problems);
        let enrolment = match (file.invitation, secret) {
            (Some(token), _) => WorkerEnrolment::Invitation(token.into_inner()),
            (None, Some(secret)) => WorkerEnrolment::SignupSecret(secret),
            (None, None) => WorkerEnrolment::KeyOnly,
        };
        let offered = file.architectures.map(words).filter(|list| !list.is_empty());
        let mut debian = read_debian(debian, work_dir.join("debian"));
        debian.memory_bytes_max = bytes(file.memory_bytes_max);
        debian.disk_bytes_max = bytes(file.disk_bytes_max);
        debian.processes_max = file.processes_max.map_or(debian.processes_max, |n| n.0);
        Self {
            coordinator: file.coordinator.map(|address| address.into_inner().0),
            coordinator_key: file.coordinator_key,
            name: file.name.map_or_else(host_name, |name| name.0),
            slots: file.slots.map_or(1, |n| u16::try_from(n.0).expect("it is at most 256")),
            architectures: offered.unwrap_or_else(architectures),
            tags: words(file.tags),
            enrolment,
            debian: built_in.then_some(debian),
            scripts,
            diffoscope: read_diffoscope(diffoscope),
            work_dir,
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

/// Puts what is configured over the backend's own defaults.
fn read_debian(file: file::Debian, work_dir: PathBuf) -> DebianSettings {
    let cache_dir = file.cache_dir.map_or_else(|| work_dir.join("cache"), |dir| dir.0);
    let usual = DebianSettings::new(work_dir, cache_dir);
    let size = |given: Option<Size>, usual| given.map_or(usual, |size| size.0);
    let secs = |given: Option<u64>, usual| given.map_or(usual, Duration::from_secs);
    DebianSettings {
        memory_dir: file.tmpfs.map(|dir| dir.0),
        memory_free_bytes_min: size(file.tmpfs_free_bytes_min, usual.memory_free_bytes_min),
        keyrings: file.keyrings.map_or(usual.keyrings, |l| l.into_iter().map(|p| p.0).collect()),
        base_max_age: secs(
            file.base_max_age_hours.map(|hours| u64::from(hours.0) * 3600),
            usual.base_max_age,
        ),
        release_check_every: secs(
            file.release_check_secs.map(|secs| secs.0.into()),
            usual.release_check_every,
        ),
        base_include: file.base_include.map_or(usual.base_include, words),
        build_options: file.build_options.map_or(usual.build_options, words),
        parallel: file.parallel.map_or(usual.parallel, |n| n.0),
        source_bytes_max: size(file.source_bytes_max, usual.source_bytes_max),
        package_bytes_max: size(file.package_bytes_max, usual.package_bytes_max),
        package_cache_bytes_max: size(file.package_cache_bytes_max, usual.package_cache_bytes_max),
        ..usual
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
