//! Which private key ctl uses, and which coordinator it expects.

use std::env;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rebuilder_actors::protocol::PublicKey;
use rebuilder_transport::Identity;
use rebuilder_transport::key_file::{self, Access, KeyFileError};
use ring::rand::{SecureRandom, SystemRandom};

use crate::args::Global;
use crate::failure::Failure;

/// Name of the admin key, beside the coordinator's database.
const KEY_NAME: &str = "ctl.key";
/// Name of the file with the coordinator's public key, beside the admin key.
const COORDINATOR_NAME: &str = "coordinator.pub";

/// What is used for a connection.
#[derive(Debug)]
pub struct Keys {
    /// Ours.
    pub identity: Identity,
    /// Where it came from; `None`: made just now, so it may only read.
    pub path: Option<PathBuf>,
    /// The only coordinator that is accepted; `None`: any.
    pub coordinator: Option<PublicKey>,
    /// Key files that are there and could not be used, with the reason.
    pub skipped: Vec<String>,
}

impl Keys {
    /// Follows the options, then the places where the coordinator leaves its files.
    ///
    /// # Errors
    /// A key file that was named, or a `coordinator.pub`, cannot be used. What is found in a
    /// default place and cannot be read is skipped: reading needs no key.
    pub fn find(global: &Global) -> Result<Self, Failure> {
        let mut skipped = Vec::new();
        let (identity, path) = match &global.key {
            Some(path) => {
                let identity = key_file::load(path, Access::Group)
                    .map_err(|error| Failure::Usage(error.to_string()))?;
                (identity, Some(path.clone()))
            }
            None => match first_usable(&default_places(|name| env::var_os(name)), &mut skipped) {
                Some((identity, path)) => (identity, Some(path)),
                None => (fresh()?, None),
            },
        };
        let coordinator = match (global.coordinator, &path) {
            (Some(pin), _) => Some(pin),
            (None, Some(path)) => read_pin(&path.with_file_name(COORDINATOR_NAME))?,
            (None, None) => None,
        };
        Ok(Self { identity, path, coordinator, skipped })
    }
}

/// 16 or 32 random bytes and the like.
///
/// # Errors
/// The system has no randomness.
pub fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Failure::Internal("cannot read random bytes from the system".into()))?;
    Ok(bytes)
}

fn fresh() -> Result<Identity, Failure> {
    Ok(Identity::from_seed(random()?))
}

fn default_places(variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> Vec<PathBuf> {
    let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cookie = set("REBUILDERD_COOKIE_PATH").map(|path| path.with_file_name(KEY_NAME));
    let system = Path::new("/var/lib/rebuilder").join(KEY_NAME);
    let home = set("HOME").map(|home| home.join(".local/share/rebuilder").join(KEY_NAME));
    cookie.into_iter().chain([system]).chain(home).collect()
}

/// Where a key of our own is looked for and made; `None` where nobody has a home.
pub fn own_place() -> Option<PathBuf> {
    default_places(|name| env::var_os(name).filter(|_| name == "HOME")).into_iter().nth(1)
}

fn first_usable(places: &[PathBuf], skipped: &mut Vec<String>) -> Option<(Identity, PathBuf)> {
    places.iter().find_map(|path| match key_file::load(path, Access::Group) {
        Ok(identity) => Some((identity, path.clone())),
        Err(KeyFileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            skipped.push(error.to_string());
            None
        }
    })
}

fn read_pin(path: &Path) -> Result<Option<PublicKey>, Failure> {
    let wrong = |reason: String| Failure::KeyFile { path: path.to_owned(), reason };
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(256).read_to_string(&mut text));
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(wrong(error.to_string())),
        Ok(_) => match text.trim_end().parse() {
            Ok(key) => Ok(Some(key)),
            Err(error) => Err(wrong(format!("{error} on one line"))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_looked_for_where_the_cookie_of_the_peer_would_be() {
        let places = default_places(|name| match name {
            "REBUILDERD_COOKIE_PATH" => Some("/srv/x/auth-cookie".into()),
            "HOME" => Some("/home/u".into()),
            _ => None,
        });
        let expected = [
            "/srv/x/ctl.key",
            "/var/lib/rebuilder/ctl.key",
            "/home/u/.local/share/rebuilder/ctl.key",
        ];
        assert_eq!(places, expected.map(PathBuf::from));
        let places = default_places(|_| Some("".into()));
        assert_eq!(places, [PathBuf::from("/var/lib/rebuilder/ctl.key")]);
    }

    #[test]
    fn a_key_that_cannot_be_used_is_skipped_and_told() {
        let folder = tempfile::tempdir().unwrap();
        let (broken, good) = (folder.path().join("broken"), folder.path().join("good"));
        std::fs::write(&broken, "no key").unwrap();
        let made = key_file::load_or_create(&good, Access::Group).unwrap();
        let mut skipped = Vec::new();
        let places = [folder.path().join("absent"), broken, good.clone()];
        let (identity, path) = first_usable(&places, &mut skipped).unwrap();
        assert_eq!((identity.public_key(), path), (made.public_key(), good));
        assert_eq!(skipped.len(), 1, "{skipped:?}");
    }

    #[test]
    fn the_pin_is_read_or_refused_but_never_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(COORDINATOR_NAME);
        assert_eq!(read_pin(&path).unwrap(), None);
        std::fs::write(&path, format!("{}\n", "0a".repeat(32))).unwrap();
        assert_eq!(read_pin(&path).unwrap(), Some(PublicKey([10; 32])));
        std::fs::write(&path, "0a\n").unwrap();
        assert_eq!(read_pin(&path).unwrap_err().exit_code(), 2);
    }
}
