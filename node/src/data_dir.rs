//! The folder that one process owns: its lock and the version of what is in it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use rebuilder_actors::port::StoreError;

use crate::durable;

/// The schema version that this release writes.
pub const SCHEMA: u32 = 1;
/// The version of a data directory whose store keeps sums of its records, which a release before
/// would not: the newest that this one reads.
const WITH_SUMS: u32 = 2;

/// One step of an upgrade: makes of the version it is listed under the next one. It may be
/// interrupted and then runs again from the start.
pub type Migration = fn(&DataDir) -> Result<(), StoreError>;

/// Steps from older versions, by the version that each starts from.
const MIGRATIONS: &[(u32, Migration)] = &[];

/// A data directory, locked for as long as any clone of this value lives.
#[derive(Clone, Debug)]
pub struct DataDir {
    path: Arc<Path>,
    _lock: Arc<Flock<File>>,
    turn: Arc<Mutex<u64>>,
}

impl DataDir {
    /// Creates `path` (mode 0750) if it is absent, locks it, and brings its content to this
    /// release's schema version.
    ///
    /// # Errors
    /// `Locked` when another process (or another `DataDir` of this one) holds it; `Newer` when a
    /// newer release wrote it; `Damaged` when the version cannot be read or upgraded; `Io`.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_as(path, SCHEMA, MIGRATIONS)
    }

    fn open_as(
        path: &Path,
        known: u32,
        migrations: &[(u32, Migration)],
    ) -> Result<Self, StoreError> {
        durable::make_dir(path).map_err(|e| io_error("create", path, &e))?;
        let lock = lock(path)?;
        let dir = Self { path: path.into(), _lock: Arc::new(lock), turn: Arc::default() };
        let Some(mut found) = dir.read_schema()? else {
            dir.write_schema(known)?;
            return Ok(dir);
        };
        if found > known.max(WITH_SUMS) {
            let path = path.display().to_string();
            return Err(StoreError::Newer { path, found, known: known.max(WITH_SUMS) });
        }
        while found < known {
            let Some((_, step)) = migrations.iter().find(|(from, _)| *from == found) else {
                return Err(StoreError::Damaged {
                    path: dir.schema_path().display().to_string(),
                    reason: format!("no release wrote schema version {found}"),
                });
            };
            tracing::info!(path = %path.display(), from = found, "upgrading the data directory");
            step(&dir)?;
            found += 1;
            dir.write_schema(found)?;
        }
        Ok(dir)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Begins the next turn, which ends all before it: an owner that failed may still be at work
    /// when the next one begins.
    pub fn next_turn(&self) -> u64 {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        *turn += 1;
        *turn
    }

    /// Does `work` while no other turn can begin; `None`: that turn is over.
    pub fn in_turn<T>(&self, turn: u64, work: impl FnOnce() -> T) -> Option<T> {
        let current = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        (*current == turn).then(work)
    }

    /// A place in the directory.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// True when its store keeps sums of its records: one without them is damaged.
    ///
    /// # Errors
    /// The version cannot be read.
    pub fn store_has_sums(&self) -> Result<bool, StoreError> {
        Ok(self.read_schema()?.is_some_and(|version| version >= WITH_SUMS))
    }

    /// Notes durably that its store keeps sums of its records.
    ///
    /// # Errors
    /// The version cannot be read or written.
    pub fn set_store_has_sums(&self) -> Result<(), StoreError> {
        if self.store_has_sums()? { Ok(()) } else { self.write_schema(WITH_SUMS) }
    }

    fn schema_path(&self) -> PathBuf {
        self.join("schema")
    }

    fn read_schema(&self) -> Result<Option<u32>, StoreError> {
        let path = self.schema_path();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(io_error("read", &path, &e)),
        };
        let number = str::from_utf8(&text).ok().and_then(|text| text.trim_end().parse().ok());
        number.map(Some).ok_or_else(|| StoreError::Damaged {
            path: path.display().to_string(),
            reason: "it does not hold a schema version (a whole number)".to_owned(),
        })
    }

    fn write_schema(&self, version: u32) -> Result<(), StoreError> {
        let path = self.schema_path();
        let fresh = self.join("schema.new");
        durable::write_synced(&fresh, &[format!("{version}\n").as_bytes()])
            .and_then(|()| fs::rename(&fresh, &path))
            .and_then(|()| durable::sync_dir(&self.path))
            .map_err(|e| io_error("write", &path, &e))
    }
}

/// What the system said, as the store's error.
pub fn io_error(action: &'static str, path: &Path, error: &io::Error) -> StoreError {
    StoreError::Io { action, path: path.display().to_string(), reason: error.to_string() }
}

fn lock(dir: &Path) -> Result<Flock<File>, StoreError> {
    let path = dir.join("lock");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o640)
        .open(&path)
        .map_err(|e| io_error("open", &path, &e))?;
    let mut lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => lock,
        Err((_, Errno::EWOULDBLOCK)) => {
            let pid = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
            return Err(StoreError::Locked { path: dir.display().to_string(), pid });
        }
        Err((_, errno)) => return Err(io_error("lock", &path, &errno.into())),
    };
    lock.set_len(0)
        .and_then(|()| lock.write_all(format!("{}\n", std::process::id()).as_bytes()))
        .map_err(|e| io_error("write", &path, &e))?;
    Ok(lock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_owner_is_told_who_the_first_is() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("data");
        let first = DataDir::open(&path).unwrap();
        let clone = first.clone();
        drop(first);
        let expected =
            StoreError::Locked { path: path.display().to_string(), pid: Some(std::process::id()) };
        assert_eq!(DataDir::open(&path).unwrap_err(), expected);
        drop(clone);
        DataDir::open(&path).unwrap();
    }

    #[test]
    fn a_newer_schema_is_refused_and_left_alone() {
        let top = tempfile::tempdir().unwrap();
        drop(DataDir::open(top.path()).unwrap());
        assert_eq!(fs::read_to_string(top.path().join("schema")).unwrap(), "1\n");
        fs::write(top.path().join("schema"), "7\n").unwrap();
        let path = top.path().display().to_string();
        let expected = StoreError::Newer { path, found: 7, known: WITH_SUMS };
        assert_eq!(DataDir::open(top.path()).unwrap_err(), expected);
        assert_eq!(fs::read_to_string(top.path().join("schema")).unwrap(), "7\n");
    }

    #[test]
    fn an_old_schema_is_upgraded_step_by_step() {
        fn mark(dir: &DataDir, name: &str) -> Result<(), StoreError> {
            let path = dir.join(name);
            fs::write(&path, "").map_err(|e| io_error("write", &path, &e))
        }
        let top = tempfile::tempdir().unwrap();
        fs::write(top.path().join("schema"), "1").unwrap();
        let steps: &[(u32, Migration)] = &[(2, |d| mark(d, "two")), (1, |d| mark(d, "one"))];
        drop(DataDir::open_as(top.path(), 3, steps).unwrap());
        assert_eq!(fs::read_to_string(top.path().join("schema")).unwrap(), "3\n");
        assert!(top.path().join("one").exists() && top.path().join("two").exists());
        let error = DataDir::open_as(top.path(), 4, steps).unwrap_err();
        assert!(error.to_string().contains("no release wrote schema version 3"), "{error}");
    }

    #[test]
    fn an_unreadable_schema_is_damage() {
        let top = tempfile::tempdir().unwrap();
        for text in [&b""[..], b"one", b"-1", b"99999999999", b"\xff"] {
            fs::write(top.path().join("schema"), text).unwrap();
            assert!(matches!(DataDir::open(top.path()), Err(StoreError::Damaged { .. })));
        }
    }
}
