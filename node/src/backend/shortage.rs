//! Whether what an attempt came to is a verdict about the package or a fault of ours.

use rebuilder_actors::protocol::{FaultKind, Stage};

use super::{BuildError, faults};
use crate::sandbox::{Exit, Free, Lowest, Observed};

/// What a command, or the comparison after it, came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A command of this stage has ended.
    Exit(Stage, Exit),
    /// Everything was built and compared; false: at least one file differs or is missing.
    Compared {
        /// Whether every file is the published one.
        reproduced: bool,
    },
}

/// Decides, for every stage and every backend, whether what was found counts. `observed` is what
/// was seen since the attempt began, because a lack in one stage may show in a later one only: a
/// package's script that was killed while the environment was made lets the build differ.
///
/// What was printed is no evidence: a compiler's driver that outlives its killed child says
/// something, and so can a build that lacked nothing. Nor is a status: a build may kill itself.
/// A command that succeeds, and files that are the published ones, count whatever was lacking.
///
/// # Errors
/// The fault. `Ok`: what was found stands; a failed command is then the package's own failure, or
/// whatever the caller takes it for.
pub fn decide(found: Found, observed: &Observed) -> Result<(), BuildError> {
    let place = match found {
        Found::Exit(stage, _) => format!("in stage {stage}"),
        Found::Compared { .. } => "while it was built".to_owned(),
    };
    match found {
        Found::Exit(_, Exit::Status(0)) | Found::Compared { reproduced: true } => return Ok(()),
        Found::Exit(stage, exit @ (Exit::Cancelled | Exit::DiskFull)) => {
            let detail = match exit {
                Exit::Cancelled => format!("cancelled in stage {stage}"),
                _ => format!("more on disk than `disk_bytes_max` allows {place}"),
            };
            return faults::of_exit(stage, exit)
                .map_or(Ok(()), |kind| Err(BuildError::fault(kind, detail)));
        }
        Found::Exit(_, Exit::Status(_) | Exit::TimedOut) | Found::Compared { .. } => {}
    }
    match (shortage(observed), found) {
        (Some((kind, what)), _) => Err(BuildError::fault(kind, format!("{what} {place}"))),
        (None, Found::Exit(stage, exit)) => {
            let detail = format!("stage {stage} took longer than allowed");
            faults::of_exit(stage, exit).map_or(Ok(()), |kind| Err(BuildError::fault(kind, detail)))
        }
        (None, Found::Compared { .. }) => Ok(()),
    }
}

/// What was short, if anything was; of several things the one that says most.
pub(super) fn shortage(observed: &Observed) -> Option<(FaultKind, String)> {
    if observed.memory_kills > 0 {
        let what = format!("{} processes were killed for memory", observed.memory_kills);
        return Some((FaultKind::OutOfMemory, what));
    }
    if observed.forks_refused > 0 {
        let what = format!(
            "{} new processes were refused (`processes_max`, or a limit of the worker itself)",
            observed.forks_refused
        );
        // No kind of its own: like other limits of a worker's setup it is tried elsewhere.
        return Some((FaultKind::WorkerFailed, what));
    }
    if let Some(bytes) = observed.large_file_bytes {
        let what = format!("a file of {bytes} bytes, more than `disk_bytes_max`, was made");
        return Some((FaultKind::DiskFull, what));
    }
    observed.file_systems.iter().find_map(full)
}

fn full(free: &Free) -> Option<(FaultKind, String)> {
    let place = free.place.display();
    let what = if is_low(free.bytes, &BYTES) {
        format!("only {} of {} bytes were free on {place}", free.bytes.free, free.bytes.total)
    } else if is_low(free.inodes, &INODES) {
        let (left, total) = (free.inodes.free, free.inodes.total);
        format!("only {left} of {total} files could still be made on {place}")
    } else {
        return None;
    };
    Some((FaultKind::DiskFull, what))
}

/// When too little is free.
struct Low {
    /// Less than this, or than a quarter of the whole, may be gone before the next look, and be
    /// there again after it: a fast writer takes that much, fails, and its file goes with it.
    free_min: u64,
    /// Twice of what was once taken between two looks is too little as well. At most this much, and
    /// half of the whole.
    fall_max: u64,
}

const BYTES: Low = Low { free_min: 512 << 20, fall_max: 1 << 30 };
const INODES: Low = Low { free_min: 1024, fall_max: 20_000 };

fn is_low(lowest: Lowest, low: &Low) -> bool {
    let usual = low.free_min.min(lowest.total / 4);
    let steep = lowest.fall.saturating_mul(2).min(low.fall_max).min(lowest.total / 2);
    // A file system without a number of files has a total of 0.
    lowest.total > 0 && lowest.free < usual.max(steep)
}

#[cfg(test)]
mod tests {
    use super::*;

    const G: u64 = 1 << 30;
    const FAILED: Found = Found::Exit(Stage::Build, Exit::Status(2));
    const KILLED: Found = Found::Exit(Stage::Build, Exit::Status(137));
    const SUCCEEDED: Found = Found::Exit(Stage::Build, Exit::Status(0));
    const LATE: Found = Found::Exit(Stage::Build, Exit::TimedOut);
    const STOPPED: Found = Found::Exit(Stage::Build, Exit::Cancelled);
    const OVER: Found = Found::Exit(Stage::Prepare, Exit::DiskFull);
    const DIFFERS: Found = Found::Compared { reproduced: false };
    const REPRODUCED: Found = Found::Compared { reproduced: true };

    /// Total, first and further looks.
    fn looks(total: u64, all: &[u64]) -> Lowest {
        let mut lowest = Lowest::new(total, all[0]);
        all.iter().for_each(|free| lowest.look(*free));
        lowest
    }

    fn disk(bytes: Lowest, inodes: Lowest) -> Observed {
        let file_systems = vec![Free { place: "/srv/work".into(), bytes, inodes }];
        Observed { file_systems, ..Observed::default() }
    }

    fn bytes(total: u64, all: &[u64]) -> Observed {
        disk(looks(total, all), looks(1_000_000, &[900_000]))
    }

    fn inodes(total: u64, all: &[u64]) -> Observed {
        disk(looks(100 * G, &[50 * G]), looks(total, all))
    }

    /// What was observed, and the fault that a failure beside it is; `None`: it stands.
    fn observations() -> Vec<(&'static str, Observed, Option<FaultKind>)> {
        let nothing = Observed::default;
        let full = Some(FaultKind::DiskFull);
        let [kills, forks] = [1, 7];
        vec![
            ("nothing", nothing(), None),
            ("a kill", Observed { memory_kills: kills, ..nothing() }, Some(FaultKind::OutOfMemory)),
            (
                "a refused fork",
                Observed { forks_refused: forks, ..nothing() },
                Some(FaultKind::WorkerFailed),
            ),
            (
                "a kill says more than a fork",
                Observed { memory_kills: 2, forks_refused: forks, ..nothing() },
                Some(FaultKind::OutOfMemory),
            ),
            ("a large file", Observed { large_file_bytes: Some(2 * G), ..nothing() }, full),
            ("much room", bytes(100 * G, &[50 * G, 49 * G, 50 * G]), None),
            ("no room", bytes(100 * G, &[50 * G, 0]), full),
            ("no room for a moment", bytes(100 * G, &[50 * G, 0, 50 * G]), full),
            ("little room, always", bytes(100 * G, &[G / 4]), full),
            ("room beside fast writers", bytes(100 * G, &[20 * G, 10 * G, 3 * G]), None),
            ("it may have been gone", bytes(100 * G, &[2 * G, G, G * 3 / 4]), full),
            ("a small file system", bytes(G, &[G, G * 7 / 8, G * 6 / 8, G * 5 / 8]), None),
            ("a small one, steeply", bytes(G, &[G, G * 5 / 8, G * 3 / 8]), full),
            ("a small one, nearly full", bytes(G, &[G / 3, G / 5]), full),
            ("a tiny one, as it began", bytes(1 << 20, &[1 << 20]), None),
            ("many files left", inodes(200_000, &[150_000, 100_000]), None),
            ("no file left", inodes(200_000, &[150_000, 0]), full),
            ("no file left for a moment", inodes(200_000, &[150_000, 10, 150_000]), full),
            ("files were taken fast", inodes(200_000, &[30_000, 21_000, 12_000]), full),
            ("no number of files", inodes(0, &[0]), None),
        ]
    }

    #[test]
    fn a_failure_or_difference_beside_a_shortage_is_a_fault_and_nothing_else_is() {
        for (name, observed, expected) in observations() {
            for found in [FAILED, KILLED, DIFFERS] {
                let kind = decide(found, &observed).err().map(kind);
                assert_eq!(kind, expected, "{name}, {found:?}");
            }
            for found in [SUCCEEDED, REPRODUCED] {
                assert_eq!(decide(found, &observed), Ok(()), "{name}, {found:?}");
            }
            let late = expected.unwrap_or(FaultKind::TimedOut(Stage::Build));
            assert_eq!(decide(LATE, &observed).err().map(kind), Some(late), "{name}");
            let stopped = decide(STOPPED, &observed).err().map(kind);
            assert_eq!(stopped, Some(FaultKind::Cancelled), "{name}");
            let over = decide(OVER, &observed).err().map(kind);
            assert_eq!(over, Some(FaultKind::DiskFull), "{name}");
        }
    }

    #[test]
    fn the_detail_names_what_was_short_and_when() {
        let said = |found, observed: &Observed| match decide(found, observed) {
            Err(BuildError::Fault(fault)) => fault.detail,
            other => panic!("{other:?}"),
        };
        let full = said(FAILED, &bytes(100 * G, &[50 * G, 5]));
        assert_eq!(full, "only 5 of 107374182400 bytes were free on /srv/work in stage build");
        let files = said(DIFFERS, &inodes(5000, &[50, 9]));
        assert!(files.starts_with("only 9 of 5000 files") && files.ends_with("it was built"));
    }

    fn kind(ended: BuildError) -> FaultKind {
        match ended {
            BuildError::Fault(fault) => fault.kind,
            other @ BuildError::BuildFailed { .. } => panic!("{other:?}"),
        }
    }
}
