//! The file as it is written. Fields are described in `docs/configuration.md`.

use core::fmt;
use std::collections::BTreeMap;
use std::sync::Arc;

use rebuilder_actors::domain::sync::IncludeSpec;
use rebuilder_actors::protocol::PublicKey;
use serde::{Deserialize, Deserializer, de};
use toml::Spanned;

use super::secret::Secret;
use super::value::{
    AbsolutePath, Bound, Digest, Header, HostPort, HttpListen, HttpPrefix, Listen, Network, Place,
    Size, Source, Within, Word,
};
use crate::distribution::WorkerSettings;
use crate::store::Engine;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct File {
    pub(super) coordinator: Coordinator,
    pub(super) schedule: Schedule,
    pub(super) limits: Limits,
    pub(super) http: Http,
    pub(super) auth: Auth,
    pub(super) proxy: Proxy,
    pub(super) profile: BTreeMap<Spanned<String>, Profile>,
    pub(super) worker: Worker,
    pub(super) diffoscope: Diffoscope,
    pub(super) backend: BTreeMap<Spanned<String>, Script>,
    /// Tables of distributions, by name, each read by its distribution; those alone for which
    /// there is to be a backend.
    #[serde(skip)]
    pub(super) built_in: BTreeMap<&'static str, Arc<dyn WorkerSettings>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Coordinator {
    pub(super) listen: Option<Listen>,
    pub(super) data_dir: Option<AbsolutePath>,
    pub(super) store: Engine,
    pub(super) synchronous_file_system: bool,
    pub(super) public_address: Option<HostPort>,
    pub(super) admins: Vec<PublicKey>,
    pub(super) authorized_workers: Vec<PublicKey>,
    pub(super) places: Option<Within<1, 65_536>>,
    pub(super) signup_secret: Option<Spanned<Secret>>,
    pub(super) signup_secret_file: Option<Spanned<AbsolutePath>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Schedule {
    pub(super) lease_secs: Option<Within<30, 86_400>>,
    pub(super) retry_delay_base: Option<Within<0, 87_600>>,
    pub(super) max_retries: Option<u32>,
    pub(super) initial_delay: Option<u32>,
    pub(super) confirmations: Option<Within<1, 100>>,
    pub(super) seed: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) build_secs_max: Option<Within<1, 2_592_000>>,
    pub(super) stage_secs_max: Option<Within<1, 2_592_000>>,
    pub(super) log_bytes_max: Option<Spanned<Size>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Http {
    pub(super) bind_addr: Option<HttpListen>,
    pub(super) prefix: Option<HttpPrefix>,
    pub(super) real_ip_header: Option<Header>,
    pub(super) trusted_proxies: Option<Vec<Network>>,
    pub(super) connections_max: Option<Within<8, 65_536>>,
    pub(super) connections_per_address_max: Option<Bound<Within<1, 65_536>>>,
    pub(super) rate: Option<Bound<Within<1, 1_000_000>>>,
    pub(super) body_bytes_max: Option<Size>,
    pub(super) permissive_cors: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Auth {
    pub(super) cookie: Option<Spanned<Secret>>,
    pub(super) cookie_file: Option<Spanned<AbsolutePath>>,
}

/// No `Debug`: the URLs may hold passwords.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Proxy {
    pub(super) http: Option<Spanned<String>>,
    pub(super) https: Option<Spanned<String>>,
    pub(super) no_proxy: Vec<String>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("no_proxy", &self.no_proxy).finish_non_exhaustive()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Worker {
    pub(super) coordinator: Option<Spanned<HostPort>>,
    pub(super) coordinator_key: Option<PublicKey>,
    pub(super) name: Option<Word>,
    pub(super) slots: Option<Within<1, 256>>,
    pub(super) work_dir: Option<AbsolutePath>,
    pub(super) architectures: Option<Vec<Word>>,
    pub(super) tags: Vec<Word>,
    pub(super) signup_secret: Option<Spanned<Secret>>,
    pub(super) signup_secret_file: Option<Spanned<AbsolutePath>>,
    pub(super) invitation: Option<Spanned<Secret>>,
    pub(super) memory_bytes_max: Option<Bound<Size>>,
    pub(super) processes_max: Option<Bound<Within<16, 4_194_304>>>,
    pub(super) disk_bytes_max: Option<Bound<Size>>,
    pub(super) log_bytes_per_sec_max: Option<Bound<Size>>,
    pub(super) outputs_bytes_max: Option<Bound<Size>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Diffoscope {
    pub(super) enabled: Option<bool>,
    pub(super) args: Vec<String>,
    pub(super) timeout: Option<Within<1, 604_800>>,
    pub(super) max_bytes: Option<Size>,
    pub(super) program: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Script {
    pub(super) path: AbsolutePath,
    pub(super) search_path: Option<String>,
    #[serde(default)]
    pub(super) pass: Vec<Word>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Profile {
    pub(super) distribution: Option<Word>,
    /// Older spelling of `distribution`.
    pub(super) distro: Option<Spanned<Word>>,
    pub(super) index: Option<Spanned<String>>,
    /// Older spelling of `index`.
    pub(super) sync_method: Option<Spanned<String>>,
    pub(super) source: Option<Spanned<Source>>,
    pub(super) releases: Vec<Release>,
    pub(super) components: Vec<String>,
    /// Older spelling of one of `components`.
    pub(super) suite: Option<Spanned<String>>,
    pub(super) architectures: Vec<Word>,
    /// Older spelling of one of `architectures`.
    pub(super) architecture: Option<Spanned<Word>>,
    pub(super) include: Vec<IncludeSpec>,
    pub(super) maintainers: Vec<String>,
    pub(super) pkgs: Vec<String>,
    pub(super) excludes: Vec<String>,
    pub(super) environment: Option<Environment>,
    pub(super) buildinfos: Option<Spanned<Place>>,
    pub(super) snapshots: Option<Vec<Place>>,
    pub(super) archives: Vec<Archive>,
    pub(super) keyring: Option<AbsolutePath>,
    pub(super) check_signature: Option<bool>,
    pub(super) check_published: Option<bool>,
    pub(super) shrink_guard_percent: Option<Within<0, 100>>,
    pub(super) unreadable_guard_percent: Option<Within<0, 100>>,
    pub(super) check_valid_until: Option<bool>,
    pub(super) accept_suite: Vec<String>,
    pub(super) packages_max: Option<Within<1, 100_000_000>>,
    pub(super) interval_secs: Option<Within<60, 2_592_000>>,
    pub(super) priority: Option<i32>,
    pub(super) max_retries: Option<u32>,
    pub(super) initial_delay: Option<u32>,
    pub(super) tags: Vec<Word>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Environment {
    Recorded,
    Suite,
    RecordedOrSuite,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Archive {
    pub(super) url: Place,
    pub(super) suite: String,
    #[serde(default)]
    pub(super) components: Vec<String>,
}

/// `"name"` or `{ name = "…", source = "…", inrelease_sha256 = "…" }`.
#[derive(Debug)]
pub(super) struct Release {
    pub(super) name: String,
    pub(super) source: Option<Place>,
    pub(super) inrelease_sha256: Option<Digest>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReleaseTable {
    name: String,
    source: Option<Place>,
    inrelease_sha256: Option<Digest>,
}

impl<'de> Deserialize<'de> for Release {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Release;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a release or { name = \"…\", source = \"…\" }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Release, E> {
                Ok(Release { name: text.to_owned(), source: None, inrelease_sha256: None })
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Release, A::Error> {
                let deserializer = de::value::MapAccessDeserializer::new(map);
                let table = ReleaseTable::deserialize(deserializer)?;
                let ReleaseTable { name, source, inrelease_sha256 } = table;
                Ok(Release { name, source, inrelease_sha256 })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
