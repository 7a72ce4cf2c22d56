use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use rebuilder_actors::port::{
    BoxFuture, Group, IndexError, IndexRead, IndexReader, IndexState, ReleaseState, UtcMillis,
};
use rebuilder_actors::protocol::{Archive, Sha256};

use super::cache::{Cache, Remembered};
use super::download::{LocalIndex, index_file, refused};
use super::group::{Grouping, LoadedSuite};
use super::keyring::Keyring;
use super::packages::{Binaries, Wanted, too_many};
use super::plan::{ReleasePlan, SuitePlan, plan};
use super::release::{ReleaseFile, shown};
use super::settings::{AptPaths, DebianSettings};
use super::sources::Sources;
use super::verify::{Signed, unverified_text, verified_text};
use crate::fetch::{FetchError, Fetched, Fetcher, Validator};

/// Reads the indexes of Debian for one profile.
#[derive(Clone, Debug)]
pub struct DebianReader {
    settings: DebianSettings,
    fetcher: Fetcher,
    cache: Cache,
    apt: AptPaths,
}

impl DebianReader {
    /// A reader for one profile. `cache` is a folder for fetched indexes that profiles may share;
    /// it may be emptied at any time.
    pub fn new(settings: DebianSettings, fetcher: Fetcher, cache: &Path, apt: AptPaths) -> Self {
        let cache = Cache::new(cache, &settings.profile);
        Self { settings, fetcher, cache, apt }
    }

    async fn read_all(
        &self,
        since: Option<&IndexState>,
        now: UtcMillis,
        sink: &mut (dyn FnMut(Group) + Send),
    ) -> Result<IndexRead, IndexError> {
        let releases = plan(&self.settings, &self.apt)?;
        if releases.is_empty() {
            return Err(IndexError::Refused {
                url: self.settings.source.clone(),
                reason: format!("profile {} names no releases", self.settings.profile),
            });
        }
        self.cache.create()?;
        let settings = digest(&self.settings, &releases);
        let suites = releases.iter().flat_map(|release| &release.suites);
        let mut fetched = Vec::new();
        for suite in suites {
            fetched.push(self.fetch_release(suite).await?);
        }
        let names = names(&releases);
        if since.is_some_and(|since| is_same(since, settings, &names, &fetched)) {
            for suite in &fetched {
                let text = unverified_text(&suite.bytes, &suite.url)?;
                ReleaseFile::parse(&text, &suite.url)?.check_expiry(&suite.url, now)?;
            }
            return Ok(IndexRead::Unchanged);
        }
        let mut state = IndexState { releases: Vec::new(), settings };
        let mut used = BTreeSet::new();
        let (mut counted, mut followed) = (Vec::new(), 0);
        let mut rest = fetched.iter().zip(&names);
        for release in &releases {
            let mut loaded = Vec::new();
            for (suite, (fetched, name)) in release.suites.iter().zip(rest.by_ref()) {
                let before =
                    since.and_then(|since| since.releases.iter().find(|r| r.name == *name));
                let file = self.release_file(suite, fetched, before, now).await?;
                state.releases.push(ReleaseState {
                    name: name.clone(),
                    sha256: fetched.sha256,
                    date: file.date,
                });
                if is_foreign(suite, &file, &self.settings.distribution) {
                    counted.push(BTreeMap::new());
                    continue;
                }
                let (suite, packages) =
                    self.load(suite, fetched, &file, release.suites.len() > 1, &mut used).await?;
                if before.is_some() {
                    self.guard(fetched, &packages)?;
                }
                loaded.push(suite);
                counted.push(packages);
            }
            self.emit(release, &loaded, &mut |group| {
                followed += group.artifacts.len();
                sink(group);
            })?;
            if followed > self.settings.packages_max {
                return Err(too_many(&self.settings.source, self.settings.packages_max));
            }
        }
        for (suite, packages) in fetched.iter().zip(counted) {
            let remembered = Remembered { validator: suite.validator.clone(), packages };
            self.cache.keep_release(&suite.url, &suite.bytes, &remembered)?;
        }
        let urls: Vec<_> = fetched.into_iter().map(|suite| suite.url).collect();
        self.cache.evict(&used, &urls);
        Ok(IndexRead::Changed(state))
    }

    async fn fetch_release(&self, suite: &SuitePlan) -> Result<FetchedRelease, IndexError> {
        let folder = suite.folder();
        let url = format!("{folder}/InRelease");
        let cached = self.cache.release(&url);
        let since = cached.as_ref().map(|(_, remembered)| &remembered.validator);
        let since = since.filter(|validator| **validator != Validator::default());
        let fetched = match self.fetcher.get_if_changed(&url, since, RELEASE_BYTES_MAX).await {
            Ok(Fetched::Unchanged) => {
                let (bytes, remembered) = cached.expect("a validator came from the cache");
                (bytes, remembered.validator)
            }
            Ok(Fetched::Changed(bytes, validator)) => (bytes, validator),
            Err(FetchError::NotFound { .. }) => return self.fetch_detached(&folder).await,
            Err(error) => return Err(refused(error)),
        };
        let (bytes, validator) = fetched;
        Ok(FetchedRelease { url, sha256: Sha256::of(&bytes), bytes, signature: None, validator })
    }

    /// `Release` and `Release.gpg`, of archives without `InRelease`.
    async fn fetch_detached(&self, folder: &str) -> Result<FetchedRelease, IndexError> {
        let url = format!("{folder}/Release");
        let bytes = self.fetcher.get(&url, RELEASE_BYTES_MAX).await.map_err(refused)?;
        let signature = if self.settings.check_signature {
            let url = format!("{url}.gpg");
            Some(self.fetcher.get(&url, RELEASE_BYTES_MAX).await.map_err(refused)?)
        } else {
            None
        };
        let validator = Validator::default();
        Ok(FetchedRelease { url, sha256: Sha256::of(&bytes), bytes, signature, validator })
    }

    /// The release's signed content, checked against everything that is known before.
    async fn release_file(
        &self,
        suite: &SuitePlan,
        fetched: &FetchedRelease,
        before: Option<&ReleaseState>,
        now: UtcMillis,
    ) -> Result<ReleaseFile, IndexError> {
        let url = &fetched.url;
        let text = if self.settings.check_signature {
            let keyring = Keyring::open(&suite.signed_by, url)?;
            let signed = match &fetched.signature {
                None => Signed::Inline(&fetched.bytes),
                Some(signature) => Signed::Detached { text: &fetched.bytes, signature },
            };
            verified_text(&signed, url, &keyring.path).await?
        } else {
            tracing::warn!(profile = self.settings.profile, %url, "the signature is not checked");
            unverified_text(&fetched.bytes, url)?.into_owned()
        };
        let file = ReleaseFile::parse(&text, url)?;
        file.check(url, &suite.suite, now)?;
        let Some(before) = before else { return Ok(file) };
        let refused = |reason| Err(IndexError::Refused { url: url.clone(), reason });
        if file.date < before.date {
            let dates = format!("{} is older than {}", shown(file.date), shown(before.date));
            return refused(format!("its Date {dates}, which was read before"));
        }
        let is_other = file.date == before.date && fetched.sha256 != before.sha256;
        if is_other && !self.was_signed_again(url, before, &file) {
            return refused("its Date is that of an index with other content".to_owned());
        }
        Ok(file)
    }

    /// A second signature on the same content changes the file, not what it says.
    fn was_signed_again(&self, url: &str, before: &ReleaseState, file: &ReleaseFile) -> bool {
        let Some((bytes, _)) = self.cache.release(url) else { return false };
        Sha256::of(&bytes) == before.sha256
            && unverified_text(&bytes, url)
                .and_then(|text| ReleaseFile::parse(&text, url))
                .is_ok_and(|before| before == *file)
    }

    /// Fetches and reads all files of a suite; the packages of each are counted.
    async fn load(
        &self,
        suite: &SuitePlan,
        fetched: &FetchedRelease,
        release: &ReleaseFile,
        is_merged: bool,
        used: &mut BTreeSet<PathBuf>,
    ) -> Result<(LoadedSuite, BTreeMap<String, u64>), IndexError> {
        let wanted = Wanted {
            architectures: self.settings.architectures.clone(),
            maintainers: self.settings.filter.reads_maintainers(),
            packages_max: self.settings.packages_max,
        };
        let mut binaries = Vec::new();
        let mut sources = Vec::new();
        for component in self.components(suite, fetched, release, is_merged)? {
            for architecture in self.folders(fetched, release)? {
                let path = format!("{component}/binary-{architecture}/Packages");
                let Some(index) = self.index(suite, release, &path, used).await? else { continue };
                let wanted = wanted.clone();
                let task = tokio::task::spawn_blocking(move || {
                    Binaries::read(&mut *open(&index)?, &index.url, &wanted)
                });
                binaries.push((path, component.to_owned(), task));
            }
            if component.ends_with("/debian-installer") {
                continue;
            }
            let path = format!("{component}/source/Sources");
            let Some(index) = self.index(suite, release, &path, used).await? else { continue };
            let wanted = wanted.clone();
            let task = tokio::task::spawn_blocking(move || {
                Sources::read(&mut *open(&index)?, &index.url, &wanted)
            });
            sources.push((path, task));
        }
        let mut packages = BTreeMap::new();
        let mut loaded = LoadedSuite {
            base: suite.base.clone(),
            inrelease: fetched.sha256,
            binaries: Vec::new(),
            sources: Vec::new(),
        };
        for (path, component, task) in binaries {
            let table = task.await.map_err(|error| panicked(&path, &error))??;
            packages.insert(path, table.stanzas);
            loaded.binaries.push((component, table));
        }
        for (path, task) in sources {
            let table = task.await.map_err(|error| panicked(&path, &error))??;
            packages.insert(path, table.stanzas);
            loaded.sources.push(table);
        }
        Ok((loaded, packages))
    }

    async fn index(
        &self,
        suite: &SuitePlan,
        release: &ReleaseFile,
        path: &str,
        used: &mut BTreeSet<PathBuf>,
    ) -> Result<Option<LocalIndex>, IndexError> {
        let index = index_file(&self.fetcher, &self.cache, &suite.folder(), release, path).await?;
        used.extend(index.as_ref().map(|index| index.path.clone()));
        Ok(index)
    }

    /// The components to read; one that the release does not have is an error, unless the release
    /// is one of several that are merged.
    fn components<'a>(
        &self,
        suite: &'a SuitePlan,
        fetched: &FetchedRelease,
        release: &ReleaseFile,
        is_merged: bool,
    ) -> Result<Vec<&'a str>, IndexError> {
        let mut components = Vec::new();
        for component in &suite.components {
            if release.has_component(component) {
                components.push(component.as_str());
            } else if !is_merged {
                return Err(IndexError::Content {
                    url: fetched.url.clone(),
                    reason: format!(
                        "no component {component}: it has {}",
                        release.components.join(", ")
                    ),
                });
            }
        }
        Ok(components)
    }

    /// The architectures whose files are read: that of `all` only where the others do not have
    /// its packages already, or nothing else is followed.
    fn folders(
        &self,
        fetched: &FetchedRelease,
        release: &ReleaseFile,
    ) -> Result<Vec<&str>, IndexError> {
        let mut folders: Vec<_> = self.settings.architectures.iter().map(String::as_str).collect();
        if release.all_is_within && folders.len() > 1 {
            folders.retain(|architecture| *architecture != "all");
        }
        let is_unknown = |name: &&&str| {
            **name != "all"
                && !release.architectures.is_empty()
                && !release.architectures.iter().any(|known| known == **name)
        };
        if let Some(unknown) = folders.iter().find(is_unknown) {
            let known = release.architectures.join(", ");
            return Err(IndexError::Content {
                url: fetched.url.clone(),
                reason: format!("no architecture {unknown}: it has {known}"),
            });
        }
        Ok(folders)
    }

    /// Refuses files that lost more packages than allowed since they were last read.
    fn guard(
        &self,
        fetched: &FetchedRelease,
        packages: &BTreeMap<String, u64>,
    ) -> Result<(), IndexError> {
        let Some((_, remembered)) = self.cache.release(&fetched.url) else { return Ok(()) };
        // A file that is no longer listed has lost everything; one that is no longer followed
        // has not.
        let is_followed =
            |path: &&String| packages.contains_key(*path) || !self.settings_dropped(path);
        let before: u64 =
            remembered.packages.iter().filter(|(path, _)| is_followed(path)).map(|(_, n)| n).sum();
        let now: u64 = remembered
            .packages
            .keys()
            .filter(is_followed)
            .map(|path| packages.get(path).copied().unwrap_or(0))
            .sum();
        let guard = u64::from(self.settings.shrink_guard);
        if before.saturating_sub(now) * 100 <= before * guard {
            return Ok(());
        }
        Err(IndexError::Refused {
            url: fetched.url.clone(),
            reason: format!(
                "it lost {} of {before} packages, more than {guard} %: if that is right, raise \
                 shrink_guard or remove {}",
                before - now,
                self.cache.release_path(&fetched.url, "json").display()
            ),
        })
    }

    /// Whether the profile no longer asks for the file at `path`.
    fn settings_dropped(&self, path: &str) -> bool {
        let Some((component, kind)) =
            path.rsplit_once('/').and_then(|(folder, _)| folder.rsplit_once('/'))
        else {
            return true;
        };
        let has_component = self.settings.components.is_empty()
            || self.settings.components.iter().any(|known| known == component);
        let has_kind = kind == "source"
            || kind.strip_prefix("binary-").is_some_and(|architecture| {
                self.settings.architectures.iter().any(|known| known == architecture)
            });
        !(has_component && has_kind)
    }

    fn emit(
        &self,
        release: &ReleasePlan,
        suites: &[LoadedSuite],
        sink: &mut (dyn FnMut(Group) + Send),
    ) -> Result<(), IndexError> {
        let mut archives: Vec<_> = release.suites.iter().map(SuitePlan::archive).collect();
        archives.extend(self.settings.archives.iter().cloned());
        archives.extend(
            self.settings
                .snapshots
                .iter()
                .map(|url| Archive::Snapshot { url: url.as_str().into() }),
        );
        Grouping {
            settings: &self.settings,
            release: &release.name,
            suites,
            archives: Arc::new(archives),
        }
        .emit(sink)
    }
}

impl IndexReader for DebianReader {
    fn read<'a>(
        &'a self,
        since: Option<&'a IndexState>,
        now: UtcMillis,
        sink: &'a mut (dyn FnMut(Group) + Send),
    ) -> BoxFuture<'a, Result<IndexRead, IndexError>> {
        Box::pin(self.read_all(since, now, sink))
    }
}

/// A signed index, not yet checked.
struct FetchedRelease {
    url: String,
    sha256: Sha256,
    bytes: Bytes,
    /// `None`: within `bytes`, or not looked at.
    signature: Option<Bytes>,
    validator: Validator,
}

/// How the state names each suite: by its name, with the archive where that does not tell.
fn names(releases: &[ReleasePlan]) -> Vec<String> {
    let suites: Vec<_> = releases.iter().flat_map(|release| &release.suites).collect();
    let name = |suite: &&SuitePlan| {
        let same = suites.iter().filter(|other| other.suite == suite.suite).count();
        if same == 1 { suite.suite.clone() } else { format!("{} {}", suite.suite, suite.base) }
    };
    suites.iter().map(name).collect()
}

fn is_same(
    since: &IndexState,
    settings: Sha256,
    names: &[String],
    fetched: &[FetchedRelease],
) -> bool {
    since.settings == settings
        && since.releases.len() == fetched.len()
        && since
            .releases
            .iter()
            .zip(names.iter().zip(fetched))
            .all(|(before, (name, now))| before.name == *name && before.sha256 == now.sha256)
}

fn is_foreign(suite: &SuitePlan, file: &ReleaseFile, distribution: &str) -> bool {
    let origin = file.origin.as_deref();
    let foreign = suite.of_distribution_only
        && origin.is_some_and(|origin| !origin.eq_ignore_ascii_case(distribution));
    if foreign {
        tracing::info!(suite = suite.suite, base = suite.base, "not of {distribution}: left out");
    }
    foreign
}

/// Digest of everything that shapes the result; the number changes when the reader's rules do.
fn digest(settings: &DebianSettings, releases: &[ReleasePlan]) -> Sha256 {
    Sha256::of(format!("debian 1 {settings:?} {releases:?}").as_bytes())
}

fn open(index: &LocalIndex) -> Result<Box<dyn std::io::Read>, IndexError> {
    index
        .open()
        .map_err(|error| IndexError::Content { url: index.url.clone(), reason: error.to_string() })
}

fn panicked(path: &str, error: &tokio::task::JoinError) -> IndexError {
    IndexError::Content { url: path.to_owned(), reason: format!("the reader stopped: {error}") }
}

/// Largest `InRelease`: some twenty times Debian's.
const RELEASE_BYTES_MAX: u64 = 4 << 20;
