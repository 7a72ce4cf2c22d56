use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use toml::Spanned;

use super::coordinator::CoordinatorConfig;
use super::error::{ConfigError, Invalid, Problems};
use super::file::{self, File};
use super::gather::gather;
use super::http::HttpConfig;
use super::profile::ProfileConfig;
use super::secret::Secret;
use super::value::AbsolutePath;
use super::worker::{WorkerConfig, WorkerEnrolment};
use crate::distribution::registry;
use crate::fetch::Proxies;

/// Where the configuration is unless the command line says otherwise.
pub const DEFAULT_PATH: &str = "/etc/rebuilder/node.toml";

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Keeps the queue and the results.
    Coordinator,
    /// Rebuilds.
    Worker,
    /// Both in one process.
    Standalone,
}

impl Role {
    /// True for `coordinator` and `standalone`.
    pub fn coordinates(self) -> bool {
        self != Self::Worker
    }

    /// True for `worker` and `standalone`.
    pub fn works(self) -> bool {
        self != Self::Coordinator
    }
}

/// A whole configuration, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// For which it was read.
    pub role: Role,
    /// `None` for a worker.
    pub coordinator: Option<CoordinatorConfig>,
    /// `None` for a coordinator.
    pub worker: Option<WorkerConfig>,
    /// What is allowed and should be thought about; one sentence each.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads the file at `path`. `None`: the one at [`DEFAULT_PATH`], or what holds without any
    /// file if there is none.
    ///
    /// # Errors
    /// The file cannot be read, is not TOML, has unknown keys or values that make no sense, or
    /// lacks what the role needs; every section is checked, whatever the role.
    pub fn load(path: Option<&Path>, role: Role) -> Result<Self, ConfigError> {
        let default = Path::new(DEFAULT_PATH);
        let at = path.unwrap_or(default);
        let text = match fs::read_to_string(at) {
            Err(error) if path.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                String::new()
            }
            read => read.map_err(|source| ConfigError::Read { path: at.to_owned(), source })?,
        };
        let mut config = Self::check(&text, at, role, Beside::Checked)?;
        let open = fs::metadata(at).is_ok_and(|metadata| metadata.mode() & 0o004 != 0);
        let of_proxies = [
            config.coordinator.as_ref().map(|c| &c.proxies),
            config.worker.as_ref().map(|w| &w.proxies),
        ];
        let of_proxies = of_proxies.into_iter().flatten().any(Proxies::has_secret);
        if open && (of_proxies || SECRET_KEYS.iter().any(|key| has_key(&text, key))) {
            config.warnings.push(format!(
                "everybody on this machine can read the secret in {0}: run `chmod 640 {0}`",
                at.display()
            ));
        }
        Ok(config)
    }

    /// Reads `text`, which stands in the file `path`; files of secrets that it names are read if
    /// the role needs them.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn parse(text: &str, path: &Path, role: Role) -> Result<Self, Invalid> {
        Self::check(text, path, role, Beside::NotChecked)
    }

    fn check(text: &str, path: &Path, role: Role, beside: Beside) -> Result<Self, Invalid> {
        let mut problems = Problems::new(text);
        let mut warnings = Vec::new();
        let read = gather(text, &mut problems).map(|(file, left_out)| {
            problems.leave_out(left_out);
            let read = read(file, role, &mut problems, &mut warnings);
            if beside == Beside::Checked {
                check_beside(text, role, &read, &mut problems, &mut warnings);
            }
            read
        });
        problems.finish(path.to_owned(), &warnings)?;
        let (coordinator, worker) = read.expect("a file that was not read is a problem");
        Ok(Self {
            role,
            coordinator: role.coordinates().then_some(coordinator),
            worker: role.works().then_some(worker),
            warnings,
        })
    }
}

/// Whether files that the configuration names, and those of former runs, are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beside {
    Checked,
    NotChecked,
}

fn check_beside(
    text: &str,
    role: Role,
    (coordinator, worker): &(CoordinatorConfig, WorkerConfig),
    problems: &mut Problems<'_>,
    warnings: &mut Vec<String>,
) {
    if role.coordinates() {
        let profiles = coordinator.profiles.iter();
        warnings.extend(profiles.flat_map(|profile| profile.index.profile_warnings(profile)));
    }
    if role.works() {
        warnings.extend(worker.built_in.values().flat_map(|settings| settings.warnings()));
    }
    if role == Role::Worker
        && let WorkerEnrolment::Invitation(token) = &worker.enrolment
        && let Err(message) = crate::role::check_invitation(token.reveal())
    {
        problems.add(None, format!("`invitation` in [worker]: {message}"));
    }
    // A coordinator that proved itself once is known from then on.
    let is_known = worker.coordinator_key.is_some()
        || worker.work_dir.join(crate::role::KNOWN_COORDINATOR).exists();
    if role == Role::Worker && worker.enrolment == WorkerEnrolment::KeyOnly && !is_known {
        let elsewhere = has_key(text, "signup_secret") || has_key(text, "signup_secret_file");
        let hint = if elsewhere { " (a worker does not read that of [coordinator])" } else { "" };
        let message = format!(
            "nothing proves which coordinator is the right one: give `invitation`, \
             `signup_secret` or `signup_secret_file`{hint}, or `coordinator_key` in [worker]; a \
             worker whose key the coordinator lists needs `coordinator_key`"
        );
        problems.add(None, message);
    }
}

/// Keys whose values are secrets.
const SECRET_KEYS: [&str; 3] = ["signup_secret", "invitation", "cookie"];
/// Bytes read of a file with a secret.
const SECRET_FILE_BYTES_MAX: u64 = 64 << 10;

fn has_key(text: &str, key: &str) -> bool {
    let rest = |line: &str| line.trim_start().strip_prefix(key).map(|r| r.trim_start().to_owned());
    text.lines().any(|line| rest(line).is_some_and(|rest| rest.starts_with('=')))
}

fn read(
    file: File,
    role: Role,
    problems: &mut Problems<'_>,
    warnings: &mut Vec<String>,
) -> (CoordinatorConfig, WorkerConfig) {
    let address = file.worker.coordinator.as_ref().map(Spanned::span);
    let (ours, workers) = (&file.coordinator, &file.worker);
    let has_ours = ours.signup_secret.is_some() || ours.signup_secret_file.is_some();
    let has_workers = workers.signup_secret.is_some() || workers.signup_secret_file.is_some();
    if role.coordinates() && has_workers && !has_ours {
        warnings.push(
            "the signup secret stands in [worker], so it admits no worker: the coordinator's \
             belongs in [coordinator]"
                .to_owned(),
        );
    }
    let mut profiles = Vec::new();
    for (name, profile) in file.profile {
        profiles.extend(ProfileConfig::read(&name, profile, problems, warnings));
    }
    let sections = (file.schedule, &file.limits);
    let keeps = role.coordinates();
    let proxies = proxies(&file.proxy, problems);
    let mut coordinator =
        CoordinatorConfig::read(file.coordinator, sections, profiles, keeps, problems);
    coordinator.proxies = proxies.clone();
    coordinator.http = HttpConfig::read(file.http, file.auth, keeps, problems, warnings);
    let backends = (file.built_in, file.diffoscope);
    let works = role.works();
    let mut worker =
        WorkerConfig::read(file.worker, backends, file.backend, works, problems, warnings);
    worker.proxies = proxies;
    match (role, address) {
        (Role::Worker, None) if !matches!(worker.enrolment, WorkerEnrolment::Invitation(_)) => {
            let message =
                "a worker needs `coordinator = \"host:port\"` or `invitation` in [worker]";
            problems.add(None, message);
        }
        (Role::Standalone, Some(_)) => warnings.push(
            "`coordinator` in [worker] is not used: a standalone node has its own".to_owned(),
        ),
        _ => {}
    }
    if role.works() && worker.built_in.is_empty() && worker.scripts.is_empty() {
        let all = registry().iter().map(|distribution| format!("[{}]", distribution.name()));
        let all = all.collect::<Vec<_>>().join(" or ");
        let message = format!("this worker has no backend: enable {all} or add [backend.\"NAME\"]");
        problems.add(None, message);
    }
    // One that is written and wrong is not missing.
    if keeps && coordinator.profiles.is_empty() && problems.is_empty() {
        warnings.push("no [profile.\"NAME\"] is configured: nothing is followed".to_owned());
    }
    (coordinator, worker)
}

fn proxies(file: &file::Proxy, problems: &mut Problems<'_>) -> Proxies {
    let mut url = |key: &str, given: &Option<Spanned<String>>| {
        let given = given.as_ref()?;
        let checked = Proxies::new(Some(given.get_ref()), None, &[]);
        let checked = checked.map_err(|why| {
            problems.add(Some(given.span()), format!("`{key}`: {why}"));
        });
        checked.is_ok().then(|| given.get_ref().clone())
    };
    let (http, https) = (url("http", &file.http), url("https", &file.https));
    let proxies = Proxies::new(http.as_deref(), https.as_deref(), &file.no_proxy);
    proxies.expect("each URL was checked")
}

/// The secret `key` as written, or as found in the file that `key` with `_file` names.
pub(super) fn secret(
    key: &str,
    (secret, file): (Option<Spanned<Secret>>, Option<Spanned<AbsolutePath>>),
    read_files: bool,
    problems: &mut Problems<'_>,
) -> Option<Secret> {
    if let (Some(_), Some(file)) = (&secret, &file) {
        let message = format!("`{key}` and `{key}_file` are both given: remove one of them");
        problems.add(Some(file.span()), message);
        return None;
    }
    if let Some(secret) = secret {
        return Some(secret.into_inner());
    }
    let file = file.filter(|_| read_files)?;
    read_secret(&file.get_ref().0).map_err(|message| problems.add(Some(file.span()), message)).ok()
}

fn read_secret(path: &Path) -> Result<Secret, String> {
    let failed = |error| format!("cannot read the secret {}: {error}", path.display());
    let metadata = fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() || metadata.len() > SECRET_FILE_BYTES_MAX {
        return Err(format!("{} is not a file with a secret in it", path.display()));
    }
    if metadata.mode() & 0o007 != 0 {
        let path = path.display();
        return Err(format!("the secret {path} is open to everybody: run `chmod 640 {path}`"));
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    let secret = Secret::new(text.trim().to_owned());
    secret.check().map_err(|reason| format!("{}: {reason}", path.display()))?;
    Ok(secret)
}
