//! The signed file of a suite, checked, and whether what it vouches for was read before: archives
//! sign theirs again every few hours, most of the time for other suites or for the date alone.

use core::fmt::Write as _;
use std::collections::BTreeMap;
use std::path::PathBuf;

use rebuilder_actors::port::{IndexError, Unread};
use rebuilder_actors::protocol::{IndexState, Sha256, UtcMillis, Waived};

use super::cache::{Cache, Remembered};
use super::fetched::{FetchedRelease, is_foreign};
use super::plan::{ReleasePlan, SuitePlan};
use super::reader::DebianReader;
use super::release::{IndexFile, ReleaseFile};
use crate::index::Environment;
use crate::packing::PACKINGS;

/// A suite of which it is known what is to be read.
pub(super) struct Checked {
    pub(super) file: ReleaseFile,
    pub(super) waived: Waived,
    /// `None`: it is another distribution's, and nothing of it is read.
    pub(super) paths: Option<Vec<IndexPaths>>,
    /// Of all that its groups follow from, but for the settings and the digest of the signed file.
    pub(super) content: Sha256,
}

/// The files of one component, by their paths below the release's folder.
pub(super) struct IndexPaths {
    /// Empty in a flat repository.
    pub(super) component: String,
    pub(super) packages: Vec<String>,
    /// `None`: a component without sources of its own.
    pub(super) sources: Option<String>,
}

/// What a suite has.
#[derive(Default)]
pub(super) struct Counted {
    /// Stanzas of each file that was read, by its path.
    pub(super) packages: BTreeMap<String, u64>,
    pub(super) unread: Unread,
    /// What its groups follow from; `None`: an earlier release remembered it, without.
    pub(super) content: Option<Sha256>,
    /// Artifacts of the release that it is in, told with its first suite alone.
    pub(super) artifacts: usize,
}

impl DebianReader {
    /// Checks every suite of a release, of which `fetched` are the signed files and `names` the
    /// names in `since`.
    pub(super) async fn checked(
        &self,
        release: &ReleasePlan,
        (fetched, names): (&[FetchedRelease], &[String]),
        since: Option<&IndexState>,
        now: UtcMillis,
    ) -> Result<Vec<Checked>, IndexError> {
        let is_merged = release.suites.len() > 1;
        let mut all = Vec::new();
        for (suite, (fetched, name)) in release.suites.iter().zip(fetched.iter().zip(names)) {
            let before = since.and_then(|since| since.releases.iter().find(|r| r.name == *name));
            let (file, waived) = self.release_file(suite, fetched, before, now).await?;
            let paths = match is_foreign(suite, &file, &self.settings.distribution) {
                true => None,
                false => Some(self.paths(suite, fetched, &file, is_merged)?),
            };
            let content = content(suite, &file, waived, paths.as_deref());
            all.push(Checked { file, waived, paths, content });
        }
        Ok(all)
    }

    /// What is remembered of each suite of a release of which everything was read before, with
    /// these settings; `None`: something of it is new.
    pub(super) fn as_before(
        &self,
        since: Option<&IndexState>,
        settings: Sha256,
        (fetched, names): (&[FetchedRelease], &[String]),
        checked: &[Checked],
    ) -> Option<Vec<Remembered>> {
        // What is recorded on this machine may have changed, whatever the index says.
        if matches!(self.settings.environment, Environment::RecordedOrSuite { .. }) {
            return None;
        }
        let since = since.filter(|since| since.settings == settings)?;
        let suites = fetched.iter().zip(names).zip(checked);
        suites
            .map(|((fetched, name), checked)| {
                let before = since.releases.iter().find(|release| release.name == *name)?;
                let (bytes, remembered) = self.cache.release(&fetched.url)?;
                let is_it = Sha256::of(&bytes) == before.sha256
                    && remembered.content == Some(checked.content);
                is_it.then_some(remembered)
            })
            .collect()
    }
}

impl From<Remembered> for Counted {
    fn from(remembered: Remembered) -> Self {
        let Remembered { packages, unread, content, artifacts, .. } = remembered;
        Self { packages, unread, content, artifacts }
    }
}

impl Checked {
    /// Where the cache has what of this suite it may have.
    pub(super) fn cached<'a>(&'a self, cache: &'a Cache) -> impl Iterator<Item = PathBuf> + 'a {
        let paths = self.paths.iter().flatten();
        let files = paths.flat_map(|paths| files(paths, &self.file));
        files.map(|(_, file)| cache.file(file.digest))
    }
}

/// Every form of every file that these name and the release lists.
fn files<'a>(
    paths: &'a IndexPaths,
    release: &'a ReleaseFile,
) -> impl Iterator<Item = (String, &'a IndexFile)> {
    let paths = paths.packages.iter().chain(&paths.sources);
    let packed = paths.flat_map(|path| PACKINGS.map(|p| format!("{path}{}", p.suffix())));
    packed.filter_map(|path| release.files.get(&path).map(|file| (path, file)))
}

fn content(
    suite: &SuitePlan,
    file: &ReleaseFile,
    waived: Waived,
    paths: Option<&[IndexPaths]>,
) -> Sha256 {
    let mut text = format!("{} {} {waived:?}\n", suite.base(), suite.check_signature);
    for (paths, component) in paths.iter().copied().flatten().map(|paths| (paths, &paths.component))
    {
        for (path, IndexFile { size, digest }) in files(paths, file) {
            let _ = writeln!(text, "{component} {path} {size} {digest}");
        }
    }
    Sha256::of(text.as_bytes())
}
