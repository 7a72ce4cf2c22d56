use std::collections::BTreeSet;
use std::path::Path;

use rebuilder_actors::port::IndexError;
use rebuilder_actors::protocol::{Archive, Sha256};

use super::settings::{AptPaths, DebianSettings};
use super::text::base_url;
use super::{SignedBy, parse_folder};
use crate::distribution::debian::format::names;

/// A release with the suites that make it up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReleasePlan {
    pub(super) name: String,
    pub(super) suites: Vec<SuitePlan>,
}

/// One suite to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SuitePlan {
    pub(super) base: String,
    pub(super) suite: String,
    pub(super) components: Vec<String>,
    pub(super) signed_by: SignedBy,
    /// False: it is followed though it expired.
    pub(super) check_valid_until: bool,
    /// Digest of the only index that is followed.
    pub(super) pin: Option<Sha256>,
    /// Skip the suite when it is another distribution's: apt was asked, not the profile.
    pub(super) of_distribution_only: bool,
}

impl SuitePlan {
    pub(super) fn folder(&self) -> String {
        format!("{}/dists/{}", self.base, self.suite.trim_end_matches('/'))
    }

    pub(super) fn archive(&self) -> Archive {
        // A folder of the installer's packages is no component of its own for apt.
        let mut components: Vec<Box<str>> = Vec::new();
        for component in &self.components {
            let component = component.strip_suffix("/debian-installer").unwrap_or(component);
            if !components.iter().any(|known| &**known == component) {
                components.push(component.into());
            }
        }
        Archive::Suite {
            url: self.base.as_str().into(),
            suite: self.suite.as_str().into(),
            components,
        }
    }
}

/// What the settings mean on this machine.
pub(super) fn plan(
    settings: &DebianSettings,
    paths: &AptPaths,
) -> Result<Vec<ReleasePlan>, IndexError> {
    let default = paths.keyrings.join(format!("{}-archive-keyring.gpg", settings.distribution));
    let keyring = settings.keyring.clone().unwrap_or(default);
    let releases = if settings.source == "apt" {
        from_apt(settings, paths, &keyring)?
    } else {
        from_settings(settings, &keyring)
    };
    for suite in releases.iter().flat_map(|release| &release.suites) {
        let folder = suite.suite.trim_end_matches('/');
        for path in suite.components.iter().map(String::as_str).chain([folder]) {
            names::suite(path).map_err(|error| IndexError::Content {
                url: suite.base.clone(),
                reason: error.to_string(),
            })?;
        }
    }
    for architecture in &settings.architectures {
        names::architecture(architecture).map_err(|error| IndexError::Refused {
            url: settings.source.clone(),
            reason: format!("profile {}: {error}", settings.profile),
        })?;
    }
    Ok(releases)
}

fn from_settings(settings: &DebianSettings, keyring: &Path) -> Vec<ReleasePlan> {
    let mut releases: Vec<ReleasePlan> = Vec::new();
    for release in &settings.releases {
        let suite = SuitePlan {
            base: base_url(release.source.as_ref().unwrap_or(&settings.source)),
            suite: release.name.clone(),
            components: settings.components.clone(),
            signed_by: SignedBy::Files(vec![keyring.to_owned()]),
            check_valid_until: settings.check_valid_until,
            pin: release.pin,
            of_distribution_only: false,
        };
        add(&mut releases, &release.name, suite);
    }
    releases
}

fn from_apt(
    settings: &DebianSettings,
    paths: &AptPaths,
    keyring: &Path,
) -> Result<Vec<ReleasePlan>, IndexError> {
    let sources = parse_folder(&paths.folder).map_err(|error| IndexError::Content {
        url: error.path.display().to_string(),
        reason: error.reason,
    })?;
    let codename = match settings.releases.is_empty() {
        true => Some(codename(paths)?),
        false => None,
    };
    let mut releases = Vec::new();
    for source in &sources {
        for suite in &source.suites {
            let release = match &codename {
                Some(codename) if is_of(suite, codename) => codename,
                None if settings.releases.iter().any(|release| release.name == *suite) => suite,
                _ => continue,
            };
            let components = components_of(settings, &source.components);
            if components.is_empty() {
                continue;
            }
            let signed_by = match (&settings.keyring, &source.signed_by) {
                (None, Some(signed_by)) => signed_by.clone(),
                _ => SignedBy::Files(vec![keyring.to_owned()]),
            };
            let named = settings.releases.iter().filter(|release| release.name == *suite);
            let mut pin = named.map(|release| release.pin);
            let suite = SuitePlan {
                base: base_url(&source.url),
                suite: suite.clone(),
                components,
                signed_by,
                check_valid_until: settings.check_valid_until && source.check_valid_until,
                pin: pin.next().flatten(),
                of_distribution_only: codename.is_some(),
            };
            add(&mut releases, release, suite);
        }
    }
    let found: BTreeSet<_> = releases.iter().map(|release| release.name.as_str()).collect();
    let wanted = codename.iter().chain(settings.releases.iter().map(|release| &release.name));
    for name in wanted {
        if !found.contains(name.as_str()) {
            return Err(IndexError::Refused {
                url: paths.folder.display().to_string(),
                reason: format!("apt is not configured for suite {name} with these components"),
            });
        }
    }
    Ok(releases)
}

fn add(releases: &mut Vec<ReleasePlan>, name: &str, suite: SuitePlan) {
    match releases.iter_mut().find(|release| release.name == name) {
        Some(release) if release.suites.contains(&suite) => {}
        Some(release) => release.suites.push(suite),
        None => releases.push(ReleasePlan { name: name.to_owned(), suites: vec![suite] }),
    }
}

/// The release itself, its updates and its security updates; not backports or proposals, which
/// are not what the release's users have.
fn is_of(suite: &str, codename: &str) -> bool {
    suite
        .trim_end_matches('/')
        .strip_prefix(codename)
        .is_some_and(|rest| matches!(rest, "" | "-updates" | "-security" | "/updates"))
}

fn components_of(settings: &DebianSettings, configured: &[String]) -> Vec<String> {
    if settings.components.is_empty() {
        return configured.to_vec();
    }
    let is_configured = |wanted: &&String| {
        let component = wanted.strip_suffix("/debian-installer").unwrap_or(wanted);
        configured.iter().any(|known| known == component)
    };
    settings.components.iter().filter(is_configured).cloned().collect()
}

fn codename(paths: &AptPaths) -> Result<String, IndexError> {
    let url = paths.os_release.display().to_string();
    let text = std::fs::read_to_string(&paths.os_release)
        .map_err(|error| IndexError::Fetch { url: url.clone(), reason: error.to_string() })?;
    let line = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    line.map(|value| value.trim_matches('"').to_owned())
        .filter(|value| !value.is_empty())
        .ok_or_else(|| IndexError::Content {
            url,
            reason: "names no VERSION_CODENAME: list the profile's releases".to_owned(),
        })
}
