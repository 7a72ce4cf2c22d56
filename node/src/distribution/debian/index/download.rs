use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use rebuilder_actors::port::IndexError;
use rebuilder_actors::protocol::{RemoteFile, Sha256, Sha512};

use super::cache::Cache;
use super::release::{IndexDigest, IndexFile, ReleaseFile};
use crate::fetch::{FetchError, Fetcher};
use crate::packing::{PACKINGS, Packing};

/// An index file on this machine that is what the release says.
#[derive(Clone, Debug)]
pub(super) struct LocalIndex {
    pub(super) path: PathBuf,
    /// Where it was published, for messages.
    pub(super) url: String,
    packing: Packing,
    /// Bytes that it has unpacked, at most.
    bytes_max: u64,
}

/// Gets the index `path` (`main/source/Sources`) of the release, which has a folder at each of its
/// mirrors, in the best packing
/// that the release lists and the archive has. `None`: the release does not list it.
pub(super) async fn index_file(
    fetcher: &Fetcher,
    cache: &Cache,
    folders: &[String],
    release: &ReleaseFile,
    path: &str,
) -> Result<Option<LocalIndex>, IndexError> {
    let mut last = None;
    for folder in folders {
        match from_mirror(fetcher, cache, folder, release, path).await {
            // The next mirror may have it, or answer.
            Err(error @ IndexError::Fetch { .. }) => last = last.or(Some(error)),
            Err(error) => last = Some(error),
            found => return found,
        }
    }
    Err(last.expect("a suite has a mirror"))
}

async fn from_mirror(
    fetcher: &Fetcher,
    cache: &Cache,
    folder: &str,
    release: &ReleaseFile,
    path: &str,
) -> Result<Option<LocalIndex>, IndexError> {
    let mut last = None;
    let plain = release.files.get(path);
    for packing in PACKINGS {
        let packed = format!("{path}{}", packing.suffix());
        let Some(file) = release.files.get(&packed) else { continue };
        let url = format!("{folder}/{packed}");
        match fetch(fetcher, cache, release.by_hash, &url, file).await {
            Ok(path) => {
                let bytes_max = plain.map_or_else(|| unlisted_max(file.size), |plain| plain.size);
                if bytes_max > UNPACKED_BYTES_MAX {
                    let reason = format!("more than {UNPACKED_BYTES_MAX} bytes");
                    return Err(IndexError::Content { url, reason });
                }
                return Ok(Some(LocalIndex { path, url, packing, bytes_max }));
            }
            // A mirror in the middle of an update may have another packing whole.
            Err(error @ (FetchError::NotFound { .. } | FetchError::Mismatch { .. })) => {
                keep_worse(&mut last, error);
            }
            Err(error) => return Err(refused(error)),
        }
    }
    last.map_or(Ok(None), |error| Err(refused(error)))
}

async fn fetch(
    fetcher: &Fetcher,
    cache: &Cache,
    by_hash: bool,
    url: &str,
    file: &IndexFile,
) -> Result<PathBuf, FetchError> {
    let to = cache.file(file.digest);
    if is_whole(&to, file).await {
        return Ok(to);
    }
    let (folder, _) = url.rsplit_once('/').expect("made with a slash by the caller");
    let named = format!("{folder}/by-hash/{}/{}", file.digest.kind(), file.digest);
    let sha256 = match file.digest {
        IndexDigest::Sha256(digest) => Some(digest),
        IndexDigest::Sha512(_) => None,
    };
    let places = by_hash.then_some(named.as_str()).into_iter().chain([url]);
    let mut last = None;
    for place in places {
        let remote = RemoteFile { url: place.into(), size: Some(file.size), sha256 };
        match fetcher.to_file(&remote, PACKED_BYTES_MAX, &to).await {
            Ok(_) if sha256.is_some() || is_whole(&to, file).await => return Ok(to),
            // The fetcher checks no other digest: what was fetched is none of this release.
            Ok(_) => {
                let _unneeded = std::fs::remove_file(&to);
                let (expected, found) = (format!("{}", file.digest), "another".to_owned());
                keep_worse(&mut last, FetchError::Mismatch { url: place.into(), expected, found });
            }
            // The other place may still have the right one.
            Err(error @ (FetchError::NotFound { .. } | FetchError::Mismatch { .. })) => {
                keep_worse(&mut last, error);
            }
            Err(error) => return Err(error),
        }
    }
    Err(last.expect("the plain name was tried"))
}

/// Bytes that an index may unpack to whose unpacked form the release does not list.
fn unlisted_max(packed: u64) -> u64 {
    packed.saturating_mul(UNLISTED_RATIO_MAX).clamp(UNLISTED_BYTES_MIN, UNPACKED_BYTES_MAX)
}

/// What is wrong tells more than what is missing.
fn keep_worse(last: &mut Option<FetchError>, error: FetchError) {
    if !matches!(last, Some(FetchError::Mismatch { .. })) {
        *last = Some(error);
    }
}

async fn is_whole(path: &Path, file: &IndexFile) -> bool {
    let (path, file) = (path.to_owned(), *file);
    let check = tokio::task::spawn_blocking(move || {
        let input = std::fs::File::open(&path).ok()?;
        if input.metadata().ok()?.len() != file.size {
            return None;
        }
        Some(match file.digest {
            IndexDigest::Sha256(digest) => {
                Sha256(hash::<sha2::Sha256>(input).ok()?.into()) == digest
            }
            IndexDigest::Sha512(digest) => {
                Sha512(hash::<sha2::Sha512>(input).ok()?.into()) == digest
            }
        })
    });
    check.await.ok().flatten().unwrap_or(false)
}

fn hash<H: sha2::Digest>(mut input: impl Read) -> std::io::Result<sha2::digest::Output<H>> {
    let (mut hasher, mut buffer) = (H::new(), vec![0; BUFFER_BYTES]);
    loop {
        match input.read(&mut buffer)? {
            0 => return Ok(hasher.finalize()),
            n => hasher.update(&buffer[..n]),
        }
    }
}

impl LocalIndex {
    /// The content, unpacked while it is read; an error where it has more bytes than announced.
    pub(super) fn open(&self) -> std::io::Result<Box<dyn Read>> {
        let file = BufReader::with_capacity(BUFFER_BYTES, std::fs::File::open(&self.path)?);
        let unpacked = self.packing.unpack(file)?;
        Ok(Box::new(Bounded { inner: unpacked, left: self.bytes_max }))
    }
}

/// Fails where a plain `take` would cut off silently.
struct Bounded {
    inner: Box<dyn Read>,
    left: u64,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(n as u64)
            .ok_or_else(|| std::io::Error::other("it unpacks to more bytes than announced"))?;
        Ok(n)
    }
}

/// A failed fetch as a failed read.
pub(super) fn refused(error: FetchError) -> IndexError {
    match error {
        FetchError::NotFound { url, status } => {
            let said = status.map(|status| format!(" (the server answered {status})"));
            IndexError::Fetch {
                url,
                reason: format!("it is not there{}", said.unwrap_or_default()),
            }
        }
        FetchError::Unavailable { url, reason } => IndexError::Fetch { url, reason },
        FetchError::Io { path, reason, .. } => {
            IndexError::Fetch { url: path.display().to_string(), reason }
        }
        FetchError::Mismatch { url, expected, found } => IndexError::Content {
            url,
            reason: format!("the release names {expected}, found {found}"),
        },
        FetchError::TooLarge { url, bytes_max } => {
            IndexError::Content { url, reason: format!("larger than {bytes_max} bytes") }
        }
    }
}

/// Largest index file as published: ten times Debian's.
const PACKED_BYTES_MAX: u64 = 512 << 20;
/// Largest index file unpacked.
const UNPACKED_BYTES_MAX: u64 = 1 << 30;
/// How often an index may be as large as its packed form: five times what `xz -9` reaches on the
/// most regular ones (long lists of debug packages). One made to fill memory has thousands.
const UNLISTED_RATIO_MAX: u64 = 100;
/// Small indexes pack better than that: a header of the format and repeated lines.
const UNLISTED_BYTES_MIN: u64 = 16 << 20;
/// Bytes read from disk at a time.
const BUFFER_BYTES: usize = 128 * 1024;

#[cfg(test)]
#[path = "download_test.rs"]
mod tests;
