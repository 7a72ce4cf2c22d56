use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rebuilder_actors::port::{Spool, SpoolError, StoreError, is_plain_name};
use rebuilder_actors::protocol::Sha256;

use crate::data_dir::{DataDir, io_error};
use crate::durable;

/// First bytes of an entry's file; the digest of the content and the content follow.
const MAGIC: &[u8; 8] = b"rb-spl\x00\x01";
const HEADER: usize = MAGIC.len() + 32;

/// The port `Spool` on files: `spool/entries/NAME`, each with the digest of its content. A file
/// that is not as it was written is moved to `spool/damaged` with a warning, never dropped.
///
/// A removal is not made durable: an entry that comes back after a power cut is offered again.
#[derive(Debug)]
pub struct FileSpool {
    entries: PathBuf,
    damaged: PathBuf,
    /// An entry that is being written; one owner writes one at a time.
    fresh: PathBuf,
    /// Keeps other processes out.
    _dir: DataDir,
}

impl FileSpool {
    /// Opens, and creates if absent, the spool of `dir`.
    ///
    /// # Errors
    /// The folders cannot be made.
    pub fn open(dir: &DataDir) -> Result<Self, SpoolError> {
        let spool = dir.join("spool");
        let entries = spool.join("entries");
        let damaged = spool.join("damaged");
        for path in [&spool, &entries, &damaged] {
            durable::make_dir(path).map_err(failed("create", path))?;
        }
        // What a killed process left is offered from now on: it must not vanish, nor come back.
        durable::sync_dir(&entries).map_err(failed("sync", &entries))?;
        Ok(Self { entries, damaged, fresh: spool.join("new"), _dir: dir.clone() })
    }

    fn path(&self, name: &str) -> Result<PathBuf, SpoolError> {
        if is_plain_name(name) {
            return Ok(self.entries.join(name));
        }
        let name: String = name.chars().take(128).collect();
        let reason = "the name is not 1 to 128 bytes of [A-Za-z0-9._-]".to_owned();
        Err(SpoolError { action: "name", path: name, reason, full: false })
    }

    fn write(&self, path: &Path, content: &[u8]) -> Result<(), SpoolError> {
        let digest = Sha256::of(content);
        durable::write_synced(&self.fresh, &[MAGIC, &digest.0, content])
            .map_err(failed("write", &self.fresh))?;
        fs::rename(&self.fresh, path).map_err(failed("rename", path))?;
        durable::sync_dir(&self.entries).map_err(|error| {
            // It may or may not survive, and was not promised: it must not be offered.
            let _ = fs::remove_file(path);
            failed("sync", &self.entries)(error)
        })
    }

    /// Moves what cannot be read to a free name aside.
    fn set_aside(&self, path: &Path, name: &str) -> Result<(), SpoolError> {
        let mut aside = self.damaged.join(name);
        let mut number = 0_u32;
        while aside.exists() {
            number += 1;
            aside = self.damaged.join(format!("{name}.{number}"));
        }
        tracing::warn!(
            path = %path.display(),
            aside = %aside.display(),
            "an entry of the spool is not as it was written; it is kept aside and not sent"
        );
        fs::rename(path, &aside).map_err(failed("rename", path))
    }
}

impl Spool for FileSpool {
    fn keep(&mut self, name: &str, content: &[u8]) -> Result<(), SpoolError> {
        let path = self.path(name)?;
        let kept = self.write(&path, content);
        if kept.is_err() {
            // Gives the space back; the next write truncates it if it cannot go now.
            let _ = fs::remove_file(&self.fresh);
        }
        kept
    }

    fn remove(&mut self, name: &str) -> Result<(), SpoolError> {
        let path = self.path(name)?;
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failed("remove", &path)(e)),
            _ => Ok(()),
        }
    }

    fn entries(&mut self) -> Result<Vec<(String, Bytes)>, SpoolError> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.entries).map_err(failed("list", &self.entries))? {
            let path = entry.map_err(failed("list", &self.entries))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let file = Bytes::from(fs::read(&path).map_err(failed("read", &path))?);
            match content(&file) {
                Some(content) if is_plain_name(&name) => entries.push((name, content)),
                _ => self.set_aside(&path, &name)?,
            }
        }
        entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok(entries)
    }
}

/// Entries of the spool in `dir` that are not as they were written, or were set aside as such;
/// nothing is changed. A data directory without a spool has none.
///
/// # Errors
/// The medium failed.
pub fn damaged_entries(dir: &Path) -> Result<Vec<String>, StoreError> {
    let mut damaged = Vec::new();
    for (folder, aside) in [("entries", false), ("damaged", true)] {
        let folder = dir.join("spool").join(folder);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return Err(io_error("list", &folder, &e)),
        };
        for entry in entries {
            let path = entry.map_err(|e| io_error("list", &folder, &e))?.path();
            let file = Bytes::from(fs::read(&path).map_err(|e| io_error("read", &path, &e))?);
            if aside || content(&file).is_none() {
                let text = "a report that waits to be sent is not as it was written";
                damaged.push(format!("{}: {text}", path.display()));
            }
        }
    }
    damaged.sort_unstable();
    Ok(damaged)
}

/// The content of an entry's file; `None` when it is not as it was written.
fn content(file: &Bytes) -> Option<Bytes> {
    let (magic, rest) = file.split_first_chunk::<8>()?;
    let (digest, content) = rest.split_first_chunk::<32>()?;
    (magic == MAGIC && Sha256::of(content).0 == *digest).then(|| file.slice(HEADER..))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SpoolError {
    let path = path.display().to_string();
    move |error| {
        let full = durable::is_full(&error);
        SpoolError { action, path, reason: error.to_string(), full }
    }
}

#[cfg(test)]
#[path = "power_test.rs"]
mod power_test;
#[cfg(test)]
#[path = "spool_test.rs"]
mod spool_test;
