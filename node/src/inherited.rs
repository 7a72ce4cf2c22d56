//! What a node inherits from whoever starts it (a shell, a service manager, a container, a test)
//! and must not depend on: set once, at start, for everything that the node starts itself.
//!
//! What is an operator's wish stays: `nice`, the processors, the groups, hard limits, an ignored
//! SIGHUP, the standard descriptors. What a build sees is set by the sandbox for each command.

use std::io;
use std::path::{Path, PathBuf};

use nix::libc;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use nix::sys::signal::SigSet;
use nix::sys::stat::{Mode, umask};

use crate::sandbox::{Personality, close_at_exec};

/// Settles it all; what was wrong and what holds instead, for the log. To be called first thing in
/// `main`, while there is one thread.
pub fn settle() -> Vec<String> {
    let mut said = Vec::new();
    // Files that are for fewer readers are made with rights of their own.
    umask(Mode::from_bits_truncate(0o022));
    let mut tried = |action: &str, done: io::Result<()>| {
        if let Err(error) = done {
            said.push(format!("cannot {action}: {error}"));
        }
    };
    tried("unblock signals", SigSet::all().thread_unblock().map_err(io::Error::from));
    tried("set what signals do", default_signals());
    // A file that somebody left open is not for our children, which might keep it open for days.
    tried("close inherited files in programs that are started", close_at_exec(3));
    tried("leave the caller's personality", Personality::Native.take());
    said.extend(raise_limits());
    said.extend(settle_folder());
    said.extend(settle_variables());
    said
}

/// Gives every signal that is ignored its default effect in all that is started. The node itself
/// goes on ignoring it: a background job of a shell is not meant to end by its terminal's keys.
#[expect(unsafe_code, reason = "sigaction(2) takes a handler")]
fn default_signals() -> io::Result<()> {
    extern "C" fn nothing(_signal: libc::c_int) {}

    for signal in 1..=libc::SIGRTMAX() {
        // SIGPIPE is Rust's own choice, which it undoes in children. What SIGHUP was is asked for
        // when it is caught.
        if [libc::SIGPIPE, libc::SIGHUP, libc::SIGKILL, libc::SIGSTOP].contains(&signal) {
            continue;
        }
        // SAFETY: all zeros is a valid value, which the kernel fills in.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        // SAFETY: only asks. The two numbers that the C library keeps to itself are an error.
        let known = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) } == 0;
        if !known || action.sa_sigaction != libc::SIG_IGN {
            continue;
        }
        // An ignored SIGCHLD takes away the status of every child. An executed program gets back
        // the default effect of a signal that is handled, and not of one that is ignored.
        action.sa_sigaction = match signal {
            libc::SIGCHLD => libc::SIG_DFL,
            _ => nothing as *const () as libc::sighandler_t,
        };
        action.sa_flags = libc::SA_RESTART;
        // SAFETY: the handler does nothing, which is safe at any moment.
        if unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Raises every limit to what the operator allows at most, and names those that are too low then.
fn raise_limits() -> Vec<String> {
    let mut low = Vec::new();
    for (resource, name, needed, enough) in LIMITS {
        let Ok((soft, hard)) = getrlimit(resource) else { continue };
        let wanted = hard.min(enough).max(soft);
        let raised = soft == wanted || setrlimit(resource, wanted, hard).is_ok();
        let holds = if raised { wanted } else { soft };
        if holds < needed {
            low.push(format!(
                "the limit on {name} is {holds}: raise it in the service's unit, or with `ulimit` \
                 before the start"
            ));
        }
    }
    low
}

/// A working directory that was deleted fails every program and every relative path.
fn settle_folder() -> Option<String> {
    let error = std::env::current_dir().err()?;
    let moved = std::env::set_current_dir("/");
    let now =
        moved.map_or_else(|error| format!("and / neither ({error})"), |()| "now /".to_owned());
    Some(format!("the working directory cannot be used ({error}); it is {now}"))
}

#[expect(unsafe_code, reason = "the environment is changed, for everything that is started")]
fn settle_variables() -> Vec<String> {
    let mut said = Vec::new();
    if std::env::var_os("PATH").is_none_or(|path| path.is_empty()) {
        // SAFETY: there is one thread.
        unsafe { std::env::set_var("PATH", PATH) };
        said.push(format!("PATH is not set; it is now {PATH}"));
    }
    let Some(given) = std::env::var_os("TMPDIR").map(PathBuf::from) else { return said };
    if let Err(error) = is_usable(&given) {
        // SAFETY: as above.
        unsafe { std::env::remove_var("TMPDIR") };
        let usual = std::env::temp_dir();
        said.push(format!(
            "TMPDIR names {}, which cannot be used ({error}): temporary files go to {}",
            given.display(),
            usual.display()
        ));
    }
    said
}

/// Whether files can be made in a folder, found out by making one.
fn is_usable(folder: &Path) -> io::Result<()> {
    if !folder.is_absolute() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not an absolute path"));
    }
    tempfile::tempfile_in(folder).map(drop)
}

/// Which limits are raised, what they are called, what a node needs of each at least, and up to
/// where: some programs walk over all numbers that a file may have.
const LIMITS: [(Resource, &str, u64, u64); 6] = [
    (Resource::RLIMIT_NOFILE, "open files", 4096, 524_288),
    (Resource::RLIMIT_FSIZE, "the size of a file", 1 << 40, RLIM_INFINITY),
    (Resource::RLIMIT_AS, "address space", 64 << 30, RLIM_INFINITY),
    (Resource::RLIMIT_DATA, "data", 16 << 30, RLIM_INFINITY),
    (Resource::RLIMIT_NPROC, "processes of this user", 1024, RLIM_INFINITY),
    (Resource::RLIMIT_CPU, "seconds of processor time", RLIM_INFINITY, RLIM_INFINITY),
];

/// Where the system's programs are.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

#[cfg(test)]
#[path = "inherited_test.rs"]
mod tests;
