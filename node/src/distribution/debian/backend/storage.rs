//! Where the large things are: on a tmpfs while it has room, else on the disk.

use std::path::{Path, PathBuf};

use nix::sys::statvfs::{FsFlags, statvfs};

use super::settings::DebianSettings;
use crate::sandbox;

/// Where the next base root or writable layer goes.
pub(super) fn home(settings: &DebianSettings) -> PathBuf {
    memory(settings).unwrap_or_else(|| settings.cache_dir.clone())
}

/// Where base roots may be.
pub(super) fn homes(settings: &DebianSettings) -> Vec<PathBuf> {
    let memory = settings.memory_dir.clone();
    memory.into_iter().chain([settings.cache_dir.clone()]).collect()
}

/// Where the writable layers of attempts may be.
pub(super) fn layer_homes(settings: &DebianSettings) -> Vec<PathBuf> {
    let memory = settings.memory_dir.clone();
    memory.into_iter().chain([settings.work_dir.clone()]).map(|dir| dir.join("layers")).collect()
}

/// Where the next writable layer goes.
pub(super) fn layer_home(settings: &DebianSettings) -> PathBuf {
    memory(settings).unwrap_or_else(|| settings.work_dir.clone()).join("layers")
}

/// Bytes that are still free at `path`; `None` when that cannot be told.
pub(super) fn free_bytes(path: &Path) -> Option<u64> {
    let state = statvfs(path).ok()?;
    Some(state.blocks_available() * state.fragment_size())
}

/// Removes what a crashed process left behind. What stays is in nobody's way, and is tried again
/// later.
pub(super) fn remove_left_over(path: &Path) {
    tracing::info!(path = %path.display(), "removes what was left over");
    if let Err(error) = sandbox::clear_blocking(path) {
        tracing::warn!(target: "rebuilder", "a left-over stays: {error}");
    }
}

/// Tries again to delete what could not be deleted before.
pub(super) async fn sweep(settings: &DebianSettings) {
    for home in
        layer_homes(settings).into_iter().chain(homes(settings).iter().map(|home| base_home(home)))
    {
        sandbox::sweep(&home).await;
    }
}

/// Where base roots are below one of [`homes`].
pub(super) fn base_home(home: &Path) -> PathBuf {
    home.join("bases")
}

fn memory(settings: &DebianSettings) -> Option<PathBuf> {
    let dir = settings.memory_dir.as_ref()?;
    let is_executable = !statvfs(dir).ok()?.flags().contains(FsFlags::ST_NOEXEC);
    let has_room = free_bytes(dir)? >= settings.memory_free_bytes_min;
    let is_dear = available_memory().is_some_and(|free| free < settings.memory_free_bytes_min);
    (is_executable && has_room && !is_dear).then(|| dir.clone())
}

/// What the kernel says is available without swapping; `None` when it does not say.
fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}
