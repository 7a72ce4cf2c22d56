//! The few devices of `/dev`.

use std::path::Path;

use nix::mount::MsFlags;
use nix::sys::stat::{Mode, SFlag, makedev, mknodat};
use nix::unistd::symlinkat;

use super::super::spec::SandboxError;
use super::view::View;

/// A small `/dev` without anything of the host: its devices keep no state but randomness.
pub(super) fn build(view: &View, id_base: u32) -> Result<(), SandboxError> {
    let owner = format!("uid={id_base},gid={id_base}");
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    view.mount("tmpfs", "/dev", flags, &format!("mode=755,size=1m,nr_inodes=1k,{owner}"))?;
    let dev = view.folder(Path::new("/dev"))?;
    for (name, major, minor) in DEVICES {
        let failed = |error| SandboxError::new(format!("make the device {name}"), error);
        let mode = Mode::from_bits_truncate(0o666);
        mknodat(&dev, name, SFlag::S_IFCHR, mode, makedev(major, minor)).map_err(failed)?;
        view.give(&dev, Path::new(name), 0).map_err(failed)?;
    }
    for (name, target) in LINKS {
        let failed = |error| SandboxError::new(format!("link {name} in /dev"), error);
        symlinkat(target, &dev, name).map_err(failed)?;
        view.give(&dev, Path::new(name), 0).map_err(failed)?;
    }
    let group = id_base + TERMINALS_GROUP;
    let terminals = format!("newinstance,ptmxmode=666,mode=620,gid={group}");
    view.mount("devpts", "/dev/pts", flags, &terminals)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    let shared = format!("mode=1777,size={SHARED_BYTES_MAX},{owner}");
    view.mount("tmpfs", "/dev/shm", flags, &shared)
}

/// Name and numbers, as the kernel's list of devices has them.
const DEVICES: [(&str, u64, u64); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// The group `tty` of Debian and Arch Linux.
const TERMINALS_GROUP: u32 = 5;
/// Counts as memory of the run; bounds what a run without a memory limit can take this way.
const SHARED_BYTES_MAX: u64 = 1 << 30;
