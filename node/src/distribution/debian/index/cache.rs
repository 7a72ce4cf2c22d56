use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rebuilder_actors::port::{Doubt, IndexError, Unread};
use rebuilder_actors::protocol::Sha256;
use serde::{Deserialize, Serialize};

use super::release::IndexDigest;
use crate::fetch::Validator;

/// One profile's folder of files that need not be fetched again. It may be removed at any time:
/// everything in it is checked before it is used.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    folder: PathBuf,
}

/// What is remembered of one suite.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Remembered {
    /// Of `InRelease`.
    pub(super) validator: Validator,
    /// Packages in every file that was read, for the guard against sudden loss.
    pub(super) packages: BTreeMap<String, u64>,
    /// What of them could not be read.
    #[serde(default, with = "UnreadFile")]
    pub(super) unread: Unread,
    /// Indexes without a date that were used before this one, the newest last: nothing else tells
    /// that one of them is not news.
    #[serde(default)]
    pub(super) seen: Vec<Sha256>,
    /// What its groups follow from. `None`: it was written by a version that did not keep it.
    #[serde(default)]
    pub(super) content: Option<Sha256>,
    /// Artifacts that were followed of the release that it is in; 0 for all but the first suite.
    #[serde(default)]
    pub(super) artifacts: usize,
}

/// [`Unread`] as it stands in the cache's file.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Unread")]
struct UnreadFile {
    stanzas: u64,
    notes: Vec<String>,
    #[serde(with = "doubts")]
    doubts: Vec<Doubt>,
}

mod doubts {
    use super::Doubt;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    type Parts = (Option<Box<str>>, Option<Box<str>>);

    pub(super) fn serialize<S: Serializer>(of: &[Doubt], into: S) -> Result<S::Ok, S::Error> {
        let parts = of.iter().map(|doubt| (doubt.release.clone(), doubt.package.clone()));
        parts.collect::<Vec<Parts>>().serialize(into)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Doubt>, D::Error> {
        let parts = Vec::<Parts>::deserialize(from)?.into_iter();
        Ok(parts.map(|(release, package)| Doubt { release, package }).collect())
    }
}

impl Cache {
    pub(super) fn new(folder: &Path, profile: &str) -> Self {
        let name = Sha256::of(profile.as_bytes()).to_string();
        Self { folder: folder.join(&name[..16]) }
    }

    pub(super) fn create(&self) -> Result<(), IndexError> {
        std::fs::create_dir_all(&self.folder).map_err(|error| self.fault(&error))
    }

    /// The `InRelease` that was last used from `url`, and what is remembered with it.
    pub(super) fn release(&self, url: &str) -> Option<(Bytes, Remembered)> {
        let bytes = std::fs::read(self.release_path(url, "InRelease")).ok()?;
        let remembered = std::fs::read(self.release_path(url, "json")).ok()?;
        let (digest, remembered): (Sha256, Remembered) =
            serde_json::from_slice(&remembered).ok()?;
        (digest == Sha256::of(&bytes)).then(|| (bytes.into(), remembered))
    }

    pub(super) fn keep_release(
        &self,
        url: &str,
        bytes: &[u8],
        remembered: &Remembered,
    ) -> Result<(), IndexError> {
        let text = serde_json::to_vec(&(Sha256::of(bytes), remembered))
            .expect("a map of texts and numbers has a JSON form");
        self.write(&self.release_path(url, "InRelease"), bytes)?;
        self.write(&self.release_path(url, "json"), &text)
    }

    /// Where the file with this digest belongs.
    pub(super) fn file(&self, digest: IndexDigest) -> PathBuf {
        self.folder.join(digest.to_string())
    }

    /// Removes every file that is not in `used`.
    pub(super) fn evict(&self, used: &BTreeSet<PathBuf>, urls: &[String]) {
        let mut used = used.clone();
        for url in urls {
            used.extend(["InRelease", "json"].map(|kind| self.release_path(url, kind)));
        }
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return };
        for path in entries.flatten().map(|entry| entry.path()) {
            if !used.contains(&path) {
                // A file that stays costs space only, and the next read tries again.
                let _unneeded = std::fs::remove_file(path);
            }
        }
    }

    pub(super) fn release_path(&self, url: &str, kind: &str) -> PathBuf {
        let name = Sha256::of(url.as_bytes()).to_string();
        self.folder.join(format!("{}.{kind}", &name[..32]))
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), IndexError> {
        let write = || {
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            file.write_all(bytes)?;
            file.persist(path).map_err(|error| error.error)?;
            Ok(())
        };
        write().map_err(|error: std::io::Error| self.fault(&error))
    }

    fn fault(&self, error: &std::io::Error) -> IndexError {
        IndexError::Fetch {
            url: self.folder.display().to_string(),
            reason: format!("the cache cannot be written: {error}"),
        }
    }
}
