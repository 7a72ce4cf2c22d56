use std::path::Path;

use nix::sys::statvfs::statvfs;

/// Free bytes and inodes of a disk below which no build begins: no package is built with less, and
/// logs and reports of this worker need some themselves.
const BYTES_MIN: u64 = 256 << 20;
const INODES_MIN: u64 = 2_000;

/// Why nothing can be built in `folder`; `None`: it can be written to, and there is room.
pub fn room(folder: &Path) -> Option<String> {
    let probe = folder.join(".rebuilder-probe");
    let written = std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&probe, b"x"))
        .and_then(|()| std::fs::remove_file(&probe));
    if let Err(error) = written {
        let place = folder.display();
        return Some(format!("cannot write to {place}: {error}: make it writable, or free space"));
    }
    let found = statvfs(folder).ok()?;
    let bytes = found.blocks_available() * found.fragment_size();
    // Some file systems make inodes as they are needed, and count none.
    let inodes = if found.files() == 0 { u64::MAX } else { found.files_available() };
    missing(bytes, inodes).map(|what| format!("{}: {what}: free some", folder.display()))
}

fn missing(bytes: u64, inodes: u64) -> Option<String> {
    if bytes < BYTES_MIN {
        return Some(format!("{} MiB are free, {} are needed", bytes >> 20, BYTES_MIN >> 20));
    }
    if inodes < INODES_MIN {
        return Some(format!("{inodes} inodes are free, {INODES_MIN} are needed"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_and_one_without_inodes_are_named() {
        assert_eq!(missing(BYTES_MIN, INODES_MIN), None);
        assert_eq!(missing(1 << 20, 9_000).unwrap(), "1 MiB are free, 256 are needed");
        assert_eq!(missing(1 << 40, 7).unwrap(), "7 inodes are free, 2000 are needed");
    }

    #[test]
    fn a_folder_that_cannot_be_written_to_is_named() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(room(&folder.path().join("made")), None);
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let reason = room(&file.join("below")).unwrap();
        assert!(reason.contains("cannot write to") && reason.contains("file/below"), "{reason}");
    }
}
