use std::path::{Path, PathBuf};
use std::time::Duration;

use rebuilder_actors::port::Clock;
use rebuilder_actors::protocol::{FaultKind, RemoteFile, Sha256, UtcMillis};
use tokio::task::JoinSet;

use crate::backend::BuildError;
use crate::distribution::debian::format::names;
use crate::fetch::{Fetcher, local_path, percent_decode};

/// A package that apt wants, as its signed lists name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    url: String,
    /// As apt looks for it among the archives.
    file: String,
    size: u64,
    sha256: Sha256,
}

impl Wanted {
    /// As apt looks for it among the archives.
    pub(super) fn file(&self) -> &str {
        &self.file
    }
}

/// What `apt-get --print-uris` printed, with `Acquire::ForceHash` set. Other lines are left out.
/// The apt of a root may be a package's by then: it could name the worker's own files, or servers
/// that only this machine reaches, were they not held against `urls`, below which the archives are.
///
/// # Errors
/// When a line names a file or digest that is not one, or a place that is not below `urls`.
pub(super) fn wanted(printed: &str, urls: &[String]) -> Result<Vec<Wanted>, BuildError> {
    let wrong = |line: &str| {
        let shown: String = line.chars().take(200).collect();
        let detail = format!("apt names a package oddly, or outside of the archives: {shown}");
        BuildError::fault(FaultKind::InputsUnavailable, detail)
    };
    printed
        .lines()
        .filter(|line| line.starts_with('\''))
        .map(|line| {
            let package = parse_line(line).filter(|package| is_below(&package.url, urls));
            package.ok_or_else(|| wrong(line))
        })
        .collect()
}

/// Whether a URL names something below one of `urls`, in whichever way it is written.
fn is_below(url: &str, urls: &[String]) -> bool {
    let Some(plain) = plain(url) else { return false };
    let climbs = plain.split(|&byte| byte == b'/').any(|segment| segment == b"..");
    let is_below = |above: &String| {
        self::plain(above).is_some_and(|above| {
            plain.strip_prefix(&above[..]).is_some_and(|rest| rest.starts_with(b"/"))
        })
    };
    !climbs && urls.iter().any(is_below)
}

/// A local path as such, another URL percent-decoded; `None` for what is neither.
fn plain(url: &str) -> Option<Vec<u8>> {
    use std::os::unix::ffi::OsStringExt as _;

    let bytes = match local_path(url) {
        Some(path) => path.into_os_string().into_vec(),
        // A `\` is a `/` for those who read URLs as browsers do.
        None => percent_decode(url).filter(|bytes| !bytes.contains(&b'\\'))?,
    };
    Some(bytes.strip_suffix(b"/").map(<[u8]>::to_vec).unwrap_or(bytes))
}

/// `'url' file size SHA256:digest`.
fn parse_line(line: &str) -> Option<Wanted> {
    let (url, rest) = line.strip_prefix('\'')?.split_once('\'')?;
    let mut words = rest.split_ascii_whitespace();
    let file = names::file(words.next()?).ok()?;
    let size = words.next()?.parse().ok()?;
    let sha256 = words.next()?.strip_prefix("SHA256:")?.parse().ok()?;
    // apt was told to copy what lies in local folders.
    let url = match url.strip_prefix("copy:") {
        Some(path) => format!("file:{path}"),
        None => url.to_owned(),
    };
    Some(Wanted { url, file: file.to_owned(), size, sha256 })
}

/// Fetched packages, each under its digest, shared by all attempts. A file gets its name only
/// when it is complete and its digest right, so attempts need no lock among each other.
pub(super) struct PackageCache {
    folder: PathBuf,
    bytes_max: u64,
    fetcher: Fetcher,
}

impl PackageCache {
    /// A cache in `folder`, made when it is absent.
    pub(super) fn open(folder: PathBuf, bytes_max: u64, fetcher: Fetcher) -> std::io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        Ok(Self { folder, bytes_max, fetcher })
    }

    /// Puts all of `wanted` into the folder `into`, fetching what is not here. Answers how many
    /// were fetched and their bytes.
    pub(super) async fn provide(
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
    pub(super) fn prune(&self, clock: &dyn Clock) -> std::io::Result<()> {
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
        self.folder.join(format!("{}.deb", package.sha256))
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

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn lines_of_apt_are_read() {
        let text = format!(
            "Reading lists...\n'http://m.example.org/pool/a_1%3a2_all.deb' a_1%3a2_all.deb 12 \
             SHA256:{DIGEST}\n'copy:/srv/b_1_all.deb' b_1_all.deb 3 SHA256:{DIGEST}\n"
        );
        let urls = ["http://m.example.org".to_owned(), "file:///srv/".to_owned()];
        let all = wanted(&text, &urls).unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].file.as_str(), all[0].size), ("a_1%3a2_all.deb", 12));
        assert_eq!(all[1].url, "file:/srv/b_1_all.deb");
    }

    #[test]
    fn weak_digests_and_odd_names_are_refused() {
        for line in [
            "'http://x/a.deb' a.deb 12 MD5Sum:d04c2e9639dee67aa836d8232b1ca658".to_owned(),
            format!("'http://x/a.deb' ../a.deb 12 SHA256:{DIGEST}"),
            "'http://x/a.deb' a.deb 12".to_owned(),
            "'http://x/a.deb".to_owned(),
        ] {
            assert!(wanted(&line, &["http://x".to_owned()]).is_err(), "{line}");
        }
    }

    #[test]
    fn packages_come_from_the_archives_alone() {
        let urls = ["http://m.example.org/debian".to_owned(), "file:/srv/pool".to_owned()];
        let read = |url: &str| wanted(&format!("'{url}' a.deb 12 SHA256:{DIGEST}"), &urls);
        for url in [
            "http://m.example.org/debian/pool/a%3a1.deb",
            "copy:/srv/pool/./a.deb",
            "copy:///srv/pool/a.deb",
        ] {
            assert!(read(url).is_ok(), "{url}");
        }
        for url in [
            "http://127.0.0.1/a.deb",
            "http://m.example.org/other/a.deb",
            "http://m.example.org/debian-security/a.deb",
            "http://m.example.org/debian/../a.deb",
            "http://m.example.org/debian/%2e%2E/a.deb",
            "http://m.example.org/debian/..\\a.deb",
            "http://m.example.org/debian/%2e./a.deb",
            "http://m.example.org/debian@10.0.0.1/a.deb",
            "http://m.example.org:81/debian/a.deb",
            "file:/etc/shadow",
            "copy:/srv/pool/../worker.key",
            "/srv/other/a.deb",
            "copy:/srv/pool",
        ] {
            assert!(read(url).is_err(), "{url}");
        }
    }
}
