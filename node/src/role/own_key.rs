use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rebuilder_actors::protocol::PublicKey;
use rebuilder_transport::Identity;
use rebuilder_transport::key_file::{self, Access};

use super::error::RoleError;

/// Reads the private key in `path`, or makes one at the first start, and keeps its public half in a
/// file beside it (extension `pub`), for others to pin, and to tell a key that rotted: any 32 bytes
/// are a key, so that a flipped bit would be another identity.
///
/// # Errors
/// `Damaged` when the two files do not belong together, or only the public half is there; those of
/// the key file.
pub(super) fn load_or_create(path: &Path, access: Access) -> Result<Identity, RoleError> {
    let public = path.with_extension("pub");
    let written = match fs::read(&public) {
        Ok(text) => Some(text),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(RoleError::io("read", &public)(e)),
    };
    if written.is_some() && !path.exists() {
        return Err(damaged(path, &public, "is missing, although its public half is in"));
    }
    let own = key_file::load_or_create(path, access)?;
    let text = format!("{}\n", own.public_key());
    match written {
        Some(found) if found.trim_ascii_end() != text.trim_ascii_end().as_bytes() => {
            Err(damaged(path, &public, "is damaged, or is not the key whose public half is in"))
        }
        Some(_) => Ok(own),
        None => write_public(&public, &own.public_key()).map(|()| own),
    }
}

/// The same for a check, which changes nothing.
///
/// # Errors
/// As [`load_or_create`]; there is no key.
pub(crate) fn check(path: &Path, access: Access) -> Result<(), RoleError> {
    let public = path.with_extension("pub");
    if path.exists() && !public.exists() {
        return Ok(key_file::load(path, access).map(drop)?);
    }
    if !path.exists() {
        return Err(damaged(path, &public, "is missing; its public half, if any, is in"));
    }
    load_or_create(path, access).map(drop)
}

fn damaged(path: &Path, public: &Path, what: &str) -> RoleError {
    let (path, public) = (path.display(), public.display());
    RoleError::Damaged(format!(
        "{path} {what} {public}: restore both from a backup, or, if the key was replaced on \
         purpose, remove {public}"
    ))
}

/// Writes the public half durably.
fn write_public(path: &Path, key: &PublicKey) -> Result<(), RoleError> {
    let new = path.with_extension("pub.new");
    let mut options = fs::OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).mode(0o644).open(&new);
    let mut file = opened.map_err(RoleError::io("create", &new))?;
    file.write_all(format!("{key}\n").as_bytes()).map_err(RoleError::io("write", &new))?;
    file.sync_all().map_err(RoleError::io("sync", &new))?;
    fs::rename(&new, path).map_err(RoleError::io("rename", &new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_key_than_the_one_that_was_made_is_refused() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("coordinator.key");
        let public = top.path().join("coordinator.pub");
        let made = load_or_create(&path, Access::Owner).unwrap().public_key();
        assert_eq!(fs::read_to_string(&public).unwrap(), format!("{made}\n"));
        assert_eq!(load_or_create(&path, Access::Owner).unwrap().public_key(), made);
        check(&path, Access::Owner).unwrap();
        let whole = fs::read(&path).unwrap();
        for bit in 0..8 * 64 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, &flipped).unwrap();
            match load_or_create(&path, Access::Owner) {
                // The other case of a digit.
                Ok(found) => assert_eq!(found.public_key(), made),
                Err(error) => {
                    let text = error.to_string();
                    assert!(text.contains(&path.display().to_string()), "{text}");
                    check(&path, Access::Owner).unwrap_err();
                }
            }
        }
        fs::remove_file(&path).unwrap();
        let error = load_or_create(&path, Access::Owner).unwrap_err();
        assert_eq!(error.exit_code(), super::super::error::DAMAGED, "{error}");
        assert!(!path.exists(), "no other key is made in its place");
        // A replaced key, on purpose.
        fs::remove_file(&public).unwrap();
        assert_ne!(load_or_create(&path, Access::Owner).unwrap().public_key(), made);
    }
}
