//! A small file system of its own for a test.

use std::path::{Path, PathBuf};
use std::process::Command;

/// An ext4 on a loop device, mounted until it is dropped.
pub struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    /// `None`, with a loud message: there is no loop device or no mkfs here.
    pub fn new(bytes: u64, inodes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let (image, at) = (folder.path().join("image"), folder.path().join("at"));
        std::fs::create_dir(&at).unwrap();
        std::fs::File::create(&image).unwrap().set_len(bytes).unwrap();
        let made = run("mkfs.ext4", &["-q", "-F", "-m", "0", "-N", &inodes.to_string()], &[&image])
            && run("mount", &["-o", "loop"], &[&image, &at]);
        if !made {
            eprintln!("SKIPPED: no small file system can be made here");
            return None;
        }
        Some(Self { folder })
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("at")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run("umount", &[], &[&self.path()]);
    }
}

fn run(program: &str, arguments: &[&str], paths: &[&Path]) -> bool {
    let status = Command::new(program).args(arguments).args(paths).status();
    status.is_ok_and(|status| status.success())
}
