//! Files of private keys: 64 hex digits (the 32-byte ed25519 seed) and a newline.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ring::rand::{SecureRandom, SystemRandom};

use crate::identity::Identity;

/// Who may read a key file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Its owner only (mode 0600).
    Owner,
    /// Its group too (mode 0640): the admin key.
    Group,
}

impl Access {
    /// The mode of a new file.
    fn mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Group => 0o640,
        }
    }
}

/// A key file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read or made.
    #[error("cannot {action} the private key {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// `read` or `create`.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Others could have read it.
    #[error(
        "the private key {} has mode {mode:04o} and is open to others: run `chmod {wanted:o} {}`",
        path.display(),
        path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// What they should be.
        wanted: u32,
    },
    /// It is no regular file, or does not hold a key.
    #[error(
        "{} is not a private key: expected a regular file with 64 hex digits and a newline",
        path.display()
    )]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// No key can be made.
    #[error("cannot read random bytes from the system")]
    NoRandomness,
}

/// Reads the key in `path`.
///
/// # Errors
/// There is none, it is open to more than `access`, or it is no key.
pub fn load(path: &Path, access: Access) -> Result<Identity, KeyFileError> {
    let failed = |source| KeyFileError::Io { path: path.to_owned(), action: "read", source };
    let malformed = || KeyFileError::Malformed { path: path.to_owned() };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(malformed());
    }
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 & !access.mode() != 0 {
        return Err(KeyFileError::Exposed { path: path.to_owned(), mode, wanted: access.mode() });
    }
    let mut text = String::new();
    file.take(TEXT_LEN_MAX).read_to_string(&mut text).map_err(failed)?;
    let mut seed = [0; 32];
    hex::decode_to_slice(text.trim_end(), &mut seed).map_err(|_| malformed())?;
    Ok(Identity::from_seed(seed))
}

/// Reads the key in `path`, or makes one there if there is none. The directory must exist. Two
/// processes that do this at once get the same key.
///
/// # Errors
/// As [`load`], or the file cannot be written.
pub fn load_or_create(path: &Path, access: Access) -> Result<Identity, KeyFileError> {
    match load(path, access) {
        Err(KeyFileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
        done => return done,
    }
    let random = SystemRandom::new();
    let (mut seed, mut suffix) = ([0; 32], [0; 8]);
    random.fill(&mut seed).map_err(|_| KeyFileError::NoRandomness)?;
    random.fill(&mut suffix).map_err(|_| KeyFileError::NoRandomness)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", hex::encode(suffix)));
    let new = path.with_file_name(name);
    let created = create(&new, path, &seed, access);
    fs::remove_file(&new).ok();
    match created {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(KeyFileError::Io { path: path.to_owned(), action: "create", source: error })
        }
        // What is there now counts, whoever made it.
        _ => load(path, access),
    }
}

/// Writes a whole file at `new` and gives it the name `path` only if that is still free.
fn create(new: &Path, path: &Path, seed: &[u8; 32], access: Access) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(new)?;
    file.write_all(format!("{}\n", hex::encode(seed)).as_bytes())?;
    file.set_permissions(fs::Permissions::from_mode(access.mode()))?;
    file.sync_all()?;
    // Unlike a rename, a link never replaces a key that another process made meanwhile.
    fs::hard_link(new, path)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

/// Bytes read of a key file.
const TEXT_LEN_MAX: u64 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_key_is_made_once_and_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("worker.key");
        assert!(matches!(load(&path, Access::Owner), Err(KeyFileError::Io { .. })));
        let made = load_or_create(&path, Access::Owner).unwrap();
        assert_eq!(mode(&path), 0o600);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{}\n", hex::encode(made.seed())));
        let found = load_or_create(&path, Access::Owner).unwrap();
        assert_eq!(found.public_key(), made.public_key());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_key_open_to_others_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        load_or_create(&path, Access::Group).unwrap();
        assert_eq!(mode(&path), 0o640);
        let error = load(&path, Access::Owner).unwrap_err().to_string();
        assert!(error.contains("mode 0640") && error.contains("chmod 600"), "{error}");
        load(&path, Access::Group).unwrap();
        for open in [0o644, 0o660, 0o641, 0o606] {
            chmod(&path, open);
            assert!(matches!(load(&path, Access::Group), Err(KeyFileError::Exposed { .. })));
        }
        chmod(&path, 0o400);
        load(&path, Access::Owner).unwrap();
    }

    #[test]
    fn what_is_no_key_is_refused_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        for text in ["", "abc\n", &"0".repeat(63), &"0".repeat(65), &"z".repeat(64)] {
            fs::write(&path, text).unwrap();
            chmod(&path, 0o600);
            let result = load_or_create(&path, Access::Owner);
            assert!(matches!(result, Err(KeyFileError::Malformed { .. })), "{text:?}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        let result = load(directory.path(), Access::Owner);
        assert!(matches!(result, Err(KeyFileError::Malformed { .. })));
    }

    #[test]
    fn processes_that_race_get_the_same_key() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let make = || load_or_create(&path, Access::Owner).unwrap().public_key();
        let keys = std::thread::scope(|scope| {
            let threads = (0..8).map(|_| scope.spawn(make)).collect::<Vec<_>>();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
