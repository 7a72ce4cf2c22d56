use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use rebuilder_actors::port::{BlobError, Contents, Source};
use rebuilder_actors::protocol::Sha256;
use sha2::Digest as _;

use super::files::{MAX_READ, Turn, failed, list};
use super::reader::{self, Readers};
use crate::data_dir::DataDir;
use crate::durable;

const LEVEL: i32 = 3;
/// Bytes that are taken from a source at once: each time its file is opened anew.
const PIECE: usize = 512 << 10;
/// Begins the names of contents that are being written, each a name of its own: an owner that
/// failed may still be writing one when the next begins.
const FRESH: &str = "new-";
/// Numbers them in this process; the data directory's lock keeps other processes out.
static FRESH_NUMBER: AtomicU64 = AtomicU64::new(0);

/// The port `Contents` on files: `blobs/ab/cdef…`, compressed with zstd and named by the digest of
/// the uncompressed content. The empty content has no file. Reads return at most [`MAX_READ`]
/// bytes.
#[derive(Debug)]
pub struct FileContents {
    pub(super) folder: PathBuf,
    readers: Readers,
    turn: Turn,
}

impl FileContents {
    /// Opens, and creates if absent, the contents of `dir`. Their owner is the latest one of `dir`,
    /// also for parts: [`open`](super::open) makes one of both.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn open(dir: &DataDir) -> Result<Self, BlobError> {
        Self::of(dir, Turn::next(dir))
    }

    pub(super) fn of(dir: &DataDir, turn: Turn) -> Result<Self, BlobError> {
        let folder = dir.join("blobs");
        durable::make_dir(&folder).map_err(failed("create", &folder))?;
        // A process may have been killed between making a folder for blobs and syncing its name.
        durable::sync_dir(&folder).map_err(failed("sync", &folder))?;
        sweep(&folder)?;
        Ok(Self { folder, readers: Readers::default(), turn })
    }

    /// Where the content `digest` lies.
    pub fn place_of(&self, digest: &Sha256) -> PathBuf {
        let name = digest.to_string();
        let (folder, file) = name.split_at(2);
        self.folder.join(folder).join(file)
    }

    /// Reads all of the content `digest`: its length, or `None` when it is absent or damaged.
    ///
    /// # Errors
    /// The medium failed.
    pub fn whole_length(&self, digest: Sha256) -> Result<Option<u64>, BlobError> {
        if digest == Sha256::of(b"") {
            return Ok(Some(0));
        }
        reader::whole_length(digest, &self.place_of(&digest))
    }

    /// Puts what `source` holds at the name of `digest`, through the file `fresh`.
    fn put_through(
        &self,
        fresh: &Path,
        (digest, length): (Sha256, u64),
        source: &mut dyn Source,
    ) -> Result<(), BlobError> {
        let (found, measured) = compress(source, length, fresh)?;
        if (found, measured) != (digest, length) {
            return Err(mismatch(source, digest, found, measured));
        }
        self.place(fresh, &digest)
    }

    /// Moves the compressed file to its name, durably.
    fn place(&self, fresh: &Path, digest: &Sha256) -> Result<(), BlobError> {
        let path = self.place_of(digest);
        let folder = path.parent().expect("a blob's path has a folder");
        if !folder.exists() {
            durable::make_dir(folder).map_err(failed("create", folder))?;
        }
        fs::rename(fresh, &path).map_err(failed("rename", &path))?;
        durable::sync_dir(folder).map_err(failed("sync", folder))
    }

    /// Makes the name of a blob that is there durable: a process may have been killed, or a sync
    /// have failed, just after it got it.
    fn keep_name(&self, digest: &Sha256) -> Result<(), BlobError> {
        let path = self.place_of(digest);
        let folder = path.parent().expect("a blob's path has a folder");
        if folder.exists() {
            durable::sync_dir(folder).map_err(failed("sync", folder))?;
        }
        Ok(())
    }
}

impl Contents for FileContents {
    fn put(
        &mut self,
        digest: Sha256,
        length: u64,
        source: &mut dyn Source,
    ) -> Result<(), BlobError> {
        let there = if digest == Sha256::of(b"") {
            // The empty content has no file: only what the source holds can contradict it.
            source.read(0, 1)?.is_empty().then_some(0)
        } else {
            // One that is damaged is replaced: its content is here again.
            reader::whole_length(digest, &self.place_of(&digest))?
        };
        if let Some(there) = there {
            self.keep_name(&digest)?;
            let sound = there == length;
            return sound.then_some(()).ok_or_else(|| mismatch(source, digest, digest, there));
        }
        let number = FRESH_NUMBER.fetch_add(1, Ordering::Relaxed);
        let fresh = self.folder.join(format!("{FRESH}{number}"));
        let put = self.put_through(&fresh, (digest, length), source);
        if put.is_err() {
            // What is half written is of no use.
            let _ = fs::remove_file(&fresh);
        }
        put
    }

    fn get(
        &mut self,
        digest: Sha256,
        offset: u64,
        length: usize,
    ) -> Result<Option<Bytes>, BlobError> {
        if digest == Sha256::of(b"") {
            return Ok(Some(Bytes::new()));
        }
        let path = self.place_of(&digest);
        self.readers.read(digest, &path, offset, length.min(MAX_READ))
    }

    fn list(&mut self, after: Option<Sha256>, limit: usize) -> Result<Vec<Sha256>, BlobError> {
        let first = after.map_or(0, |after| after.0[0]);
        let mut found = Vec::new();
        for number in first..=u8::MAX {
            let folder = self.folder.join(format!("{number:02x}"));
            if folder.is_dir() {
                let inside = digests_in(&folder)?.into_iter();
                found.extend(inside.filter(|digest| after.is_none_or(|after| *digest > after)));
            }
            if found.len() >= limit {
                found.truncate(limit);
                break;
            }
        }
        Ok(found)
    }

    fn remove(&mut self, digest: Sha256) -> Result<bool, BlobError> {
        self.readers.forget(&digest);
        self.turn.remove(&self.place_of(&digest))
    }
}

/// Compresses `source` to the file `fresh`, durably if it is as long as announced; tells what it
/// held.
fn compress(
    source: &mut dyn Source,
    announced: u64,
    fresh: &Path,
) -> Result<(Sha256, u64), BlobError> {
    let out = create(fresh).map_err(failed("create", fresh))?;
    let write = |e: io::Error| failed("write", fresh)(e);
    let mut encoder = zstd::Encoder::new(out, LEVEL).map_err(write)?;
    encoder.include_checksum(true).map_err(write)?;
    encoder.set_pledged_src_size(Some(announced)).map_err(write)?;
    let mut hash = sha2::Sha256::new();
    let mut length = 0;
    loop {
        let piece = source.read(length, PIECE)?;
        if piece.is_empty() {
            break;
        }
        length += piece.len() as u64;
        hash.update(&piece);
        // The frame's header promises a length, and the encoder refuses what is beyond it. A source
        // that is longer is read to its end all the same: the error says what it held.
        if length <= announced {
            encoder.write_all(&piece).map_err(write)?;
        }
    }
    if length == announced {
        let out = encoder.finish().map_err(write)?;
        out.sync_data().map_err(failed("sync", fresh))?;
    }
    Ok((Sha256(hash.finalize().into()), length))
}

fn mismatch(source: &dyn Source, expected: Sha256, found: Sha256, length: u64) -> BlobError {
    BlobError::Mismatch { part: source.name().to_owned(), length, found, expected }
}

/// Digests of the contents in one folder, ascending.
fn digests_in(folder: &Path) -> Result<Vec<Sha256>, BlobError> {
    let mut digests = Vec::new();
    for path in list(folder)? {
        match digest_of(folder, &path) {
            Some(digest) => digests.push(digest),
            None => tracing::warn!(path = %path.display(), "a file that is no blob is left alone"),
        }
    }
    digests.sort_unstable();
    Ok(digests)
}

pub(super) fn digest_of(folder: &Path, path: &Path) -> Option<Sha256> {
    let digits = [folder.file_name()?.to_str()?, path.file_name()?.to_str()?].concat();
    digits.parse().ok()
}

/// Removes what a process that was killed had half written.
fn sweep(blobs: &Path) -> Result<(), BlobError> {
    for entry in fs::read_dir(blobs).map_err(failed("read", blobs))? {
        let path = entry.map_err(failed("read", blobs))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        // A number of this process may be of an owner that failed and is still writing.
        let number = name.and_then(|n| n.strip_prefix(FRESH)).and_then(|n| n.parse::<u64>().ok());
        if number.is_some_and(|n| n >= FRESH_NUMBER.load(Ordering::Relaxed)) {
            fs::remove_file(&path).map_err(failed("remove", &path))?;
        }
    }
    Ok(())
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(path)
}
