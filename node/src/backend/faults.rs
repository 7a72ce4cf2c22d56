//! Which fault an error of ours is: one table for every stage and backend.
//!
//! The kind of an error decides, its number, or what was observed from outside; never its words,
//! and never what a log says, which whatever is built can write.

use std::io::ErrorKind;

use nix::errno::Errno;
use rebuilder_actors::protocol::{FaultKind, Stage};

use super::shortage::shortage;
use crate::fetch::FetchError;
use crate::sandbox::{Exit, SandboxError};

/// An error at the worker's own files.
pub(crate) fn of_io(kind: ErrorKind) -> FaultKind {
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            FaultKind::DiskFull
        }
        ErrorKind::OutOfMemory => FaultKind::OutOfMemory,
        _ => FaultKind::WorkerFailed,
    }
}

/// A file that could not be fetched. What is not there, or is another file, does not pass by
/// itself; a server's silence does.
pub(crate) fn of_fetch(error: &FetchError) -> FaultKind {
    match error {
        FetchError::NotFound { .. } | FetchError::Mismatch { .. } | FetchError::TooLarge { .. } => {
            FaultKind::InputsUnavailable
        }
        FetchError::Unavailable { .. } => FaultKind::FetchFailed,
        FetchError::Io { kind, .. } => of_io(*kind),
    }
}

/// A sandbox that could not be made; what was short meanwhile says more than what failed.
pub(crate) fn of_sandbox(error: &SandboxError) -> FaultKind {
    let short = shortage(&error.observed).map(|(kind, _)| kind);
    short.unwrap_or_else(|| match error.errno {
        Some(number) => of_io(std::io::Error::from(Errno::from_raw(number)).kind()),
        None => FaultKind::WorkerFailed,
    })
}

/// How a command ended, of itself; `None`: with a status, about which the stage decides.
pub(crate) fn of_exit(stage: Stage, exit: Exit) -> Option<FaultKind> {
    match exit {
        Exit::Status(_) => None,
        Exit::TimedOut => Some(FaultKind::TimedOut(stage)),
        Exit::DiskFull => Some(FaultKind::DiskFull),
        Exit::Cancelled => Some(FaultKind::Cancelled),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::Observed;
    use crate::testing::disk_full;

    #[test]
    fn errors_of_files_by_their_number() {
        for (errno, expected) in [
            (Errno::ENOSPC, FaultKind::DiskFull),
            (Errno::EDQUOT, FaultKind::DiskFull),
            (Errno::EFBIG, FaultKind::DiskFull),
            (Errno::ENOMEM, FaultKind::OutOfMemory),
            (Errno::ENOENT, FaultKind::WorkerFailed),
            (Errno::EACCES, FaultKind::WorkerFailed),
            (Errno::EIO, FaultKind::WorkerFailed),
            (Errno::EMFILE, FaultKind::WorkerFailed),
            (Errno::EROFS, FaultKind::WorkerFailed),
        ] {
            assert_eq!(of_io(std::io::Error::from(errno).kind()), expected, "{errno}");
            let sandbox = SandboxError::new("make it", errno);
            assert_eq!(of_sandbox(&sandbox), expected, "{errno}");
            let kept = FetchError::io(std::path::Path::new("/x"), &errno.into());
            assert_eq!(of_fetch(&kept), expected, "{errno}");
        }
    }

    #[test]
    fn fetches_by_what_went_wrong() {
        let url = || "http://mirror.example.org/x".to_owned();
        let full = disk_full().to_owned();
        for (error, expected) in [
            (FetchError::NotFound { url: url(), status: None }, FaultKind::InputsUnavailable),
            (
                FetchError::Mismatch { url: url(), expected: "a".into(), found: "b".into() },
                FaultKind::InputsUnavailable,
            ),
            (FetchError::TooLarge { url: url(), bytes_max: 1 }, FaultKind::InputsUnavailable),
            (FetchError::Unavailable { url: url(), reason: "503".into() }, FaultKind::FetchFailed),
            // A server that says so has no disk of ours.
            (FetchError::Unavailable { url: url(), reason: full.clone() }, FaultKind::FetchFailed),
            (
                FetchError::Io { path: "/x".into(), kind: ErrorKind::Other, reason: full },
                FaultKind::WorkerFailed,
            ),
        ] {
            assert_eq!(of_fetch(&error), expected, "{error}");
        }
    }

    #[test]
    fn sandboxes_by_number_and_shortage_not_by_words() {
        let words = SandboxError::new("unpack", format!("tar: {}", disk_full()));
        assert_eq!(of_sandbox(&words), FaultKind::WorkerFailed);
        let killed = Observed { memory_kills: 1, ..Observed::default() };
        let error = SandboxError { observed: killed, ..SandboxError::new("unpack", Errno::ENOSPC) };
        assert_eq!(of_sandbox(&error), FaultKind::OutOfMemory);
        let large = Observed { large_file_bytes: Some(9), ..Observed::default() };
        let error = SandboxError { observed: large, ..words };
        assert_eq!(of_sandbox(&error), FaultKind::DiskFull);
    }

    #[test]
    fn commands_by_how_they_ended() {
        for (exit, expected) in [
            (Exit::Status(0), None),
            (Exit::Status(3), None),
            (Exit::Status(137), None),
            (Exit::TimedOut, Some(FaultKind::TimedOut(Stage::Prepare))),
            (Exit::DiskFull, Some(FaultKind::DiskFull)),
            (Exit::Cancelled, Some(FaultKind::Cancelled)),
        ] {
            assert_eq!(of_exit(Stage::Prepare, exit), expected, "{exit:?}");
        }
    }
}
