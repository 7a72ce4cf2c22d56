//! Small steps that durable files share: make a folder, sync it, replace a file as a whole.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Creates `path` and what is missing above it, for the owner and its group only (mode 0750), all
/// names durable. A folder that is there already may be from a process that was killed before it
/// synced the name, so that is done again.
pub fn make_dir(path: &Path) -> io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Ok(()),
    };
    if !parent.exists() {
        make_dir(parent)?;
    }
    match DirBuilder::new().mode(0o750).create(path) {
        Ok(()) => sync_dir(parent),
        Err(e) if !path.is_dir() => Err(e),
        // An administrator made it, in a place that is closed to us.
        Err(_) => match sync_dir(parent) {
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            synced => synced,
        },
    }
}

/// Makes the names in the folder `path` durable.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Creates (or empties) the file `path` with mode 0640 and writes `content`, durably. The name
/// itself is durable only after `sync_dir`.
pub fn write_synced(path: &Path, content: &[&[u8]]) -> io::Result<()> {
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(path)?;
    for bytes in content {
        file.write_all(bytes)?;
    }
    file.sync_data()
}

/// True for an error that says that no space (or quota) is left.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_closed_to_others() {
        use std::os::unix::fs::PermissionsExt as _;
        let top = tempfile::tempdir().unwrap();
        let dir = top.path().join("a/b");
        make_dir(&dir).unwrap();
        make_dir(&dir).unwrap();
        assert_eq!(std::fs::metadata(&dir).unwrap().permissions().mode() & 0o007, 0);
    }
}
