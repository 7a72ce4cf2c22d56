use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::cgroup::Layout;
use super::spec::{Limits, SandboxError};

/// The control groups of one run, made and removed by its monitor.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// Every folder that was made.
    folders: Vec<PathBuf>,
    /// The file whose line `oom_kill` counts the processes killed for memory; `None`: no limit.
    kills: Option<PathBuf>,
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
        // One more: the first process, which is ours.
        let processes = limits.processes.saturating_add(1).to_string();
        match layout {
            Layout::Absent => {}
            Layout::Separate { memory, pids } => {
                if let (Some(parent), Some(bytes)) = (memory, limits.memory_bytes) {
                    let folder = self.add(parent)?;
                    set(&folder, "memory.limit_in_bytes", &bytes.to_string())?;
                    // Memory and swap together; the file is absent where swap is not accounted.
                    set_if_present(&folder, "memory.memsw.limit_in_bytes", &bytes.to_string())?;
                    self.kills = Some(folder.join("memory.oom_control"));
                }
                if let Some(parent) = pids {
                    let folder = self.add(parent)?;
                    set(&folder, "pids.max", &processes)?;
                }
            }
            Layout::Unified { parent } => {
                let folder = self.add(parent)?;
                set(&folder, "pids.max", &processes)?;
                if let Some(bytes) = limits.memory_bytes {
                    set(&folder, "memory.max", &bytes.to_string())?;
                    set_if_present(&folder, "memory.swap.max", "0")?;
                    set_if_present(&folder, "memory.oom.group", "1")?;
                    self.kills = Some(folder.join("memory.events"));
                }
            }
        }
        Ok(())
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

    /// Whether the kernel killed a process for memory.
    pub(super) fn out_of_memory(&self) -> bool {
        let Some(file) = &self.kills else { return false };
        let text = fs::read_to_string(file).unwrap_or_default();
        let kills = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        kills.is_some_and(|kills| kills.trim() != "0")
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
        }
    }

    #[test]
    fn a_unified_group_limits_memory_and_processes_and_tells_of_kills() {
        // A folder that stands for the control file system: it has no files of its own.
        let parent = tempfile::tempdir().unwrap();
        let layout = Layout::Unified { parent: parent.path().to_owned() };
        let group = Group::create(&layout, &limits()).unwrap();
        let folder = group.folders[0].clone();
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        assert_eq!((read("memory.max").as_str(), read("pids.max").as_str()), ("1048576", "10"));
        group.admit(77).unwrap();
        assert_eq!(read("cgroup.procs"), "77");
        assert!(!group.out_of_memory());
        fs::write(folder.join("memory.events"), "low 0\noom 1\noom_kill 0\n").unwrap();
        assert!(!group.out_of_memory());
        fs::write(folder.join("memory.events"), "low 0\noom 1\noom_kill 2\n").unwrap();
        assert!(group.out_of_memory());
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
