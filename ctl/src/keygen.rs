//! `keygen`: a key that lasts, for whoever operates a coordinator from elsewhere.

use std::io;
use std::path::{Path, PathBuf};

use rebuilder_actors::domain::report::key_id;
use rebuilder_transport::key_file::{self, Access, KeyFileError};

use crate::failure::Failure;
use crate::signed::KeyRow;
use crate::{json, keys};

/// Makes a key in `path`, or where ctl looks for one by itself, and says what the coordinator must
/// be told. A key that is there already is left as it is. The text for standard output, and a note.
///
/// # Errors
/// The file cannot be made or used.
pub fn keygen(path: Option<&Path>, json: bool) -> Result<(String, String), Failure> {
    let path: PathBuf = match path {
        Some(path) => path.to_owned(),
        None => keys::own_place().ok_or_else(|| {
            Failure::Usage("HOME is not set: name the file that the key goes to".to_owned())
        })?,
    };
    let wrong = |error: KeyFileError| Failure::Usage(error.to_string());
    let there = match key_file::load(&path, Access::Group) {
        Ok(_) => true,
        Err(KeyFileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(wrong(error)),
    };
    if let Some(folder) = path.parent().filter(|_| !there) {
        std::fs::create_dir_all(folder).map_err(|error| {
            Failure::Usage(format!("cannot make the folder {}: {error}", folder.display()))
        })?;
    }
    let key = key_file::load_or_create(&path, Access::Owner)
        .or_else(|error| if there { key_file::load(&path, Access::Group) } else { Err(error) })
        .map_err(wrong)?
        .public_key();
    let what = if there { "is there already, and stays as it is" } else { "was made" };
    let note = format!(
        "the key {} {what}. To let it change things, add its public half, printed here, to \
         `admins` in [coordinator] of the coordinator's configuration, and restart that",
        path.display()
    );
    let text = if json {
        let path = path.display().to_string();
        json::to_line(&KeyRow {
            path: &path,
            key: key.to_string(),
            key_id: key_id(&key),
            made: !there,
        })
    } else {
        key.to_string()
    };
    Ok((text + "\n", note))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_lasts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/ctl.key");
        let (made, note) = keygen(Some(&path), false).unwrap();
        assert_eq!(made.trim().len(), 64);
        assert!(note.contains("was made") && note.contains("`admins`"), "{note}");
        let (again, note) = keygen(Some(&path), false).unwrap();
        assert_eq!((again, note.contains("already")), (made.clone(), true));
        let (text, _) = keygen(Some(&path), true).unwrap();
        let row: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((row["key"].as_str(), row["made"].as_bool()), (Some(made.trim()), Some(false)));
        std::fs::write(&path, "no key").unwrap();
        assert_eq!(keygen(Some(&path), false).unwrap_err().exit_code(), 2);
        let below = path.join("x");
        assert_eq!(keygen(Some(&below), false).unwrap_err().exit_code(), 2);
    }
}
