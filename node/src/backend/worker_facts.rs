//! What a worker has to offer.

use std::io;
use std::path::Path;

use rebuilder_actors::domain::architecture::aliases;

/// Bytes of memory that could be used now without swapping.
///
/// # Errors
/// The kernel does not say.
pub fn memory_available() -> io::Result<u64> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    meminfo(&text, "MemAvailable:")
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/meminfo: no MemAvailable"))
}

/// Bytes of memory that this machine has; `None` when the kernel does not say.
pub fn memory_total() -> Option<u64> {
    meminfo(&std::fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")
}

/// Bytes that the worker's user may still write to the file system of `path`.
///
/// # Errors
/// The file system cannot be asked.
pub fn disk_free(path: &Path) -> io::Result<u64> {
    let found = nix::sys::statvfs::statvfs(path)?;
    Ok(found.blocks_available().saturating_mul(found.fragment_size()))
}

/// Architectures that this machine builds for when nothing is configured: its own, under all its
/// names, and `all` and `any`, which every machine can build.
pub fn architectures() -> Vec<String> {
    let mut names: Vec<String> =
        aliases(std::env::consts::ARCH).iter().map(|&name| name.to_owned()).collect();
    if names.is_empty() {
        names.push(std::env::consts::ARCH.to_owned());
    }
    names.extend(["all", "any"].map(str::to_owned));
    names
}

fn meminfo(text: &str, word: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(word))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        let text = "MemTotal:  8000000 kB\nMemFree: 1 kB\nMemAvailable:    2048 kB\n";
        assert_eq!(meminfo(text, "MemAvailable:"), Some(2 << 20));
        assert_eq!(meminfo("MemTotal: 1 kB\n", "MemAvailable:"), None);
        assert!(memory_total().unwrap() > memory_available().unwrap());
        assert!(memory_available().unwrap() > 1 << 20);
    }

    #[test]
    fn a_disk_has_room_and_a_missing_one_is_an_error() {
        assert!(disk_free(&std::env::temp_dir()).unwrap() > 0);
        assert!(disk_free(Path::new("/nonexistent")).is_err());
    }

    #[test]
    fn this_machine_offers_its_own_architecture() {
        let names = architectures();
        assert!(names.iter().any(|name| name == std::env::consts::ARCH), "{names:?}");
        assert!(names.iter().any(|name| name == "all"), "{names:?}");
    }
}
