use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rebuilder_actors::port::{BlobError, Parts, is_plain_name};

use super::files::{MAX_READ, Turn, failed, list};
use crate::data_dir::DataDir;
use crate::durable;

/// The port `Parts` on files: `parts/NAME`, each as it is. Reads return at most [`MAX_READ`] bytes.
#[derive(Debug)]
pub struct FileParts {
    folder: PathBuf,
    turn: Turn,
}

impl FileParts {
    /// Opens, and creates if absent, the parts of `dir`. Their owner is the latest one of `dir`,
    /// also for contents: [`open`](super::open) makes one of both.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn open(dir: &DataDir) -> Result<Self, BlobError> {
        Self::of(dir, Turn::next(dir))
    }

    pub(super) fn of(dir: &DataDir, turn: Turn) -> Result<Self, BlobError> {
        let folder = dir.join("parts");
        durable::make_dir(&folder).map_err(failed("create", &folder))?;
        Ok(Self { folder, turn })
    }

    fn path(&self, part: &str) -> Result<PathBuf, BlobError> {
        if is_plain_name(part) {
            Ok(self.folder.join(part))
        } else {
            Err(BlobError::Name(part.chars().take(128).collect()))
        }
    }
}

impl Parts for FileParts {
    fn length(&mut self, part: &str) -> Result<u64, BlobError> {
        let path = self.path(part)?;
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(e) => return Err(failed("open", &path)(e)),
        };
        file.sync_data().map_err(failed("sync", &path))?;
        durable::sync_dir(&self.folder).map_err(failed("sync", &self.folder))?;
        Ok(file.metadata().map_err(failed("measure", &path))?.len())
    }

    fn append(&mut self, part: &str, offset: u64, bytes: &[u8]) -> Result<(), BlobError> {
        let path = self.path(part)?;
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

    fn read(&mut self, part: &str, offset: u64, length: usize) -> Result<Option<Bytes>, BlobError> {
        read_plain(&self.path(part)?, offset, length.min(MAX_READ))
    }

    fn discard(&mut self, part: &str) -> Result<(), BlobError> {
        let path = self.path(part)?;
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failed("remove", &path)(e)),
            _ => Ok(()),
        }
    }

    fn names(&mut self) -> Result<Vec<String>, BlobError> {
        let mut names = Vec::new();
        for path in list(&self.folder)? {
            let part = path.file_name().and_then(|name| name.to_str());
            match part.filter(|part| is_plain_name(part) && path.is_file()) {
                Some(part) => names.push(part.to_owned()),
                None => {
                    tracing::warn!(path = %path.display(), "a file that is no part is left alone");
                }
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn remove(&mut self, part: &str) -> Result<bool, BlobError> {
        self.turn.remove(&self.path(part)?)
    }
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
