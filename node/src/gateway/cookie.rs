//! The admin cookie: what the peer's clients send to prove that they may change things.

use core::fmt;
use std::fs::{self, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use ring::rand::{SecureRandom as _, SystemRandom};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::durable;

/// The file in the data directory, named as the peer names its own.
pub(crate) const COOKIE_FILE: &str = "auth-cookie";
/// Characters that a cookie needs, as other secrets do.
pub(crate) const COOKIE_CHARS_MIN: usize = 24;
/// Characters that a cookie may have: it is one line of a request's head.
pub(crate) const COOKIE_CHARS_MAX: usize = 1024;
/// Random bytes of a cookie that is made here; written as twice as many hex digits.
const RANDOM_BYTES: usize = 24;

/// The cookie that admits admins. It keeps a digest: neither a log nor a dump has the text.
#[derive(Clone)]
pub struct Cookie([u8; 32]);

/// A cookie that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CookieError {
    /// It cannot be read or made.
    #[error("cannot {action} the cookie {}: {source}", path.display())]
    Io {
        /// Of `[auth] cookie_file`, or in the data directory.
        path: PathBuf,
        /// `read` or `create`.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Every account of the machine could have read it.
    #[error(
        "the cookie {} is open to everybody: remove it, and a new one is made at the next start; \
         or run `chmod 640` on it if nobody can have read it",
        path.display()
    )]
    Exposed {
        /// Of `[auth] cookie_file`, or in the data directory.
        path: PathBuf,
    },
    /// It is no cookie.
    #[error(
        "{} is not a cookie, which is one line of {COOKIE_CHARS_MIN} to {COOKIE_CHARS_MAX} visible \
         ASCII characters: remove it, and a new one is made at the next start",
        path.display()
    )]
    Malformed {
        /// Of `[auth] cookie_file`, or in the data directory.
        path: PathBuf,
    },
    /// No cookie can be made.
    #[error("cannot read random bytes from the system")]
    NoRandomness,
}

impl Cookie {
    /// The cookie `text`. `None`: it is too short, too long, or has characters that no client
    /// could send in a header unchanged.
    pub fn new(text: &str) -> Option<Self> {
        let chars = COOKIE_CHARS_MIN..=COOKIE_CHARS_MAX;
        let good = chars.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        good.then(|| Self(Sha256::digest(text).into()))
    }

    /// Reads the cookie in the data directory `dir`; one is made, for the owner and its group,
    /// where there is none. The caller holds the directory's lock.
    ///
    /// # Errors
    /// The file cannot be read or made, is open to others, or holds no cookie.
    pub fn load_or_create(dir: &Path) -> Result<Self, CookieError> {
        let path = dir.join(COOKIE_FILE);
        match Self::load(&path) {
            Err(CookieError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                create(dir, &path)?;
                Self::load(&path)
            }
            done => done,
        }
    }

    fn load(path: &Path) -> Result<Self, CookieError> {
        let failed = |source| CookieError::Io { path: path.to_owned(), action: "read", source };
        let malformed = || CookieError::Malformed { path: path.to_owned() };
        let file = fs::File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(malformed());
        }
        if metadata.mode() & 0o007 != 0 {
            return Err(CookieError::Exposed { path: path.to_owned() });
        }
        let mut bytes = Vec::new();
        file.take(2 * COOKIE_CHARS_MAX as u64).read_to_end(&mut bytes).map_err(failed)?;
        let text = str::from_utf8(&bytes).map_err(|_| malformed())?;
        // The peer's clients trim the file too.
        Self::new(text.trim()).ok_or_else(malformed)
    }

    /// True if `given` is this cookie. The time that it takes says nothing about either: digests
    /// are compared, all of them.
    pub fn is(&self, given: &[u8]) -> bool {
        let given: [u8; 32] = Sha256::digest(given).into();
        self.0.ct_eq(&given).into()
    }
}

impl PartialEq for Cookie {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Cookie {}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cookie(…)")
    }
}

/// Writes a new cookie under another name first: a start that is cut short leaves none, or all.
fn create(dir: &Path, path: &Path) -> Result<(), CookieError> {
    let mut random = [0; RANDOM_BYTES];
    SystemRandom::new().fill(&mut random).map_err(|_| CookieError::NoRandomness)?;
    let fresh = path.with_extension("new");
    let text = format!("{}\n", hex::encode(random));
    durable::write_synced(&fresh, &[text.as_bytes()])
        // The process's umask may have taken the group's right, which `rebuildctl` needs.
        .and_then(|()| fs::set_permissions(&fresh, Permissions::from_mode(0o640)))
        .and_then(|()| fs::rename(&fresh, path))
        .and_then(|()| durable::sync_dir(dir))
        .map_err(|source| CookieError::Io { path: path.to_owned(), action: "create", source })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "0123456789abcdefghijklmnopqrstuv";

    #[test]
    fn a_cookie_is_itself_and_nothing_else() {
        let cookie = Cookie::new(TEXT).unwrap();
        assert!(cookie.is(TEXT.as_bytes()));
        for other in ["", " ", &TEXT[1..], &TEXT.to_uppercase(), &format!("{TEXT} "), "ü"] {
            assert!(!cookie.is(other.as_bytes()), "{other}");
        }
        assert_eq!(format!("{cookie:?}"), "Cookie(…)");
        let long = "x".repeat(COOKIE_CHARS_MAX + 1);
        for wrong in ["short", &long, "with a space, and long enough", "tab\tin it, long enough…"]
        {
            assert!(Cookie::new(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn it_is_made_once_and_closed_to_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(COOKIE_FILE);
        let first = Cookie::load_or_create(dir.path()).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(first.is(text.trim().as_bytes()) && text.len() == 49, "{}", text.len());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        assert!(Cookie::load_or_create(dir.path()).unwrap().is(text.trim().as_bytes()));
        // One that is taken over from the peer.
        fs::write(&path, format!("{TEXT}\n")).unwrap();
        assert!(Cookie::load_or_create(dir.path()).unwrap().is(TEXT.as_bytes()));
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let said = Cookie::load_or_create(dir.path()).unwrap_err().to_string();
        assert!(said.contains("open to everybody") && !said.contains(TEXT), "{said}");
    }

    #[test]
    fn what_is_no_cookie_is_named_and_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(COOKIE_FILE);
        for bytes in [&b""[..], b"\n", b"too short", &[b'x'; 3000], b"\xff0123456789abcdefghijklmn"]
        {
            durable::write_synced(&path, &[bytes]).unwrap();
            let said = Cookie::load_or_create(dir.path()).unwrap_err().to_string();
            assert!(said.contains("auth-cookie is not a cookie"), "{said}");
            assert_eq!(fs::read(&path).unwrap(), bytes);
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(Cookie::load_or_create(dir.path()).is_err());
    }
}
