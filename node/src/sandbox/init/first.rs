//! The first process of the namespaces: makes them what the specification says, starts the command,
//! and reaps what is left without a parent.

use std::fs::OpenOptions;
use std::os::unix::net::UnixStream;
use std::process::exit;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::Pid;

use super::super::cgroup::Layout;
use super::super::job::{self, Stage};
use super::super::spec::{Network, SandboxError, Spec};
use super::super::wall::Kernel;
use super::system::{self, Side};
use super::{command, mounts, privileges};

/// The command's status: when this process exits with it, all else in the namespaces is killed.
pub(super) fn run(
    channel: &UnixStream,
    spec: &Spec,
    id_base: u32,
    layout: &Layout,
    kernel: Kernel,
) -> i32 {
    let started =
        prepare(channel, spec, id_base).and_then(|()| start(channel, spec, layout, kernel));
    match started {
        Ok(pid) => reap(pid),
        Err(error) => fail(channel, error),
    }
}

/// Tells the monitor what failed; a status to end with.
pub(super) fn fail(channel: &UnixStream, error: SandboxError) -> i32 {
    let sent = job::send(channel, &Stage::Failed(error));
    if sent.is_ok() { 1 } else { 2 }
}

fn prepare(channel: &UnixStream, spec: &Spec, id_base: u32) -> Result<(), SandboxError> {
    // From here on this process is in its control groups.
    job::receive::<()>(channel).map_err(|error| SandboxError::new("wait to be let in", error))?;
    unshare(CloneFlags::CLONE_NEWCGROUP)
        .map_err(|error| SandboxError::new("make a control group namespace", error))?;
    nix::unistd::sethostname(HOST_NAME)
        .map_err(|error| SandboxError::new("set the host name", error))?;
    if spec.network == Network::Loopback {
        system::raise_loopback()
            .map_err(|error| SandboxError::new("bring the loopback up", error))?;
    }
    nix::sys::stat::umask(nix::sys::stat::Mode::empty());
    mounts::build(spec, id_base)?;
    privileges::enter_user_namespace(channel)
}

fn start(
    channel: &UnixStream,
    spec: &Spec,
    layout: &Layout,
    kernel: Kernel,
) -> Result<Pid, SandboxError> {
    let failed = |error| SandboxError::new("start the command", error);
    match system::fork_into(CloneFlags::empty()).map_err(failed)? {
        Side::Child => exit(fail(channel, command::become_command(spec, layout, kernel))),
        Side::Parent(pid) => {
            // This process prints nothing and needs no right to wait.
            let null = OpenOptions::new().read(true).write(true).open("/dev/null");
            let null = null.map_err(|error| SandboxError::new("open /dev/null", error))?;
            nix::unistd::dup2_stdin(&null)
                .and_then(|()| nix::unistd::dup2_stdout(&null))
                .and_then(|()| nix::unistd::dup2_stderr(&null))
                .and_then(|()| system::drop_capabilities())
                .map_err(failed)?;
            Ok(pid)
        }
    }
}

/// Waits for the command, and for every orphan meanwhile.
fn reap(command: Pid) -> i32 {
    loop {
        match wait() {
            Ok(WaitStatus::Exited(pid, status)) if pid == command => return status,
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == command => {
                return 128 + signal as i32;
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return 255,
        }
    }
}

/// What every build sees, on every machine.
const HOST_NAME: &str = "rebuilder";
