use std::ffi::CStr;
use std::io;
use std::process::Command;

use nix::errno::Errno;
use nix::libc;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getpid, getppid, setsid};

use crate::sandbox::Personality;

/// How all processes that a script starts are kept together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Containment {
    /// A PID namespace of its own (with a `/proc` that fits): the kernel ends everything in it.
    Namespace,
    /// No right to make one: orphans come to a process of ours, which ends them one by one.
    Subreaper,
}

impl Containment {
    /// The better one of those that this process may use; found out by trying.
    pub fn detect() -> Self {
        let mut probe = Command::new("/bin/sh");
        probe.args(["-c", ":"]).stdin(std::process::Stdio::null());
        keep(&mut probe, Self::Namespace, Personality::Native);
        match probe.status() {
            Ok(status) if status.success() => Self::Namespace,
            _ => Self::Subreaper,
        }
    }
}

/// Has `command` run under a *keeper*: a process between this one and the command that ends with
/// the command's status (128 + n for signal n), and only when every process that came of it,
/// whatever session it moved to, is gone.
///
/// The keeper is what `spawn` returns. It passes on `SIGTERM`; at `SIGUSR1`, or when the thread
/// that spawned it ends, it kills everything.
#[expect(unsafe_code, reason = "what runs between fork and exec: only system calls, no allocation")]
pub(super) fn keep(command: &mut Command, containment: Containment, personality: Personality) {
    use std::os::unix::process::CommandExt as _;

    let parent = getpid();
    // SAFETY: `contain` makes system calls only and allocates nothing, as a child of a process with
    // threads must until it executes a program.
    unsafe {
        command.pre_exec(move || contain(containment, personality, parent));
    }
}

/// Returns only in the process that is to execute the command.
fn contain(containment: Containment, personality: Personality, parent: Pid) -> io::Result<()> {
    setsid()?;
    // Blocked signals wait for `sigwait`, even those that the first process of a namespace would
    // never get otherwise.
    let signals = kept_signals();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&signals), None)?;
    prctl::set_pdeathsig(Signal::SIGUSR1)?;
    if getppid() != parent {
        exit(EXIT_KILLED);
    }
    // What this copy of the worker has in memory is not for the script to read.
    prctl::set_dumpable(false)?;
    if containment == Containment::Namespace {
        unshare(CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNS)?;
        if let Some(first) = split()? {
            serve(first, Duty::PassOn, &signals);
        }
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        let nothing = None::<&CStr>;
        mount(nothing, c"/", nothing, MsFlags::MS_REC | MsFlags::MS_SLAVE, nothing)?;
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(Some(c"proc"), c"/proc", Some(c"proc"), flags, nothing)?;
        if let Some(script) = split()? {
            serve(script, Duty::First, &signals);
        }
    } else {
        prctl::set_child_subreaper(true)?;
        if let Some(script) = split()? {
            serve(script, Duty::Reap, &signals);
        }
    }
    setsid()?;
    personality.take()?;
    prctl::set_dumpable(true)?;
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    Ok(())
}

/// What a process of ours does for the one it waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Duty {
    /// Signals the first process of the namespace.
    PassOn,
    /// Is the first process of the namespace.
    First,
    /// Is where orphans come to.
    Reap,
}

/// Forks; the child's id in the parent, which keeps no file open but the standard ones (the pipe
/// that tells of a failed `exec` must close with the command's own end of it).
#[expect(unsafe_code, reason = "fork, and closing files that nothing here uses")]
fn split() -> io::Result<Option<Pid>> {
    // SAFETY: this is the only thread of a process that only makes system calls.
    match unsafe { fork() }? {
        ForkResult::Child => Ok(None),
        ForkResult::Parent { child } => {
            // SAFETY: nothing in this process uses a file from 3 on any more.
            let closed = unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) };
            if closed != 0 {
                (3..FILES_MAX).for_each(|file| {
                    // SAFETY: as above.
                    let _ = unsafe { libc::close(file) };
                });
            }
            Ok(Some(child))
        }
    }
}

/// Waits until `child` has ended, and ends as it did.
fn serve(child: Pid, duty: Duty, signals: &SigSet) -> ! {
    loop {
        match signals.wait() {
            Ok(Signal::SIGCHLD) => {
                if let Some(code) = reap(child) {
                    if duty == Duty::Reap {
                        kill_orphans();
                    }
                    exit(code);
                }
            }
            Ok(Signal::SIGTERM) => {
                // A group that is gone already is fine, here and below.
                let _ = match duty {
                    Duty::PassOn => kill(child, Signal::SIGTERM),
                    Duty::First => kill(Pid::from_raw(-1), Signal::SIGTERM),
                    Duty::Reap => kill(Pid::from_raw(-child.as_raw()), Signal::SIGTERM),
                };
            }
            Ok(Signal::SIGUSR1) => match duty {
                // Its end comes as SIGCHLD, after that of all others in the namespace.
                Duty::PassOn => {
                    let _ = kill(child, Signal::SIGKILL);
                }
                Duty::First => {}
                Duty::Reap => {
                    kill_orphans();
                    exit(EXIT_KILLED);
                }
            },
            Ok(_) | Err(_) => {}
        }
    }
}

/// Collects all children that have ended; the exit code of `child` when it is among them.
fn reap(child: Pid) -> Option<i32> {
    let mut code = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) if pid == child => code = Some(status),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => {
                code = Some(128 + signal as i32);
            }
            Ok(WaitStatus::StillAlive) => return code,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return code,
        }
    }
}

/// Kills this process's children, then those who come to it as orphans, until none is left.
fn kill_orphans() {
    loop {
        let mut buffer = [0; 4096];
        let Some(read) = read_file(c"/proc/thread-self/children", &mut buffer) else { return };
        // A number at the buffer's end may be cut: without the space after it, it is left for the
        // next round.
        let mut number = 0;
        for &byte in &buffer[..read] {
            if byte.is_ascii_digit() {
                number = number * 10 + i32::from(byte - b'0');
            } else {
                if number > 1 {
                    let _ = kill(Pid::from_raw(number), Signal::SIGKILL);
                }
                number = 0;
            }
        }
        match waitpid(None, None) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return,
        }
    }
}

/// The first bytes of a file, without allocating; `None` when it cannot be read.
fn read_file(path: &CStr, buffer: &mut [u8]) -> Option<usize> {
    let file = nix::fcntl::open(
        path,
        nix::fcntl::OFlag::O_RDONLY | nix::fcntl::OFlag::O_CLOEXEC,
        nix::sys::stat::Mode::empty(),
    )
    .ok()?;
    nix::unistd::read(&file, buffer).ok()
}

fn kept_signals() -> SigSet {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGUSR1] {
        signals.add(signal);
    }
    signals
}

#[expect(unsafe_code, reason = "a fork of the worker must not run the worker's exit handlers")]
fn exit(code: i32) -> ! {
    // SAFETY: ends the process at once, whatever state it is in.
    unsafe { libc::_exit(code) }
}

/// Status of a keeper that was told to kill, as a shell would say it.
const EXIT_KILLED: i32 = 128 + 9;

/// Files closed one by one where the kernel has no `close_range` (before 5.9).
const FILES_MAX: i32 = 4096;
