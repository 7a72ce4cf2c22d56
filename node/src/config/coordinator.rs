use core::time::Duration;
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use rebuilder_actors::domain::places::PlaceLimits;
use rebuilder_actors::domain::queue::{EnrolmentRules, RetryPolicy, Settings};
use rebuilder_actors::protocol::{AttemptLimits, PublicKey};

use super::error::Problems;
use super::http::HttpConfig;
use super::profile::ProfileConfig;
use super::secret::Secret;
use super::{file, load};
use crate::fetch::Proxies;
use crate::store::Engine;

/// What a coordinator needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoordinatorConfig {
    /// Where workers and ctl connect (UDP).
    pub listen: SocketAddr,
    /// How questions over HTTP are answered.
    pub http: HttpConfig,
    /// Database, blobs and keys; absolute.
    pub data_dir: PathBuf,
    /// What keeps the database.
    pub store: Engine,
    /// Its file system writes synchronously by itself.
    pub synchronous_file_system: bool,
    /// `host:port` for invitations; `None`: `listen`, which workers elsewhere may not reach.
    pub public_address: Option<String>,
    /// Keys that may change things, besides the admin key in `data_dir`.
    pub admins: BTreeSet<PublicKey>,
    /// Keys that need no proof to work.
    pub authorized_workers: BTreeSet<PublicKey>,
    /// Connections at a time of enrolled keys, and of those that have no rights.
    pub places: usize,
    /// `None`: no shared secret admits.
    pub signup_secret: Option<Secret>,
    /// Silence after which a lease is lost.
    pub lease: Duration,
    /// When to try again.
    pub retry: RetryPolicy,
    /// Wait before a new input is first tried.
    pub initial_delay: Duration,
    /// Different keys that must find a job reproduced; at least 1.
    pub confirmations: u32,
    /// Shuffles jobs inside a day; `None`: made from the coordinator's key.
    pub seed: Option<u64>,
    /// Bounds of each attempt.
    pub limits: AttemptLimits,
    /// Sorted by name.
    pub profiles: Vec<ProfileConfig>,
    /// Through which indexes are fetched, before those that the environment names.
    pub proxies: Proxies,
}

impl CoordinatorConfig {
    /// How the queue is to behave; `coordinator` is this coordinator's own key.
    pub fn queue_settings(&self, coordinator: PublicKey) -> Settings {
        let seed = self.seed.unwrap_or_else(|| {
            let bytes = coordinator.0.first_chunk().expect("a key has 32 bytes");
            u64::from_le_bytes(*bytes)
        });
        let secret = self.signup_secret.as_ref();
        let policies = self.profiles.iter().map(|p| (p.name.as_str().into(), p.policy.clone()));
        Settings {
            lease: self.lease,
            retry: self.retry,
            initial_delay: self.initial_delay,
            confirmations: self.confirmations,
            seed,
            limits: self.limits,
            enrolment: EnrolmentRules {
                coordinator,
                authorized: self.authorized_workers.clone(),
                signup_secret: secret.map(|secret| secret.reveal().as_bytes().to_vec()),
            },
            profiles: policies.collect(),
        }
    }

    /// How many connections there may be.
    pub fn place_limits(&self) -> PlaceLimits {
        PlaceLimits { places: self.places, ..PlaceLimits::default() }
    }

    /// Fetched indexes; may be emptied at any time.
    pub fn index_cache_dir(&self) -> PathBuf {
        self.data_dir.join("index")
    }

    /// `secrets`: files are read.
    pub(super) fn read(
        file: file::Coordinator,
        (schedule, limits): (file::Schedule, &file::Limits),
        profiles: Vec<ProfileConfig>,
        secrets: bool,
        problems: &mut Problems<'_>,
    ) -> Self {
        let hours = |hours: u32| Duration::from_secs(u64::from(hours) * 3600);
        let retry = RetryPolicy {
            delay_base: schedule
                .retry_delay_base
                .map_or(RetryPolicy::default().delay_base, |base| hours(base.0)),
            max_retries: schedule.max_retries,
        };
        let given = (file.signup_secret, file.signup_secret_file);
        Self {
            http: HttpConfig::default(),
            listen: file.listen.map_or((Ipv4Addr::LOCALHOST, 8485).into(), |listen| listen.0),
            data_dir: file.data_dir.map_or_else(|| "/var/lib/rebuilder".into(), |dir| dir.0),
            store: file.store,
            synchronous_file_system: file.synchronous_file_system,
            public_address: file.public_address.map(|address| address.0),
            admins: file.admins.into_iter().collect(),
            authorized_workers: file.authorized_workers.into_iter().collect(),
            places: file.places.map_or(PlaceLimits::default().places, |places| places.0 as usize),
            signup_secret: load::secret("signup_secret", given, secrets, problems),
            lease: Duration::from_secs(schedule.lease_secs.map_or(900, |secs| secs.0.into())),
            retry,
            initial_delay: Duration::from_secs(schedule.initial_delay.unwrap_or(0).into()),
            confirmations: schedule.confirmations.map_or(1, |n| n.0),
            seed: schedule.seed,
            limits: attempt_limits(limits, problems),
            profiles,
            proxies: Proxies::default(),
        }
    }
}

/// A log must hold its kept tail (2 MiB) and something before it.
const LOG_BYTES_MIN: u64 = 4 << 20;

fn attempt_limits(file: &file::Limits, problems: &mut Problems<'_>) -> AttemptLimits {
    let usual = AttemptLimits::default();
    let log = file.log_bytes_max.as_ref();
    if let Some(log) = log.filter(|log| log.get_ref().0 < LOG_BYTES_MIN) {
        let message = format!(
            "`log_bytes_max`: a log needs at least {LOG_BYTES_MIN} bytes, of which 2 MiB are kept \
             for its end"
        );
        problems.add(Some(log.span()), message);
    }
    AttemptLimits {
        build_secs_max: file.build_secs_max.map_or(usual.build_secs_max, |secs| secs.0),
        stage_secs_max: file.stage_secs_max.map_or(usual.stage_secs_max, |secs| secs.0),
        log_bytes_max: log.map_or(usual.log_bytes_max, |log| log.get_ref().0),
    }
}
