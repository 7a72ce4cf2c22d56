use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::{FsFlags, statvfs};

use crate::sandbox;

/// Where the large things of a backend are: on a tmpfs while it has room, else on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folders {
    /// Holds the writable layers of running attempts; absolute. Owned by one backend: what is in
    /// its folder `layers` at the start is left over from a crash and removed.
    pub work_dir: PathBuf,
    /// Holds base roots and fetched packages over restarts; absolute.
    pub cache_dir: PathBuf,
    /// A folder on a tmpfs, used instead of the two above for base roots and writable layers
    /// while it has `memory_free_bytes_min` free: that halves the times. `None`: never.
    pub memory_dir: Option<PathBuf>,
    /// Free bytes below which `memory_dir` gets nothing new.
    pub memory_free_bytes_min: u64,
}

impl Folders {
    /// These two, and nothing on a tmpfs.
    pub fn new(work_dir: PathBuf, cache_dir: PathBuf) -> Self {
        Self { work_dir, cache_dir, memory_dir: None, memory_free_bytes_min: 4 << 30 }
    }

    /// Makes the folders, and removes the layers that an earlier process left.
    pub(crate) fn open(&self) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.work_dir)?;
        std::fs::create_dir_all(&self.cache_dir)?;
        if let Some(dir) = &self.memory_dir {
            std::fs::create_dir_all(dir)?;
        }
        for home in self.layer_homes() {
            std::fs::create_dir_all(&home)?;
            std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o700))?;
            for entry in std::fs::read_dir(&home)? {
                remove_left_over(&entry?.path());
            }
        }
        Ok(())
    }

    /// Where the next base root goes.
    pub(crate) fn base_home(&self) -> PathBuf {
        bases(&self.memory().unwrap_or_else(|| self.cache_dir.clone()))
    }

    /// Where base roots may be.
    pub(crate) fn base_homes(&self) -> Vec<PathBuf> {
        let memory = self.memory_dir.iter();
        memory.chain([&self.cache_dir]).map(|dir| bases(dir)).collect()
    }

    /// Where the next writable layer goes.
    pub(crate) fn layer_home(&self) -> PathBuf {
        layers(&self.memory().unwrap_or_else(|| self.work_dir.clone()))
    }

    /// Where the writable layers of attempts may be.
    pub(crate) fn layer_homes(&self) -> Vec<PathBuf> {
        let memory = self.memory_dir.iter();
        memory.chain([&self.work_dir]).map(|dir| layers(dir)).collect()
    }

    /// Tries again to delete what could not be deleted before.
    pub(crate) async fn sweep(&self) {
        for home in self.layer_homes().into_iter().chain(self.base_homes()) {
            sandbox::sweep(&home).await;
        }
    }

    /// The folder on a tmpfs, while it is of use.
    fn memory(&self) -> Option<PathBuf> {
        let dir = self.memory_dir.as_ref()?;
        let is_executable = !statvfs(dir).ok()?.flags().contains(FsFlags::ST_NOEXEC);
        let has_room = free_bytes(dir)? >= self.memory_free_bytes_min;
        let is_dear = available_memory().is_some_and(|free| free < self.memory_free_bytes_min);
        (is_executable && has_room && !is_dear).then(|| dir.clone())
    }
}

fn bases(home: &Path) -> PathBuf {
    home.join("bases")
}

fn layers(home: &Path) -> PathBuf {
    home.join("layers")
}

/// Bytes that are still free at `path`; `None` when that cannot be told.
fn free_bytes(path: &Path) -> Option<u64> {
    let state = statvfs(path).ok()?;
    Some(state.blocks_available() * state.fragment_size())
}

/// Removes what a crashed process left behind. What stays is in nobody's way, and is tried again
/// later.
pub(crate) fn remove_left_over(path: &Path) {
    tracing::info!(path = %path.display(), "removes what was left over");
    if let Err(error) = sandbox::clear_blocking(path) {
        tracing::warn!(target: "rebuilder", "a left-over stays: {error}");
    }
}

/// What the kernel says is available without swapping; `None` when it does not say.
fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}
