//! Writes that are durable in their order: what sled takes for granted.

use std::fs::File;
use std::path::Path;

use rebuilder_actors::port::StoreError;
use rustix::fs::{FsWord, IFlags};
use rustix::io::Errno;

use crate::data_dir::io_error;

/// `TMPFS_MAGIC` and `RAMFS_MAGIC` of Linux' `magic.h`.
const IN_MEMORY: [FsWord; 2] = [0x0102_1994, 0x8584_58f6];

/// Sets the attribute `S` of `file` at `path`, where the file system has it (ext4, xfs, btrfs,
/// f2fs). In memory, where nothing outlives a power cut, it is not needed.
///
/// `assume`: an operator says that the file system writes synchronously by itself.
///
/// # Errors
/// It has no such attribute, and nobody said so: a power cut could then take away all that is in
/// the file (ADR 0003).
pub(super) fn make_synchronous(file: &File, path: &Path, assume: bool) -> Result<(), StoreError> {
    let set = rustix::fs::ioctl_getflags(file).and_then(|flags| {
        let wanted = flags | IFlags::SYNC;
        if flags == wanted { Ok(()) } else { rustix::fs::ioctl_setflags(file, wanted) }
    });
    let kind = rustix::fs::fstatfs(file).map(|fs| fs.f_type);
    let kind = kind.map_err(|e| io_error("look at the file system of", path, &e.into()))?;
    judge(set, kind, assume).map_err(|reason| StoreError::Io {
        action: "keep the store in",
        path: path.display().to_string(),
        reason,
    })
}

fn judge(set: Result<(), Errno>, kind: FsWord, assume: bool) -> Result<(), String> {
    match set {
        Err(error) if !assume && !IN_MEMORY.contains(&kind) => Err(format!(
            "its file system (type {kind:#x}) cannot mark a file synchronous (attribute S: \
             {error}), so that a power cut could destroy it: move data_dir to ext4, xfs or btrfs, \
             or, where the file system itself writes synchronously (mount option `sync`, ZFS with \
             sync=always), set coordinator.synchronous_file_system = true"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXT4: FsWord = 0xef53;
    const ZFS: FsWord = 0x2fc1_2fc1;

    #[test]
    fn a_file_system_without_synchronous_files_is_refused_with_a_way_out() {
        let no = Err(Errno::OPNOTSUPP);
        assert_eq!(judge(Ok(()), EXT4, false), Ok(()));
        assert_eq!(judge(no, IN_MEMORY[0], false), Ok(()));
        assert_eq!(judge(no, ZFS, true), Ok(()));
        let reason = judge(no, ZFS, false).unwrap_err();
        assert!(reason.contains("0x2fc12fc1") && reason.contains("data_dir"), "{reason}");
    }

    #[test]
    fn a_file_gets_the_attribute_or_lies_in_memory() {
        let file = tempfile::NamedTempFile::new().unwrap();
        make_synchronous(file.as_file(), file.path(), false).unwrap();
        let kind = rustix::fs::fstatfs(file.as_file()).unwrap().f_type;
        let flags = rustix::fs::ioctl_getflags(file.as_file());
        assert!(flags.is_ok_and(|f| f.contains(IFlags::SYNC)) || IN_MEMORY.contains(&kind));
    }
}
