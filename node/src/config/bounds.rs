use core::fmt;
use std::path::Path;

use super::file;
use super::value::Bound;
use crate::backend::memory_total;
use crate::sandbox::GroupLimits;

/// What one build may take of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of memory; `None`: not limited.
    pub memory_bytes_max: Option<u64>,
    /// Bytes on disk; `None`: not limited.
    pub disk_bytes_max: Option<u64>,
    /// Processes and threads at a time; `None`: not limited.
    pub processes_max: Option<u32>,
    /// Bytes of log in a second, above which it waits; `None`: not limited.
    pub log_bytes_per_sec_max: Option<u64>,
    /// Bytes of all outputs together; `None`: not limited.
    pub outputs_bytes_max: Option<u64>,
}

/// What the machine has for all slots together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Machine {
    /// Bytes of memory, at most what the worker's control group allows; `None`: unknown.
    pub(super) memory_bytes: Option<u64>,
    /// Bytes of the disk of `work_dir`, and what is free of them; `None`: unknown.
    pub(super) disk_bytes: Option<(u64, u64)>,
    /// Processes and threads that may exist; `None`: unknown.
    pub(super) processes: Option<u64>,
}

impl Machine {
    /// Asks the kernel, when the worker starts.
    pub(super) fn measure(work_dir: &Path) -> Self {
        let limits = GroupLimits::read();
        let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
        let processes = ["/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"];
        // Before the first start there is no such folder.
        let disk = work_dir.ancestors().find_map(|dir| nix::sys::statvfs::statvfs(dir).ok());
        Self {
            memory_bytes: memory_total().into_iter().chain(limits.memory_bytes).min(),
            disk_bytes: disk.map(|found| {
                let unit = found.fragment_size();
                (found.blocks() * unit, found.blocks_available() * unit)
            }),
            processes: processes.iter().filter_map(|p| number(p)).chain(limits.processes).min(),
        }
    }
}

impl Bounds {
    /// What is configured, or else a slot's share of the machine. What is switched off is named in
    /// `warnings`.
    pub(super) fn new(
        file: &file::Worker,
        machine: Machine,
        slots: u16,
        warnings: &mut Vec<String>,
    ) -> Self {
        let slots = u64::from(slots);
        let memory = machine.memory_bytes.map(|total| {
            let reserve = (total / 16).max(MEMORY_RESERVE_BYTES_MIN);
            (total.saturating_sub(reserve) / slots).max(MEMORY_BYTES_MIN)
        });
        let disk = machine.disk_bytes.map(|(total, free)| {
            let reserve = (total / 16).min(DISK_RESERVE_BYTES_MAX);
            (free.saturating_sub(reserve) / slots).max(DISK_BYTES_MIN)
        });
        let processes = machine.processes.map_or(PROCESSES_MAX, |all| {
            let share = u32::try_from(all * 3 / 4 / slots).unwrap_or(u32::MAX);
            share.clamp(PROCESSES_MIN, PROCESSES_MAX)
        });
        let log = (LOG_BYTES_PER_SEC / slots).max(LOG_BYTES_PER_SEC_MIN);
        let mut off = Vec::new();
        let mut bytes = |key, given: Option<Bound<_>>, usual| match given {
            None => usual,
            Some(Bound::At(super::value::Size(bytes))) => Some(bytes),
            Some(Bound::None) => {
                off.push(key);
                None
            }
        };
        let bounds = Self {
            memory_bytes_max: bytes("memory_bytes_max", file.memory_bytes_max, memory),
            disk_bytes_max: bytes("disk_bytes_max", file.disk_bytes_max, disk.map(|b| b / 4 * 3)),
            log_bytes_per_sec_max: bytes(
                "log_bytes_per_sec_max",
                file.log_bytes_per_sec_max,
                Some(log),
            ),
            outputs_bytes_max: bytes(
                "outputs_bytes_max",
                file.outputs_bytes_max,
                disk.map(|b| b / 4),
            ),
            processes_max: match file.processes_max {
                None => Some(processes),
                Some(Bound::At(number)) => Some(number.0),
                Some(Bound::None) => {
                    off.push("processes_max");
                    None
                }
            },
        };
        warnings.extend(off.into_iter().map(|key| {
            format!("`{key}` is switched off: one build can take all that the machine has of it")
        }));
        bounds
    }
}

impl fmt::Display for Bounds {
    /// All of them, for the summary and the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or = |value: Option<u64>| value.map_or_else(|| "no limit".into(), |v| v.to_string());
        write!(
            f,
            "{} bytes of memory, {} of disk, {} of outputs, {} of log a second; {} processes",
            or(self.memory_bytes_max),
            or(self.disk_bytes_max),
            or(self.outputs_bytes_max),
            or(self.log_bytes_per_sec_max),
            or(self.processes_max.map(u64::from)),
        )
    }
}

/// Left to the kernel, the worker and what else runs here.
const MEMORY_RESERVE_BYTES_MIN: u64 = 512 << 20;
/// A small package is still built with this.
const MEMORY_BYTES_MIN: u64 = 512 << 20;
/// Left to base roots, fetched packages and what else is on the disk.
const DISK_RESERVE_BYTES_MAX: u64 = 16 << 30;
/// An environment and a small package.
const DISK_BYTES_MIN: u64 = 1 << 30;
/// More than any build starts; fewer where a fork bomb would take the machine's.
const PROCESSES_MAX: u32 = 16_384;
const PROCESSES_MIN: u32 = 256;
/// Of all slots together, a tenth of what a worker can keep and send. Compilers print less than a
/// megabyte in a second.
const LOG_BYTES_PER_SEC: u64 = 16 << 20;
const LOG_BYTES_PER_SEC_MIN: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::value::Size;

    const M: u64 = 1 << 20;
    const G: u64 = 1 << 30;

    fn derived(machine: Machine, slots: u16) -> Bounds {
        let mut warnings = Vec::new();
        let bounds = Bounds::new(&file::Worker::default(), machine, slots, &mut warnings);
        assert_eq!(warnings, [""; 0]);
        bounds
    }

    #[test]
    fn a_slot_gets_its_share_of_the_machine() {
        let machine = Machine {
            memory_bytes: Some(32 * G),
            disk_bytes: Some((320 * G, 216 * G)),
            processes: Some(32_768),
        };
        let share = |memory, disk, processes, log, outputs| Bounds {
            memory_bytes_max: Some(memory),
            disk_bytes_max: Some(disk),
            processes_max: Some(processes),
            log_bytes_per_sec_max: Some(log),
            outputs_bytes_max: Some(outputs),
        };
        assert_eq!(derived(machine, 1), share(30 * G, 150 * G, 16_384, 16 * M, 50 * G));
        assert_eq!(derived(machine, 2), share(15 * G, 75 * G, 12_288, 8 * M, 25 * G));
        let small = Machine {
            memory_bytes: Some(1500 * M),
            disk_bytes: Some((4 * G, 3 * G)),
            processes: Some(400),
        };
        assert_eq!(derived(small, 1), share(988 * M, 2112 * M, 300, 16 * M, 704 * M));
        // Never so little that nothing can be built.
        assert_eq!(derived(small, 64), share(512 * M, 768 * M, 256, M, 256 * M));
    }

    #[test]
    fn what_is_unknown_is_not_limited_but_by_constants() {
        let unknown = Machine { memory_bytes: None, disk_bytes: None, processes: None };
        let bounds = derived(unknown, 1);
        assert_eq!((bounds.memory_bytes_max, bounds.disk_bytes_max), (None, None));
        assert_eq!(bounds.processes_max, Some(16_384));
    }

    #[test]
    fn each_can_be_set_and_switched_off_with_a_warning() {
        let machine = Machine::measure(Path::new("/nonexistent/yet"));
        assert!(machine.memory_bytes.is_some() && machine.disk_bytes.is_some());
        let file: file::Worker = toml::from_str(
            "memory_bytes_max = 'none'\ndisk_bytes_max = '3 GiB'\nprocesses_max = 'none'\n\
             log_bytes_per_sec_max = 5\noutputs_bytes_max = 'none'\n",
        )
        .unwrap();
        assert_eq!(file.disk_bytes_max, Some(Bound::At(Size(3 * G))));
        let mut warnings = Vec::new();
        let bounds = Bounds::new(&file, machine, 1, &mut warnings);
        let expected = Bounds {
            memory_bytes_max: None,
            disk_bytes_max: Some(3 * G),
            processes_max: None,
            log_bytes_per_sec_max: Some(5),
            outputs_bytes_max: None,
        };
        assert_eq!(bounds, expected);
        assert_eq!(warnings.len(), 3);
        for key in ["memory_bytes_max", "processes_max", "outputs_bytes_max"] {
            assert!(warnings.iter().any(|warning| warning.contains(key)), "{warnings:?}");
        }
        for wrong in ["memory_bytes_max = 'all'", "processes_max = 3", "processes_max = 'nothing'"]
        {
            assert!(toml::from_str::<file::Worker>(wrong).is_err(), "{wrong}");
        }
    }
}
