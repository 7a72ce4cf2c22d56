use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rebuilder_actors::port::{
    BoxFuture, Group, IndexError, IndexRead, IndexReader, KeptRelease, Unread,
};
use rebuilder_actors::protocol::{Archive, IndexState, ReleaseState, Sha256, UtcMillis, Waived};

use super::cache::{Cache, Remembered};
use super::checked::{Checked, Counted, IndexPaths};
use super::download::{LocalIndex, index_file};
use super::empty;
use super::fetched::{FetchedRelease, digest, is_same, names};
use super::group::{Grouping, LoadedSuite};
use super::packages::{Binaries, Skipped, Wanted, too_many};
use super::plan::{ReleasePlan, SuitePlan, plan};
use super::release::ReleaseFile;
use super::settings::{AptPaths, DebianSettings};
use super::sources::Sources;
use super::unread::{self, Kind, add};
use super::verify::unverified_text;
use crate::fetch::Fetcher;

/// Reads the indexes of Debian for one profile.
#[derive(Clone, Debug)]
pub struct DebianReader {
    pub(super) settings: DebianSettings,
    pub(super) fetcher: Fetcher,
    pub(super) cache: Cache,
    apt: AptPaths,
    /// Of the last index that was read.
    unread: Arc<Mutex<Unread>>,
    /// Releases of which the last index that was read says what the one before said.
    kept: Arc<Mutex<Vec<KeptRelease>>>,
}

impl DebianReader {
    /// A reader for one profile. `cache` is a folder for fetched indexes that profiles may share;
    /// it may be emptied at any time.
    pub fn new(settings: DebianSettings, fetcher: Fetcher, cache: &Path, apt: AptPaths) -> Self {
        let cache = Cache::new(cache, &settings.profile);
        let (unread, kept) = (Arc::default(), Arc::default());
        Self { settings, fetcher, cache, apt, unread, kept }
    }

    async fn read_all(
        &self,
        since: Option<&IndexState>,
        now: UtcMillis,
        sink: &mut (dyn FnMut(Group) + Send),
    ) -> Result<IndexRead, IndexError> {
        let mut releases = plan(&self.settings, &self.apt, &self.fetcher).await?;
        if releases.is_empty() {
            return Err(IndexError::Refused {
                url: self.settings.source.clone(),
                reason: format!("profile {} names no releases", self.settings.profile),
            });
        }
        self.cache.create()?;
        let settings = digest(&self.settings, &releases);
        let names = names(&releases);
        let mut fetched = Vec::new();
        for suite in releases.iter_mut().flat_map(|release| &mut release.suites) {
            fetched.push(self.fetch_release(suite).await?);
        }
        if since.is_some_and(|since| is_same(since, settings, &names, &fetched)) {
            self.keep(self.unchanged(&releases, &fetched, now)?);
            self.kept.lock().unwrap_or_else(PoisonError::into_inner).clear();
            return Ok(IndexRead::Unchanged);
        }
        let mut state = IndexState { releases: Vec::new(), settings };
        let mut used = BTreeSet::new();
        let (mut counted, mut kept) = (Vec::<Counted>::new(), Vec::new());
        let mut at = 0;
        for release in &releases {
            let suites = at..at + release.suites.len();
            at = suites.end;
            let of = (&fetched[suites.clone()], &names[suites]);
            let checked = self.checked(release, of, since, now).await?;
            for ((fetched, name), checked) in of.0.iter().zip(of.1).zip(&checked) {
                state.releases.push(ReleaseState {
                    name: name.clone(),
                    sha256: fetched.sha256,
                    date: checked.file.date.unwrap_or(NO_DATE),
                });
            }
            if let Some(known) = self.as_before(since, settings, of, &checked) {
                used.extend(checked.iter().flat_map(|checked| checked.cached(&self.cache)));
                counted.extend(known.into_iter().map(Counted::from));
                kept.push(KeptRelease { name: release.name.as_str().into(), error: None });
            } else {
                let read = self.read_release(release, of, since, checked, (&mut used, sink));
                counted.extend(read.await?);
            }
            let followed: usize = counted.iter().map(|counted| counted.artifacts).sum();
            if followed > self.settings.packages_max {
                return Err(too_many(&self.settings.source, self.settings.packages_max));
            }
        }
        self.remember(fetched, counted, &used)?;
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = kept;
        Ok(IndexRead::Changed(state))
    }

    /// Reads a release of which something is new, and gives its groups to the sink.
    async fn read_release(
        &self,
        release: &ReleasePlan,
        (fetched, names): (&[FetchedRelease], &[String]),
        since: Option<&IndexState>,
        checked: Vec<Checked>,
        (used, sink): (&mut BTreeSet<PathBuf>, &mut (dyn FnMut(Group) + Send)),
    ) -> Result<Vec<Counted>, IndexError> {
        let mut loaded: Vec<LoadedSuite> = Vec::new();
        let mut all = Vec::new();
        let suites = release.suites.iter().zip(fetched.iter().zip(names));
        for ((suite, (fetched, name)), checked) in suites.zip(checked) {
            let Checked { file, waived, paths, content } = checked;
            let content = Some(content);
            let Some(paths) = paths else {
                all.push(Counted { content, ..Counted::default() });
                continue;
            };
            let mut read = self.load(suite, fetched, &file, paths, used).await?;
            read.suite.waived = waived;
            let was_read = since.is_some_and(|s| s.releases.iter().any(|r| r.name == *name));
            let mut unread = self.guarded(release, fetched, &read, was_read)?;
            unread.notes.splice(0..0, unread::waived(&fetched.url, &file, waived));
            loaded.push(read.suite);
            all.push(Counted { packages: read.packages, unread, content, artifacts: 0 });
        }
        unread::settle(&loaded, all.iter_mut().map(|counted| &mut counted.unread));
        let mut followed = 0;
        self.emit(release, &loaded, &mut |group| {
            followed += group.artifacts.len();
            sink(group);
        })?;
        if let Some(first) = all.first_mut() {
            first.artifacts = followed;
        }
        Ok(all)
    }

    /// What is unread of an index whose files are those that were read before.
    fn unchanged(
        &self,
        releases: &[ReleasePlan],
        fetched: &[FetchedRelease],
        now: UtcMillis,
    ) -> Result<Unread, IndexError> {
        let mut unread = Unread::default();
        let suites = releases.iter().flat_map(|release| &release.suites);
        for (plan, suite) in suites.zip(fetched) {
            let text = unverified_text(&suite.bytes, &suite.url)?;
            let file = ReleaseFile::parse(&text, &suite.url)?;
            file.check_expiry(&suite.url, plan.check_valid_until, now)?;
            let remembered = self.cache.release(&suite.url).map(|(_, known)| known.unread);
            add(&mut unread, remembered.unwrap_or_default());
        }
        let known = fetched.iter().filter_map(|suite| self.cache.release(&suite.url));
        unread.notes.extend(empty::known(&self.settings, known.map(|(_, k)| k.packages)));
        Ok(unread)
    }

    /// What is unread of a suite that neither lost too much nor has too much that is unreadable.
    fn guarded(
        &self,
        release: &ReleasePlan,
        fetched: &FetchedRelease,
        read: &ReadSuite,
        was_read_before: bool,
    ) -> Result<Unread, IndexError> {
        if was_read_before {
            self.guard(fetched, &read.packages)?;
        }
        let stanzas = read.packages.values().sum();
        unread::guard(&fetched.url, &read.skipped, stanzas, self.settings.unreadable_guard)?;
        Ok(unread::of(&release.name, &read.skipped))
    }

    /// Keeps what the next read is compared with, and deletes cached files that nothing names.
    fn remember(
        &self,
        fetched: Vec<FetchedRelease>,
        counted: Vec<Counted>,
        used: &BTreeSet<PathBuf>,
    ) -> Result<(), IndexError> {
        let followed = counted.iter().map(|counted| counted.artifacts).sum();
        let empty = empty::whole(&self.settings, counted.iter().map(|c| &c.packages), followed);
        let mut all = Unread::default();
        for (suite, counted) in fetched.iter().zip(counted) {
            add(&mut all, counted.unread.clone());
            let (validator, seen) = (suite.validator.clone(), self.seen(suite));
            let Counted { packages, unread, content, artifacts } = counted;
            let remembered = Remembered { validator, packages, unread, seen, content, artifacts };
            self.cache.keep_release(&suite.url, &suite.bytes, &remembered)?;
        }
        add(&mut all, empty);
        self.keep(all);
        let urls: Vec<_> = fetched.into_iter().map(|suite| suite.url).collect();
        self.cache.evict(used, &urls);
        Ok(())
    }

    fn keep(&self, unread: Unread) {
        // It is replaced as a whole: whole after a panic elsewhere, too.
        *self.unread.lock().unwrap_or_else(PoisonError::into_inner) = unread;
    }

    /// Digests of the indexes from this URL that were used, this one left out.
    fn seen(&self, now: &FetchedRelease) -> Vec<Sha256> {
        let Some((bytes, remembered)) = self.cache.release(&now.url) else { return Vec::new() };
        let mut seen = remembered.seen;
        seen.push(Sha256::of(&bytes));
        seen.retain(|digest| *digest != now.sha256);
        let surplus = seen.len().saturating_sub(SEEN_MAX);
        seen.drain(..surplus);
        seen
    }

    /// Fetches and reads all files of a suite; the packages of each are counted.
    async fn load(
        &self,
        suite: &SuitePlan,
        fetched: &FetchedRelease,
        release: &ReleaseFile,
        paths: Vec<IndexPaths>,
        used: &mut BTreeSet<PathBuf>,
    ) -> Result<ReadSuite, IndexError> {
        let wanted = Wanted {
            architectures: self.settings.architectures.clone(),
            maintainers: self.settings.filter.reads_maintainers(),
            packages_max: self.settings.packages_max,
        };
        let mut binaries = Vec::new();
        let mut sources = Vec::new();
        for IndexPaths { component, packages, sources: path } in paths {
            for path in packages {
                let Some(index) = self.index(suite, release, &path, used).await? else { continue };
                let (wanted, url) = (wanted.clone(), index.url.clone());
                let task = tokio::task::spawn_blocking(move || {
                    Binaries::read(&mut *open(&index)?, &index.url, &wanted)
                });
                binaries.push((path, url, component.clone(), task));
            }
            let Some(path) = path else { continue };
            let Some(index) = self.index(suite, release, &path, used).await? else { continue };
            let (wanted, url) = (wanted.clone(), index.url.clone());
            let task = tokio::task::spawn_blocking(move || {
                Sources::read(&mut *open(&index)?, &index.url, &wanted)
            });
            sources.push((path, url, task));
        }
        let mut read = ReadSuite {
            suite: LoadedSuite {
                base: suite.base().to_owned(),
                inrelease: fetched.sha256,
                is_signed: suite.check_signature,
                waived: Waived::default(),
                binaries: Vec::new(),
                sources: Vec::new(),
            },
            packages: BTreeMap::new(),
            skipped: Vec::new(),
        };
        for (path, url, component, task) in binaries {
            let mut table = task.await.map_err(|error| panicked(&path, &error))??;
            read.packages.insert(path, table.stanzas);
            let skipped = table.unread.drain(..);
            read.skipped.extend(skipped.map(|one| (Kind::Binary, url.clone(), one)));
            read.suite.binaries.push((component, table));
        }
        for (path, url, task) in sources {
            let mut table = task.await.map_err(|error| panicked(&path, &error))??;
            read.packages.insert(path, table.stanzas);
            let skipped = table.unread.drain(..);
            read.skipped.extend(skipped.map(|one| (Kind::Source, url.clone(), one)));
            read.suite.sources.push(table);
        }
        Ok(read)
    }

    async fn index(
        &self,
        suite: &SuitePlan,
        release: &ReleaseFile,
        path: &str,
        used: &mut BTreeSet<PathBuf>,
    ) -> Result<Option<LocalIndex>, IndexError> {
        let folders = suite.folders();
        let index = index_file(&self.fetcher, &self.cache, &folders, release, path).await?;
        used.extend(index.as_ref().map(|index| index.path.clone()));
        Ok(index)
    }

    /// Which files of a suite are read.
    pub(super) fn paths(
        &self,
        suite: &SuitePlan,
        fetched: &FetchedRelease,
        release: &ReleaseFile,
        is_merged: bool,
    ) -> Result<Vec<IndexPaths>, IndexError> {
        if suite.is_flat() {
            // One file has the packages of every architecture.
            let (packages, sources) = (vec!["Packages".to_owned()], Some("Sources".to_owned()));
            return Ok(vec![IndexPaths { component: String::new(), packages, sources }]);
        }
        let architectures = self.folders(fetched, release)?;
        let paths = |component: &str| IndexPaths {
            component: component.to_owned(),
            packages: architectures
                .iter()
                .map(|architecture| format!("{component}/binary-{architecture}/Packages"))
                .collect(),
            sources: (!component.ends_with("/debian-installer"))
                .then(|| format!("{component}/source/Sources")),
        };
        let components = self.components(suite, fetched, release, is_merged)?;
        Ok(components.into_iter().map(paths).collect())
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
                 shrink_guard_percent or remove {}",
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

    fn kept(&self) -> Vec<KeptRelease> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn unread(&self) -> Unread {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A suite as it was read.
struct ReadSuite {
    suite: LoadedSuite,
    /// Stanzas of each file.
    packages: BTreeMap<String, u64>,
    /// Those that could not be read, with the file.
    skipped: Vec<(Kind, String, Skipped)>,
}

fn open(index: &LocalIndex) -> Result<Box<dyn std::io::Read>, IndexError> {
    index
        .open()
        .map_err(|error| IndexError::Content { url: index.url.clone(), reason: error.to_string() })
}

fn panicked(path: &str, error: &tokio::task::JoinError) -> IndexError {
    IndexError::Content { url: path.to_owned(), reason: format!("the reader stopped: {error}") }
}

/// Stands in the state for a release that has no date.
pub(super) const NO_DATE: UtcMillis = UtcMillis(0);
/// Digests of indexes without a date that are remembered: one that comes again after so many others
/// is not noticed.
const SEEN_MAX: usize = 1024;
