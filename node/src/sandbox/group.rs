use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::cgroup::Layout;
use super::spec::{Limits, SandboxError};
use super::watch::count;

/// The control groups of one run, made and removed by its monitor. They exist with and without a
/// limit, because they count: a process of the run that the kernel kills for memory is seen in the
/// run's own group, whoever's limit was reached.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// Every folder that was made.
    folders: Vec<PathBuf>,
    /// Which processes were killed for memory.
    kills: Vec<Counter>,
    /// Which new processes were refused.
    refusals: Vec<Counter>,
}

/// What a run's control groups have counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) memory_kills: u64,
    pub(super) forks_refused: u64,
}

/// A line of a file of the kernel that only grows.
#[derive(Debug)]
struct Counter {
    file: PathBuf,
    word: &'static str,
    before: u64,
}

impl Counter {
    fn new(file: PathBuf, word: &'static str) -> Self {
        let before = count(&file, word);
        Self { file, word, before }
    }

    fn grown(&self) -> u64 {
        count(&self.file, self.word).saturating_sub(self.before)
    }
}

impl Group {
    /// Makes the groups with their limits.
    pub(super) fn create(layout: &Layout, limits: &Limits) -> Result<Self, SandboxError> {
        let mut group = Self::default();
        match group.fill(layout, limits) {
            Ok(()) => Ok(group),
            Err(error) => {
                group.remove();
                Err(error)
            }
        }
    }

    fn fill(&mut self, layout: &Layout, limits: &Limits) -> Result<(), SandboxError> {
        let (memory, pids) = match layout {
            Layout::Absent => (None, None),
            Layout::Separate { memory, pids } => (memory.as_ref(), pids.as_ref()),
            Layout::Unified { parent } => {
                let folder = self.add(parent)?;
                set_processes(&folder, limits)?;
                self.count_refusals(&folder);
                if let Some(bytes) = limits.memory_bytes {
                    set(&folder, "memory.max", &bytes.to_string())?;
                    set_if_present(&folder, "memory.swap.max", "0")?;
                }
                // Half a build that goes on after the kill helps nobody.
                set_if_present(&folder, "memory.oom.group", "1")?;
                let events = folder.join("memory.events");
                self.kills = vec![
                    Counter::new(events.clone(), "oom_kill"),
                    // About to fail with nothing left to kill.
                    Counter::new(events, "oom"),
                ];
                return Ok(());
            }
        };
        if let Some(parent) = memory {
            let folder = self.add(parent)?;
            if let Some(bytes) = limits.memory_bytes {
                set(&folder, "memory.limit_in_bytes", &bytes.to_string())?;
                // Memory and swap together; the file is absent where swap is not accounted.
                set_if_present(&folder, "memory.memsw.limit_in_bytes", &bytes.to_string())?;
            }
            self.kills.push(Counter::new(folder.join("memory.oom_control"), "oom_kill"));
        } else {
            // The machine's counter names no run: a neighbour's kill makes a failure a fault too.
            self.kills.push(Counter::new("/proc/vmstat".into(), "oom_kill"));
        }
        if let Some(parent) = pids {
            let folder = self.add(parent)?;
            set_processes(&folder, limits)?;
            self.count_refusals(&folder);
        }
        Ok(())
    }

    /// A limit of any group above (the service's `TasksMax`) refuses forks as well. Before Linux
    /// 6.12 and in version 1 the group that was refused counts, since then the one whose limit it
    /// was.
    fn count_refusals(&mut self, folder: &Path) {
        let files = folder.ancestors().map(|folder| folder.join("pids.events"));
        let files = files.take_while(|file| file.exists());
        self.refusals = files.map(|file| Counter::new(file, "max")).collect();
    }

    fn add(&mut self, parent: &Path) -> Result<PathBuf, SandboxError> {
        let mut last = None;
        for number in 0..NAMES_MAX {
            let folder = parent.join(format!("rebuilder-{}-{number}", std::process::id()));
            match fs::create_dir(&folder) {
                Ok(()) => {
                    self.folders.push(folder.clone());
                    return Ok(folder);
                }
                Err(error) => last = Some(error),
            }
        }
        let reason = last.map_or_else(String::new, |error| error.to_string());
        Err(SandboxError::new(format!("make a control group in {}", parent.display()), reason))
    }

    /// Puts a process in, and with it all that it starts later.
    pub(super) fn admit(&self, pid: i32) -> Result<(), SandboxError> {
        self.folders.iter().try_for_each(|folder| set(folder, "cgroup.procs", &pid.to_string()))
    }

    /// Whether refused processes are counted here.
    pub(super) fn counts_processes(&self) -> bool {
        !self.refusals.is_empty()
    }

    /// Whether this run alone was refused so many processes that it does nothing else any more: a
    /// fork bomb keeps a processor busy by asking.
    pub(super) fn is_bomb(&self) -> bool {
        // The groups above, which come next, count for others too.
        self.refusals.first().is_some_and(|own| own.grown() >= REFUSALS_MAX)
    }

    /// What was counted since the groups were made.
    pub(super) fn counts(&self) -> Counts {
        Counts {
            memory_kills: self.kills.iter().map(Counter::grown).max().unwrap_or_default(),
            forks_refused: self.refusals.iter().map(Counter::grown).max().unwrap_or_default(),
        }
    }

    /// Removes the groups once their processes are gone.
    pub(super) fn remove(self) {
        for folder in self.folders {
            for _ in 0..REMOVALS_MAX {
                match fs::remove_dir(&folder) {
                    // The kernel lets go of ended processes a little later.
                    Err(error) if error.raw_os_error() == Some(nix::libc::EBUSY) => {
                        thread::sleep(Duration::from_millis(10));
                    }
                    _ => break,
                }
            }
        }
    }
}

fn set_processes(folder: &Path, limits: &Limits) -> Result<(), SandboxError> {
    if limits.processes == u32::MAX {
        return Ok(());
    }
    set(folder, "pids.max", &limits.processes.saturating_add(OUR_PROCESSES).to_string())
}

fn set(folder: &Path, file: &str, value: &str) -> Result<(), SandboxError> {
    let file = folder.join(file);
    fs::write(&file, value)
        .map_err(|error| SandboxError::new(format!("write {value} to {}", file.display()), error))
}

fn set_if_present(folder: &Path, file: &str, value: &str) -> Result<(), SandboxError> {
    let path = folder.join(file);
    match fs::metadata(&path).map_err(|error| error.kind()) {
        Err(io::ErrorKind::NotFound) => Ok(()),
        _ => set(folder, file, value),
    }
}

/// The first process, and the one that makes sockets.
const OUR_PROCESSES: u32 = 2;
/// Programs that are refused a process give up or wait a second; a shell tries four times. A bomb
/// needs less than a second for as many.
const REFUSALS_MAX: u64 = 20_000;
/// Names that are tried: others can only be left over from monitors that were killed.
const NAMES_MAX: u32 = 16;
/// Two seconds.
const REMOVALS_MAX: u32 = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            wall: Duration::from_secs(1),
            memory_bytes: Some(1 << 20),
            processes: 9,
            file_bytes: None,
            disk_bytes: None,
            output_bytes_per_sec: None,
        }
    }

    /// Folders that stand for the control file system have no files of their own.
    #[test]
    fn a_unified_group_limits_memory_and_processes_and_counts() {
        let parent = tempfile::tempdir().unwrap();
        let layout = Layout::Unified { parent: parent.path().to_owned() };
        let group = Group::create(&layout, &limits()).unwrap();
        let folder = group.folders[0].clone();
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        assert_eq!((read("memory.max").as_str(), read("pids.max").as_str()), ("1048576", "11"));
        group.admit(77).unwrap();
        assert_eq!(read("cgroup.procs"), "77");
        assert_eq!(group.counts(), Counts::default());
        fs::write(folder.join("memory.events"), "low 0\noom 0\noom_kill 2\n").unwrap();
        assert_eq!(group.counts().memory_kills, 2);
        fs::write(folder.join("memory.events"), "low 0\noom 1\noom_kill 0\n").unwrap();
        assert_eq!(group.counts().memory_kills, 1);
    }

    #[test]
    fn groups_exist_without_a_limit_and_count() {
        let parents = ["memory", "pids"].map(|_| tempfile::tempdir().unwrap());
        // The worker's own group has refused some before this run.
        fs::write(parents[1].path().join("pids.events"), "max 4\n").unwrap();
        let layout = Layout::Separate {
            memory: Some(parents[0].path().to_owned()),
            pids: Some(parents[1].path().to_owned()),
        };
        let unlimited = Limits { memory_bytes: None, processes: u32::MAX, ..limits() };
        let mut group = Group::create(&layout, &unlimited).unwrap();
        let [memory, pids] = [group.folders[0].clone(), group.folders[1].clone()];
        assert!(!memory.join("memory.limit_in_bytes").exists() && !pids.join("pids.max").exists());
        fs::write(pids.join("pids.events"), "max 0\n").unwrap();
        group.count_refusals(&pids);
        assert_eq!(group.counts(), Counts::default());
        fs::write(memory.join("memory.oom_control"), "under_oom 0\noom_kill 1\n").unwrap();
        fs::write(parents[1].path().join("pids.events"), "max 6\n").unwrap();
        assert_eq!(group.counts(), Counts { memory_kills: 1, forks_refused: 2 });
        fs::write(pids.join("pids.events"), "max 5\n").unwrap();
        assert_eq!(group.counts().forks_refused, 5);
        // A neighbour's bomb is not this run's.
        fs::write(parents[1].path().join("pids.events"), "max 90000\n").unwrap();
        assert!(!group.is_bomb());
        fs::write(pids.join("pids.events"), "max 20000\n").unwrap();
        assert!(group.is_bomb());
    }

    #[test]
    fn a_group_that_cannot_be_made_is_an_error() {
        let parent = tempfile::tempdir().unwrap();
        let layout = Layout::Separate {
            memory: Some(parent.path().to_owned()),
            pids: Some(parent.path().join("absent")),
        };
        let error = Group::create(&layout, &limits()).unwrap_err();
        assert!(error.to_string().contains("make a control group in"), "{error}");
    }
}
