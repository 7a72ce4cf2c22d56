use std::path::{Path, PathBuf};
use std::time::Duration;

use rebuilder_actors::port::Clock;
use rebuilder_actors::protocol::{FaultKind, RemoteFile, Sha256, UtcMillis};
use tokio::task::JoinSet;

use crate::backend::BuildError;
use crate::fetch::Fetcher;

/// A package that an environment needs, as signed lists name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) url: String,
    /// As the package manager looks for it among its files.
    pub(crate) file: String,
    /// In bytes, as the signed index says: another size is another file.
    pub(crate) size: u64,
    pub(crate) sha256: Sha256,
}

/// Fetched packages, each under its digest, shared by all attempts. A file gets its name only
/// when it is complete and its digest right, so attempts need no lock among each other.
pub(crate) struct PackageCache {
    folder: PathBuf,
    /// Of its files' names, without a dot.
    extension: &'static str,
    bytes_max: u64,
    fetcher: Fetcher,
}

impl PackageCache {
    /// A cache in `folder`, made when it is absent.
    pub(crate) fn open(
        folder: PathBuf,
        extension: &'static str,
        bytes_max: u64,
        fetcher: Fetcher,
    ) -> std::io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        Ok(Self { folder, extension, bytes_max, fetcher })
    }

    /// Puts all of `wanted` into the folder `into`, fetching what is not here. Answers how many
    /// were fetched and their bytes.
    pub(crate) async fn provide(
        &self,
        wanted: &[Wanted],
        package_bytes_max: u64,
        into: &Path,
    ) -> Result<(usize, u64), BuildError> {
        let mut fetches = JoinSet::new();
        let mut absent = wanted.iter().filter(|package| !self.has(package));
        let (mut count, mut bytes) = (0, 0);
        loop {
            while fetches.len() < FETCHES_AT_ONCE {
                let Some(package) = absent.next() else { break };
                (count, bytes) = (count + 1, bytes + package.size);
                let file = RemoteFile {
                    url: package.url.as_str().into(),
                    size: Some(package.size),
                    sha256: Some(package.sha256),
                };
                let (fetcher, to) = (self.fetcher.clone(), self.path(package));
                fetches.spawn(async move { fetcher.to_file(&file, package_bytes_max, &to).await });
            }
            match fetches.join_next().await {
                None => break,
                Some(Ok(fetched)) => drop(fetched?),
                Some(Err(error)) => {
                    return Err(BuildError::fault(
                        FaultKind::WorkerFailed,
                        format!("fetch: {error}"),
                    ));
                }
            }
        }
        for package in wanted {
            let (from, to) = (self.path(package), into.join(&package.file));
            link_or_copy(&from, &to).map_err(|error| BuildError::io("put", &to, &error))?;
        }
        Ok((count, bytes))
    }

    /// Deletes the longest unused files beyond the limit. Linked ones stay with their attempts.
    pub(crate) fn prune(&self, clock: &dyn Clock) -> std::io::Result<()> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            let found = entry.metadata()?;
            files.push((found.modified()?, found.len(), entry.path()));
        }
        let mut total: u64 = files.iter().map(|(_, size, _)| size).sum();
        files.sort();
        let UtcMillis(now) = clock.utc();
        for (used_at, size, path) in files {
            if total <= self.bytes_max {
                break;
            }
            // A fetch under way, or a file that another attempt is about to link.
            let age = used_at
                .duration_since(std::time::UNIX_EPOCH)
                .map_or(0, |at| now - i64::try_from(at.as_millis()).unwrap_or(i64::MAX));
            if age > i64::try_from(SPARED.as_millis()).unwrap_or(i64::MAX) {
                std::fs::remove_file(&path)?;
                total -= size;
            }
        }
        Ok(())
    }

    /// Whether it is here; then it counts as used now.
    fn has(&self, package: &Wanted) -> bool {
        let path = self.path(package);
        let is_here = std::fs::metadata(&path).is_ok_and(|found| found.len() == package.size);
        if is_here {
            use nix::sys::stat::{UtimensatFlags, utimensat};
            use nix::sys::time::TimeSpec;
            let now = TimeSpec::UTIME_NOW;
            let flags = UtimensatFlags::NoFollowSymlink;
            let _kept = utimensat(nix::fcntl::AT_FDCWD, &path, &now, &now, flags);
        }
        is_here
    }

    fn path(&self, package: &Wanted) -> PathBuf {
        self.folder.join(format!("{}.{}", package.sha256, self.extension))
    }
}

fn link_or_copy(from: &Path, to: &Path) -> std::io::Result<()> {
    match std::fs::hard_link(from, to) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(_) => std::fs::copy(from, to).map(drop),
        Ok(()) => Ok(()),
    }
}

/// Enough to hide a mirror's latency, few enough to be polite.
const FETCHES_AT_ONCE: usize = 4;

/// Files used less long ago are not pruned.
const SPARED: Duration = Duration::from_secs(3600);
