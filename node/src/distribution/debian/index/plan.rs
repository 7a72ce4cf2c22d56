use std::path::Path;

use rebuilder_actors::port::IndexError;
use rebuilder_actors::protocol::{Archive, Sha256};

use super::apt::{AptSource, AptSources, SignedBy, mirrors_of, parse_folder};
use super::settings::{AptPaths, DebianSettings};
use super::text::base_url;
use crate::distribution::debian::format::names;
use crate::fetch::Fetcher;

/// A release with the suites that make it up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReleasePlan {
    pub(super) name: String,
    pub(super) suites: Vec<SuitePlan>,
}

/// One suite to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SuitePlan {
    /// URLs of the archive, the preferred one first; at least one.
    pub(super) bases: Vec<String>,
    pub(super) suite: String,
    pub(super) components: Vec<String>,
    pub(super) signed_by: SignedBy,
    /// False: it is followed though it expired.
    pub(super) check_valid_until: bool,
    /// Digest of the only index that is followed.
    pub(super) pin: Option<Sha256>,
    /// Skip the suite when it is another distribution's: apt was asked, not the profile.
    pub(super) of_distribution_only: bool,
    /// False: the profile or apt's configuration takes it without a signature.
    pub(super) check_signature: bool,
}

impl SuitePlan {
    /// The URL that is used first.
    pub(super) fn base(&self) -> &str {
        &self.bases[0]
    }

    /// True for a repository without `dists`, in which everything lies in one folder.
    pub(super) fn is_flat(&self) -> bool {
        self.suite.ends_with('/')
    }

    /// Where its Release file lies, at each mirror.
    pub(super) fn folders(&self) -> Vec<String> {
        let suite = self.suite.trim_end_matches('/');
        let folder = |base: &String| match (self.is_flat(), suite) {
            (false, _) => format!("{base}/dists/{suite}"),
            (true, ".") => base.clone(),
            (true, _) => format!("{base}/{}", suite.trim_start_matches("./")),
        };
        self.bases.iter().map(folder).collect()
    }

    /// Has the mirror at this place asked first from now on.
    pub(super) fn prefer(&mut self, mirror: usize) {
        self.bases[..=mirror].rotate_right(1);
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
        Archive::Suite { url: self.base().into(), suite: self.suite.as_str().into(), components }
    }
}

/// What the settings mean on this machine.
pub(super) async fn plan(
    settings: &DebianSettings,
    paths: &AptPaths,
    fetcher: &Fetcher,
) -> Result<Vec<ReleasePlan>, IndexError> {
    let default = paths.keyrings.join(format!("{}-archive-keyring.gpg", settings.distribution));
    let keyring = settings.keyring.clone().unwrap_or(default);
    let releases = if settings.source == "apt" {
        from_apt(settings, paths, &keyring, fetcher).await?
    } else {
        from_settings(settings, &keyring)
    };
    for suite in releases.iter().flat_map(|release| &release.suites) {
        let folder = suite.suite.trim_end_matches('/');
        for path in suite.components.iter().map(String::as_str).chain([folder]) {
            names::suite(path).map_err(|error| IndexError::Content {
                url: suite.base().to_owned(),
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
            bases: vec![base_url(release.source.as_ref().unwrap_or(&settings.source))],
            suite: if release.name == "/" { "./".to_owned() } else { release.name.clone() },
            // A flat repository has none.
            components: match release.name.ends_with('/') {
                true => Vec::new(),
                false => settings.components.clone(),
            },
            signed_by: SignedBy::Files(vec![keyring.to_owned()]),
            check_valid_until: settings.check_valid_until,
            pin: release.pin,
            of_distribution_only: false,
            check_signature: settings.check_signature,
        };
        add(&mut releases, &release.name, suite);
    }
    releases
}

async fn from_apt(
    settings: &DebianSettings,
    paths: &AptPaths,
    keyring: &Path,
    fetcher: &Fetcher,
) -> Result<Vec<ReleasePlan>, IndexError> {
    let AptSources { sources, mut notes } = parse_folder(&paths.folder).map_err(|error| {
        IndexError::Content { url: error.path.display().to_string(), reason: error.reason }
    })?;
    let codename = match settings.releases.is_empty() {
        true => Some(codename(paths)?),
        false => None,
    };
    let mut releases = Vec::new();
    for source in &sources {
        if !has_wanted(settings, source) {
            continue;
        }
        let mut bases = None;
        for suite in &source.suites {
            let release = match &codename {
                Some(codename) if is_of(suite, codename) => codename,
                None if settings.releases.iter().any(|release| release.name == *suite) => suite,
                _ => continue,
            };
            let components = match suite.ends_with('/') {
                true => Vec::new(),
                false => components_of(settings, &source.components),
            };
            if components.is_empty() != suite.ends_with('/') {
                continue;
            }
            if bases.is_none() {
                match mirrors_of(&source.place, &settings.architectures, fetcher).await {
                    Ok(urls) => bases = Some(urls.iter().map(|url| base_url(url)).collect()),
                    Err(note) => {
                        notes.push(note);
                        break;
                    }
                }
            }
            let bases: Vec<String> = bases.clone().expect("it was made above");
            let signed_by = match (&settings.keyring, &source.signed_by) {
                (None, Some(signed_by)) => signed_by.clone(),
                _ => SignedBy::Files(vec![keyring.to_owned()]),
            };
            let named = settings.releases.iter().filter(|release| release.name == *suite);
            let mut pin = named.map(|release| release.pin);
            let suite = SuitePlan {
                bases,
                suite: suite.clone(),
                components,
                signed_by,
                check_valid_until: settings.check_valid_until && source.check_valid_until,
                pin: pin.next().flatten(),
                of_distribution_only: codename.is_some(),
                check_signature: settings.check_signature && !source.trusted,
            };
            add(&mut releases, release, suite);
        }
    }
    for note in &notes {
        tracing::info!(target: "rebuilder", profile = settings.profile, "apt's sources: {note}");
    }
    let wanted = codename.iter().chain(settings.releases.iter().map(|release| &release.name));
    expect_all(wanted, &releases, &notes, &paths.folder)?;
    Ok(releases)
}

/// Refuses what apt is not configured for, with what it is configured for and cannot be followed.
fn expect_all<'a>(
    wanted: impl Iterator<Item = &'a String>,
    releases: &[ReleasePlan],
    notes: &[String],
    folder: &Path,
) -> Result<(), IndexError> {
    for name in wanted {
        if releases.iter().any(|release| release.name == *name) {
            continue;
        }
        let mut reason = format!("apt is not configured for suite {name} with these components");
        if !notes.is_empty() {
            let notes = notes.join("; ");
            reason = format!("{reason} in a way that can be followed: {notes}");
        }
        return Err(IndexError::Refused { url: folder.display().to_string(), reason });
    }
    Ok(())
}

/// Whether apt takes anything from a source that the profile follows.
fn has_wanted(settings: &DebianSettings, source: &AptSource) -> bool {
    let is_taken = |wanted: &String| wanted == "all" || source.architectures.contains(wanted);
    source.architectures.is_empty() || settings.architectures.iter().any(is_taken)
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
