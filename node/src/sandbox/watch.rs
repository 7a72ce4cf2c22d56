use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::libc;
use nix::sys::statvfs::fstatvfs;

use super::observed::{Free, Lowest};

/// Looks at what is free on file systems, as often as its owner calls it.
///
/// A full disk leaves no trace: the command's write fails, somebody deletes a file, and all is as
/// before. So the lowest values are kept while the command runs.
#[derive(Debug, Default)]
pub struct Watch {
    devices: BTreeSet<u64>,
    watched: Vec<(File, Free)>,
}

impl Watch {
    /// Watches the file systems of these places, each once. Of a folder that is still to be made
    /// the nearest one above it counts.
    pub fn new<'a>(places: impl IntoIterator<Item = &'a Path>) -> Self {
        let mut watch = Self::default();
        for place in places {
            let opened = place.ancestors().find_map(|folder| open(folder).ok());
            let added = opened.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound));
            if let Err(error) = added.and_then(|file| watch.add(place.to_owned(), file)) {
                tracing::warn!(place = %place.display(), %error, "free space cannot be watched");
            }
        }
        watch
    }

    /// Watches one more, which is shown as `place`.
    pub(super) fn add(&mut self, place: PathBuf, file: File) -> io::Result<()> {
        let found = fstatvfs(&file)?;
        if self.devices.insert(file.metadata()?.dev()) {
            let unit = found.fragment_size();
            let bytes = Lowest::new(found.blocks() * unit, found.blocks_available() * unit);
            let inodes = Lowest::new(found.files(), found.files_available());
            self.watched.push((file, Free { place, bytes, inodes }));
        }
        Ok(())
    }

    /// Looks now.
    pub fn look(&mut self) {
        for (file, free) in &mut self.watched {
            // One that cannot be asked any more (unmounted by force) stays as it was.
            if let Ok(found) = fstatvfs(&*file) {
                free.bytes.look(found.blocks_available() * found.fragment_size());
                free.inodes.look(found.files_available());
            }
        }
    }

    /// Looks a last time and says what was found.
    pub fn finish(mut self) -> Vec<Free> {
        self.look();
        self.watched.into_iter().map(|(_, free)| free).collect()
    }
}

/// Counts processes and threads where no control group does.
#[derive(Debug)]
pub(super) struct Crowd {
    /// The process file system inside, which shows the run's own alone.
    processes: File,
    most: u64,
}

impl Crowd {
    /// Of the namespaces of this process, once their file system is made.
    pub(super) fn of(pid: i32) -> io::Result<Self> {
        Ok(Self { processes: File::open(format!("/proc/{pid}/root/proc"))?, most: 0 })
    }

    /// Counts now.
    pub(super) fn look(&mut self) {
        let folder = PathBuf::from(format!("/proc/self/fd/{}", self.processes.as_raw_fd()));
        let Ok(entries) = fs::read_dir(&folder) else { return };
        let threads = |entry: io::Result<fs::DirEntry>| {
            let name = entry.ok()?.file_name();
            name.to_str()?.parse::<u32>().ok()?;
            // One link for each thread, besides `.` and `..`; none of a process that just ended.
            Some(fs::metadata(folder.join(name).join("task")).ok()?.nlink().saturating_sub(2))
        };
        self.most = self.most.max(entries.filter_map(threads).sum());
    }

    /// Whether so many were seen that the limit may have been reached between two looks.
    pub(super) fn is_near(&self, limit: u32) -> bool {
        self.most >= u64::from(limit) / 4 * 3
    }
}

/// A handle that no symbolic link at the end can lead elsewhere and that allows nothing but asking.
pub(super) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_NOFOLLOW).open(path)
}

/// How many processes this machine's kernel has killed for memory since it started; 0 when it does
/// not say.
pub fn machine_memory_kills() -> u64 {
    count(Path::new("/proc/vmstat"), "oom_kill")
}

/// The number after `word` in a file of lines such as `oom_kill 3`; 0 where there is none.
pub(super) fn count(file: &Path, word: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let number = |line: &str| line.strip_prefix(word)?.strip_prefix(' ')?.trim().parse().ok();
    text.lines().find_map(number).unwrap_or_default()
}

/// Pause between two looks, each of a few microseconds. A write that fails for a full disk makes
/// most programs end, and only then is the space freed: that takes longer. What is filled and freed
/// faster is covered by `Lowest::fall`.
pub const LOOK_EVERY: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_is_watched_once_and_its_lowest_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let absent = folder.path().join("not/yet/there");
        let mut watch = Watch::new([folder.path(), &absent]);
        let before = watch.watched[0].1.bytes.free;
        let file = folder.path().join("big");
        fs::write(&file, vec![1; 64 << 20]).unwrap();
        watch.look();
        fs::remove_file(&file).unwrap();
        let found = watch.finish();
        assert_eq!(found.len(), 1);
        let bytes = found[0].bytes;
        // Others write to the same disk: half of it must have been seen.
        assert!(bytes.free + (32 << 20) < before, "{before} {bytes:?}");
        assert!(bytes.fall > 32 << 20 && bytes.total >= before, "{bytes:?}");
    }

    #[test]
    fn counters_are_read_by_their_word() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("memory.events");
        fs::write(&file, "low 1\noom 2\noom_kill 3\noom_group_kill 4\nmax 5\n").unwrap();
        let words = ["oom", "oom_kill", "max", "absent"].map(|word| count(&file, word));
        assert_eq!(words, [2, 3, 5, 0]);
        assert_eq!(count(&folder.path().join("absent"), "oom"), 0);
    }
}
