use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rebuilder_actors::port::{BlobError, Blobs};

use super::{FileContents, FileParts};
use crate::data_dir::DataDir;
use crate::durable;

/// Most bytes that one read returns; ask again for the rest.
pub const MAX_READ: usize = 4 << 20;

/// Opens, and creates if absent, parts and contents of `dir` for one owner.
///
/// # Errors
/// The folders cannot be made.
pub fn open(dir: &DataDir) -> Result<Blobs, BlobError> {
    let turn = Turn::next(dir);
    let contents = FileContents::of(dir, turn.clone())?;
    let parts = FileParts::of(dir, turn)?;
    Ok(Blobs { parts: Box::new(parts), contents: Box::new(contents) })
}

/// The time of one owner. An owner that failed may still be at work when the next one begins.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    /// Keeps other processes out.
    dir: DataDir,
    number: u64,
}

impl Turn {
    /// Begins, and ends the turn of the owner before.
    pub(super) fn next(dir: &DataDir) -> Self {
        Self { dir: dir.clone(), number: dir.next_turn() }
    }

    /// Removes a file, unless this turn is over: the next owner may just have sealed the same
    /// content. True when it went.
    pub(super) fn remove(&self, path: &Path) -> Result<bool, BlobError> {
        match self.dir.in_turn(self.number, || fs::remove_file(path)) {
            Some(Ok(())) => Ok(true),
            Some(Err(e)) if e.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(e)),
            Some(Err(_)) | None => Ok(false),
        }
    }
}

pub(super) fn list(folder: &Path) -> Result<Vec<PathBuf>, BlobError> {
    let entries = fs::read_dir(folder).map_err(failed("list", folder))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    paths.collect::<io::Result<_>>().map_err(failed("list", folder))
}

/// What the system said of `path`, as the port's error.
pub(super) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BlobError {
    let path = path.display().to_string();
    move |error| {
        if durable::is_full(&error) {
            BlobError::Full { path }
        } else {
            BlobError::Io { action, path, reason: error.to_string() }
        }
    }
}
