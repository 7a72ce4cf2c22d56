use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What the kernel and the file systems showed while a command ran: counted and measured from
/// outside, never read from what was printed. Whether it matters is decided elsewhere
/// (`backend::shortage`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// Processes that the kernel killed for memory, whichever limit was the cause. Of the run
    /// alone where it has a memory control group, else of the whole machine meanwhile.
    pub memory_kills: u64,
    /// Times that the kernel refused a new process or thread for a limit on their number: the
    /// run's own, or one of the control groups in which the worker itself is.
    pub forks_refused: u64,
    /// The length of a file, sparse or not, that is larger than `Limits::disk_bytes`, as seen at a
    /// look; `None`: none was seen.
    pub large_file_bytes: Option<u64>,
    /// Each file system that the command could write to, once.
    pub file_systems: Vec<Free>,
}

impl Observed {
    /// Adds what another run of the same attempt showed.
    pub fn add(&mut self, other: Self) {
        self.memory_kills = self.memory_kills.saturating_add(other.memory_kills);
        self.forks_refused = self.forks_refused.saturating_add(other.forks_refused);
        self.large_file_bytes = self.large_file_bytes.max(other.large_file_bytes);
        for free in other.file_systems {
            match self.file_systems.iter_mut().find(|known| known.place == free.place) {
                Some(known) => {
                    known.bytes.add(free.bytes);
                    known.inodes.add(free.inodes);
                }
                None => self.file_systems.push(free),
            }
        }
    }
}

/// What one file system had free at its worst.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Free {
    /// A folder of it, as the worker names it (`/dev/shm`: the sandbox's own).
    pub place: PathBuf,
    /// Bytes that the command's user could still write.
    pub bytes: Lowest,
    /// Files that could still be made; a total of 0 where the file system has no such number.
    pub inodes: Lowest,
}

/// The lowest of numbers that were looked at twenty times a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lowest {
    /// What the file system has in all.
    pub total: u64,
    /// The least that was free at a look.
    pub free: u64,
    /// The most that was taken between two looks, by whomever: the file system may have been that
    /// much fuller between looks than at any of them.
    pub fall: u64,
    last: u64,
}

impl Lowest {
    /// The first look.
    pub fn new(total: u64, free: u64) -> Self {
        Self { total, free, fall: 0, last: free }
    }

    /// The next look.
    pub fn look(&mut self, free: u64) {
        self.free = self.free.min(free);
        self.fall = self.fall.max(self.last.saturating_sub(free));
        self.last = free;
    }

    fn add(&mut self, other: Self) {
        self.free = self.free.min(other.free);
        self.fall = self.fall.max(other.fall);
        (self.total, self.last) = (other.total, other.last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(place: &str, bytes: Lowest) -> Free {
        Free { place: place.into(), bytes, inodes: Lowest::default() }
    }

    #[test]
    fn the_lowest_and_the_steepest_are_kept() {
        let mut lowest = Lowest::new(1000, 900);
        for free in [800, 850, 300, 900] {
            lowest.look(free);
        }
        assert_eq!((lowest.total, lowest.free, lowest.fall), (1000, 300, 550));
    }

    #[test]
    fn runs_of_one_attempt_add_up() {
        let mut all = Observed { memory_kills: 1, ..Observed::default() };
        let first = Lowest::new(1000, 500);
        let mut second = Lowest::new(1000, 700);
        second.look(100);
        all.add(Observed { file_systems: vec![free("/a", first)], ..Observed::default() });
        all.add(Observed {
            memory_kills: 2,
            forks_refused: 3,
            large_file_bytes: Some(9),
            file_systems: vec![free("/a", second), free("/b", first)],
        });
        assert_eq!((all.memory_kills, all.forks_refused, all.large_file_bytes), (3, 3, Some(9)));
        let lows: Vec<u64> = all.file_systems.iter().map(|free| free.bytes.free).collect();
        assert_eq!((lows, all.file_systems[0].bytes.fall), (vec![100, 500], 600));
    }
}
