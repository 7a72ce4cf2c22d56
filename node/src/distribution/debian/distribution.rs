use std::fs;
use std::path::Path;
use std::sync::Arc;

use rebuilder_actors::port::IndexReader;
use rebuilder_actors::protocol::Artifact;
use toml::Spanned;
use toml::de::DeValue;

use super::backend::native_architecture;
use super::format::identity;
use super::index::{AptPaths, DebianReader, DebianSettings};
use super::records;
use super::settings::{self, Table};
use crate::config::{ProfileConfig, keys, table};
use crate::distribution::{Distribution, Fit, Identity, ReaderParts, WorkerSettings, Written};
use crate::index::Releases;

/// Debian, and archives that are laid out like it.
pub(crate) struct Debian;

/// Where Debian publishes what its builders recorded.
const BUILDINFOS: &str = "https://buildinfos.debian.net/buildinfo-pool";

/// Where distributions of this family install their keyrings.
const KEYRINGS: &str = "/usr/share/keyrings";

impl Distribution for Debian {
    fn name(&self) -> &'static str {
        "debian"
    }

    fn required(&self, profile: &Written<'_>) -> Vec<&'static str> {
        // This machine's apt knows all three.
        if profile.source == "apt" {
            return Vec::new();
        }
        // A flat repository has no components.
        let only_flat = profile.releases.iter().all(|release| release.ends_with('/'));
        let needed = [("releases", true), ("components", !only_flat)];
        let needed = needed.into_iter().chain([("architectures", true)]);
        needed.filter_map(|(key, is_needed)| is_needed.then_some(key)).collect()
    }

    fn records_url(&self) -> Option<&'static str> {
        Some(BUILDINFOS)
    }

    fn profile_warnings(&self, profile: &ProfileConfig) -> Vec<String> {
        missing_keyring(profile).into_iter().collect()
    }

    fn reader(&self, profile: &ProfileConfig, parts: &ReaderParts<'_>) -> Arc<dyn IndexReader> {
        reader(DebianSettings::of(profile), parts)
    }

    fn keys(&self) -> &'static [&'static str] {
        keys::<Table>()
    }

    fn docs(&self) -> &'static str {
        include_str!("settings.md")
    }

    fn settings(
        &self,
        given: Option<Spanned<DeValue<'_>>>,
    ) -> Result<Option<Arc<dyn WorkerSettings>>, toml::de::Error> {
        let read = settings::of(table(given)?);
        Ok(read.map(|settings| Arc::new(settings) as Arc<dyn WorkerSettings>))
    }

    fn record_places(&self, url: &str) -> Option<Vec<String>> {
        url.ends_with(records::END).then(|| records::places(url, native_architecture()))
    }

    fn record_fit(&self, record: &[u8], artifacts: &[Artifact]) -> Fit {
        records::fit(record, artifacts)
    }

    fn package_extensions(&self) -> &'static [&'static str] {
        &["deb", "udeb", "ddeb"]
    }

    fn identity(&self, file: &mut fs::File) -> Option<Identity> {
        identity(file)
    }
}

/// One reader for each release, where there are several: each has a cache of its own.
fn reader(settings: DebianSettings, parts: &ReaderParts<'_>) -> Arc<dyn IndexReader> {
    let reader = |settings: DebianSettings| -> Arc<dyn IndexReader> {
        let (fetcher, paths) = (parts.fetcher.clone(), AptPaths::default());
        Arc::new(DebianReader::new(settings, fetcher, parts.cache, paths))
    };
    if settings.releases.len() < 2 {
        return reader(settings);
    }
    let each = settings.releases.iter().map(|release| {
        let own = DebianSettings {
            profile: format!("{}, release {}", settings.profile, release.name),
            releases: vec![release.clone()],
            ..settings.clone()
        };
        (release.name.as_str().into(), reader(own))
    });
    Arc::new(Releases::new(each.collect(), settings.packages_max, settings.source.clone()))
}

/// What to say of a profile whose keyring is missing; `None`: it is there, or none is needed, or
/// apt's sources may name others.
fn missing_keyring(profile: &ProfileConfig) -> Option<String> {
    let is_named = profile.keyring.is_some();
    if !profile.check_signature || profile.source == "apt" && !is_named {
        return None;
    }
    let usual =
        || Path::new(KEYRINGS).join(format!("{}-archive-keyring.gpg", profile.distribution));
    let keyring = profile.keyring.clone().unwrap_or_else(usual);
    let reason = fs::File::open(&keyring).err()?;
    let (name, shown) = (&profile.name, keyring.display());
    let remedy = if is_named {
        "name one that is there in `keyring`".to_owned()
    } else {
        let package = format!("{}-archive-keyring", profile.distribution);
        format!("install {package}, or name another one in `keyring`")
    };
    Some(format!(
        "profile `{name}` cannot be synced: its keyring {shown} cannot be read ({reason}): {remedy}"
    ))
}
