//! What the caller of the worker had and a command must not notice: limits, and how dear the
//! process is when memory is short.

use std::fs;
use std::io;

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

use super::super::spec::SandboxError;

/// Settles it for this process and all that it starts. To be called with the host's root rights:
/// in a user namespace nobody may raise a hard limit.
pub(super) fn settle() -> Result<(), SandboxError> {
    for (resource, name, value, least) in LIMITS {
        let failed = |reason: String| {
            let action = format!("lift the limit on {name} that this worker was started with");
            SandboxError::new(action, reason)
        };
        if setrlimit(resource, value, value).is_ok() {
            continue;
        }
        // Without the right to raise hard limits, up to what there is.
        let (_, hard) = getrlimit(resource).map_err(|error| failed(error.to_string()))?;
        let highest = value.min(hard);
        setrlimit(resource, highest, highest).map_err(|error| failed(error.to_string()))?;
        if highest < least {
            let remedy = "raise the hard limit, or give the worker CAP_SYS_RESOURCE";
            return Err(failed(format!("it is {highest} and may not be raised: {remedy}")));
        }
    }
    // What protects a worker would have the kernel kill everything else before a build.
    match fs::read_to_string(OOM_SCORE) {
        Ok(score) if score.starts_with('-') => fs::write(OOM_SCORE, "0")
            .map_err(|error| SandboxError::new("be killed before others for memory", error)),
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(SandboxError::new("read how dear this process is", error))
        }
        _ => Ok(()),
    }
}

const OOM_SCORE: &str = "/proc/self/oom_score_adj";

/// The same for every command, on every machine: which limit, what it is called, its value, and the
/// least that does where it cannot be raised so far. With less a build could fail, which would be
/// taken for the package's fault. Those of cores and the stack are set for each command.
const LIMITS: [(Resource, &str, u64, u64); 9] = [
    (Resource::RLIMIT_AS, "address space", RLIM_INFINITY, 64 << 30),
    (Resource::RLIMIT_CPU, "processor time", RLIM_INFINITY, RLIM_INFINITY),
    (Resource::RLIMIT_DATA, "data", RLIM_INFINITY, 16 << 30),
    (Resource::RLIMIT_FSIZE, "the size of a file", RLIM_INFINITY, 1 << 40),
    // The kernel's default is some thousands on a small machine.
    (Resource::RLIMIT_NPROC, "processes", RLIM_INFINITY, 1024),
    (Resource::RLIMIT_STACK, "the stack", RLIM_INFINITY, 8 << 20),
    (Resource::RLIMIT_NOFILE, "open files", FILES_HARD, 1024),
    // The kernel's own defaults.
    (Resource::RLIMIT_MEMLOCK, "locked memory", 8 << 20, 0),
    (Resource::RLIMIT_MSGQUEUE, "message queues", 819_200, 0),
];

/// As service managers give.
pub(super) const FILES_HARD: u64 = 524_288;
