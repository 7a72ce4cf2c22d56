//! Content-addressed files behind the port `Blobs`.

mod reader;
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

#[cfg(test)]
mod blobs_test;
#[cfg(test)]
mod power_test;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use rebuilder_actors::port::{BlobError, BlobName, Blobs};
use rebuilder_actors::protocol::Sha256;
use sha2::Digest as _;

use self::reader::Readers;
use crate::data_dir::DataDir;
use crate::durable;

/// Most bytes that one read returns; ask again for the rest.
pub const MAX_READ: usize = 4 << 20;
const LEVEL: i32 = 3;
const PIECE: usize = 128 << 10;
/// Begins the names of blobs that are being written, each a name of its own: an owner that failed
/// may still be writing one when the next begins.
const FRESH: &str = "new-";
/// Numbers them in this process; the data directory's lock keeps other processes out.
static FRESH_NUMBER: AtomicU64 = AtomicU64::new(0);

/// The port `Blobs` on files: `blobs/ab/cdef…`, compressed with zstd and named by the digest of the
/// uncompressed content, and `parts/NAME`, as they are. Reads return at most [`MAX_READ`] bytes.
///
/// The empty content is always there and has no file. `part_length` makes what it counts durable.
#[derive(Debug)]
pub struct FileBlobs {
    blobs: PathBuf,
    parts: PathBuf,
    readers: Readers,
    /// Keeps other processes out.
    dir: DataDir,
    /// Of this owner: only the newest may remove what is sealed.
    turn: u64,
}

impl FileBlobs {
    /// Opens, and creates if absent, the blobs of `dir`.
    ///
    /// # Errors
    /// The folders cannot be made.
    pub fn open(dir: &DataDir) -> Result<Self, BlobError> {
        let blobs = dir.join("blobs");
        let parts = dir.join("parts");
        for path in [&blobs, &parts] {
            durable::make_dir(path).map_err(failed("create", path))?;
        }
        // A process may have been killed between making a folder for blobs and syncing its name.
        durable::sync_dir(&blobs).map_err(failed("sync", &blobs))?;
        sweep(&blobs)?;
        Ok(Self {
            blobs,
            parts,
            readers: Readers::default(),
            dir: dir.clone(),
            turn: dir.next_turn(),
        })
    }

    fn part_path(&self, part: &str) -> Result<PathBuf, BlobError> {
        if durable::is_plain_name(part) {
            Ok(self.parts.join(part))
        } else {
            Err(BlobError::Name(part.chars().take(128).collect()))
        }
    }

    fn blob_path(&self, digest: &Sha256) -> PathBuf {
        let name = digest.to_string();
        let (folder, file) = name.split_at(2);
        self.blobs.join(folder).join(file)
    }

    /// Compresses the part at `path` to the file `fresh`; tells what was in it.
    fn compress(&self, path: &Path, fresh: &Path) -> Result<(Sha256, u64), BlobError> {
        let mut part = match File::open(path) {
            Ok(part) => Some(part),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(failed("open", path)(e)),
        };
        let out = create(fresh).map_err(failed("create", fresh))?;
        let write = |e: io::Error| failed("write", fresh)(e);
        let mut encoder = zstd::Encoder::new(out, LEVEL).map_err(write)?;
        encoder.include_checksum(true).map_err(write)?;
        let size = part.as_ref().map_or(Ok(0), |p| p.metadata().map(|m| m.len()));
        let size = size.map_err(failed("measure", path))?;
        encoder.set_pledged_src_size(Some(size)).map_err(write)?;
        let mut hash = sha2::Sha256::new();
        let mut length = 0;
        let mut piece = vec![0; PIECE];
        // As much as was promised: the frame's header says it.
        while let Some(part) = part.as_mut().filter(|_| length < size) {
            let read = part.read(&mut piece).map_err(failed("read", path))?;
            if read == 0 {
                break;
            }
            hash.update(&piece[..read]);
            encoder.write_all(&piece[..read]).map_err(write)?;
            length += read as u64;
        }
        let out = encoder.finish().map_err(write)?;
        out.sync_data().map_err(failed("sync", fresh))?;
        Ok((Sha256(hash.finalize().into()), length))
    }

    /// Moves the compressed file to its name, durably.
    fn place(&self, fresh: &Path, digest: &Sha256) -> Result<(), BlobError> {
        let path = self.blob_path(digest);
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
        let path = self.blob_path(digest);
        let folder = path.parent().expect("a blob's path has a folder");
        if folder.exists() {
            durable::sync_dir(folder).map_err(failed("sync", folder))?;
        }
        Ok(())
    }

    /// Removes a file, unless another owner came: it may just have sealed the same content. Returns
    /// how many went.
    fn remove(&self, path: &Path) -> Result<u64, BlobError> {
        match self.dir.in_turn(self.turn, || fs::remove_file(path)) {
            Some(Ok(())) => Ok(1),
            Some(Err(e)) if e.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(e)),
            Some(Err(_)) | None => Ok(0),
        }
    }

    fn mismatch(part: &str, expected: Sha256, found: Sha256, length: u64) -> BlobError {
        BlobError::Mismatch { part: part.to_owned(), length, found, expected }
    }
}

impl FileBlobs {
    /// Reads all of the blob `digest`: its length, or `None` when it is absent or damaged.
    ///
    /// # Errors
    /// The medium failed.
    pub fn whole_length(&self, digest: Sha256) -> Result<Option<u64>, BlobError> {
        if digest == Sha256::of(b"") {
            return Ok(Some(0));
        }
        reader::whole_length(digest, &self.blob_path(&digest))
    }

    /// Where the blob `digest` lies.
    pub fn place_of(&self, digest: &Sha256) -> PathBuf {
        self.blob_path(digest)
    }
}

impl Blobs for FileBlobs {
    fn part_length(&mut self, part: &str) -> Result<u64, BlobError> {
        let path = self.part_path(part)?;
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(e) => return Err(failed("open", &path)(e)),
        };
        file.sync_data().map_err(failed("sync", &path))?;
        durable::sync_dir(&self.parts).map_err(failed("sync", &self.parts))?;
        Ok(file.metadata().map_err(failed("measure", &path))?.len())
    }

    fn append(&mut self, part: &str, offset: u64, bytes: &[u8]) -> Result<(), BlobError> {
        let path = self.part_path(part)?;
        let file = OpenOptions::new().create(true).append(true).mode(0o640).open(&path);
        let file = file.map_err(failed("open", &path))?;
        let length = file.metadata().map_err(failed("measure", &path))?.len();
        if offset > length {
            if length == 0 {
                self.discard(part)?;
            }
            return Err(BlobError::Gap { part: part.to_owned(), length, offset });
        }
        let known = usize::try_from(length - offset).unwrap_or(usize::MAX);
        let Some(new) = bytes.get(known..).filter(|new| !new.is_empty()) else { return Ok(()) };
        (&file).write_all(new).map_err(|error| {
            // Some of it may be there: it is appended again, so it must not stay.
            match file.set_len(length) {
                Ok(()) => failed("write", &path)(error),
                Err(second) => failed("truncate", &path)(second),
            }
        })
    }

    fn seal(&mut self, part: &str, digest: Sha256, length: u64) -> Result<(), BlobError> {
        let path = self.part_path(part)?;
        let there = if digest == Sha256::of(b"") {
            // The empty content has no file: only what is in the part can contradict it.
            let part = fs::metadata(&path).map(|m| m.len());
            (part.unwrap_or(0) == 0).then_some(0)
        } else {
            // One that is damaged is replaced: its content is here again.
            reader::whole_length(digest, &self.blob_path(&digest))?
        };
        if let Some(there) = there {
            self.keep_name(&digest)?;
            self.discard(part)?;
            let sound = there == length;
            return sound.then_some(()).ok_or(Self::mismatch(part, digest, digest, there));
        }
        let number = FRESH_NUMBER.fetch_add(1, Ordering::Relaxed);
        let fresh = self.blobs.join(format!("{FRESH}{number}"));
        let sealed = self.compress(&path, &fresh).and_then(|(found, measured)| {
            if (found, measured) != (digest, length) {
                self.discard(part)?;
                return Err(Self::mismatch(part, digest, found, measured));
            }
            self.place(&fresh, &digest)
        });
        if sealed.is_err() {
            // What is half written is of no use.
            let _ = fs::remove_file(&fresh);
        }
        sealed?;
        self.discard(part)
    }

    fn discard(&mut self, part: &str) -> Result<(), BlobError> {
        let path = self.part_path(part)?;
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failed("remove", &path)(e)),
            _ => Ok(()),
        }
    }

    fn read(
        &mut self,
        blob: BlobName<'_>,
        offset: u64,
        length: usize,
    ) -> Result<Option<Bytes>, BlobError> {
        let length = length.min(MAX_READ);
        match blob {
            BlobName::Sealed(digest) if digest == Sha256::of(b"") => Ok(Some(Bytes::new())),
            BlobName::Sealed(digest) => {
                let path = self.blob_path(&digest);
                self.readers.read(digest, &path, offset, length)
            }
            BlobName::Part(part) => read_plain(&self.part_path(part)?, offset, length),
        }
    }

    fn collect(&mut self, keep: &dyn Fn(BlobName<'_>) -> bool) -> Result<u64, BlobError> {
        let mut removed = 0;
        for path in list(&self.parts)? {
            let part = path.file_name().and_then(|name| name.to_str());
            let Some(part) = part.filter(|part| durable::is_plain_name(part) && path.is_file())
            else {
                tracing::warn!(path = %path.display(), "a file that is no part is left alone");
                continue;
            };
            if !keep(BlobName::Part(part)) {
                removed += self.remove(&path)?;
            }
        }
        for folder in list(&self.blobs)? {
            if folder.file_name().is_none_or(|name| name.len() != 2) {
                continue;
            }
            for path in list(&folder)? {
                let Some(digest) = digest_of(&folder, &path) else {
                    tracing::warn!(path = %path.display(), "a file that is no blob is left alone");
                    continue;
                };
                if !keep(BlobName::Sealed(digest)) {
                    self.readers.forget(&digest);
                    removed += self.remove(&path)?;
                }
            }
        }
        Ok(removed)
    }
}

fn digest_of(folder: &Path, path: &Path) -> Option<Sha256> {
    let digits = [folder.file_name()?.to_str()?, path.file_name()?.to_str()?].concat();
    digits.parse().ok()
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, BlobError> {
    let entries = fs::read_dir(folder).map_err(failed("list", folder))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    paths.collect::<io::Result<_>>().map_err(failed("list", folder))
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(path)
}

fn read_plain(path: &Path, offset: u64, length: usize) -> Result<Option<Bytes>, BlobError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed("open", path)(e)),
    };
    let there = file.metadata().map_err(failed("measure", path))?.len().saturating_sub(offset);
    let mut bytes = vec![0; length.min(usize::try_from(there).unwrap_or(usize::MAX))];
    file.read_exact_at(&mut bytes, offset).map_err(failed("read", path))?;
    Ok(Some(bytes.into()))
}

/// What the system said of `path`, as the port's error.
fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BlobError {
    let path = path.display().to_string();
    move |error| {
        if durable::is_full(&error) {
            BlobError::Full { path }
        } else {
            BlobError::Io { action, path, reason: error.to_string() }
        }
    }
}
