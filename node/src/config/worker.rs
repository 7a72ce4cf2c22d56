use core::time::Duration;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use rebuilder_actors::protocol::PublicKey;
use toml::Spanned;

use super::bounds::{Bounds, Machine};
use super::error::Problems;
use super::profile::words;
use super::secret::Secret;
use super::value::{Size, is_word, not_a_word};
use super::{file, load};
use crate::backend::{DiffoscopeSettings, ScriptSettings, architectures};
use crate::distribution::WorkerSettings;
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
    /// How packages of each distribution are rebuilt, by its name; those alone that this worker has
    /// a backend of its own for.
    pub built_in: BTreeMap<&'static str, Arc<dyn WorkerSettings>>,
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

type BuiltIns = BTreeMap<&'static str, Arc<dyn WorkerSettings>>;

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
        (built_in, diffoscope): (BuiltIns, file::Diffoscope),
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
        let mut built_in = built_in;
        built_in.retain(|name, _| !scripts.contains_key(*name));
        let given = (file.signup_secret, file.signup_secret_file);
        if let Some(invitation) = &file.invitation
            && (given.0.is_some() || given.1.is_some())
        {
            let message = "an `invitation` needs no signup secret: remove one of them";
            problems.add(Some(invitation.span()), message);
        }
        let secret = load::secret("signup_secret", given, works, problems);
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
            built_in,
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
