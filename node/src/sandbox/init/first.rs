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
use super::{command, mounts, privileges, sockets};

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
        Ok((command, sockets)) => reap(channel, command, sockets),
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

/// Starts the command, and then what makes sockets for it, where it needs that.
fn start(
    channel: &UnixStream,
    spec: &Spec,
    layout: &Layout,
    kernel: Kernel,
) -> Result<(Pid, Option<Pid>), SandboxError> {
    let failed = |error| SandboxError::new("start the command", error);
    let needs_sockets = spec.wall.hands_sockets_over(kernel);
    let pair = needs_sockets.then(UnixStream::pair).transpose();
    let (from, to) = pair.map_err(|error| SandboxError::new("make a stream", error))?.unzip();
    let command = match system::fork_into(CloneFlags::empty()).map_err(failed)? {
        Side::Child => {
            drop(from);
            exit(fail(channel, command::become_command(spec, layout, kernel, to.as_ref())))
        }
        Side::Parent(pid) => pid,
    };
    drop(to);
    // Neither this process nor the next one prints anything.
    let null = OpenOptions::new().read(true).write(true).open("/dev/null");
    let null = null.map_err(|error| SandboxError::new("open /dev/null", error))?;
    nix::unistd::dup2_stdin(&null)
        .and_then(|()| nix::unistd::dup2_stdout(&null))
        .and_then(|()| nix::unistd::dup2_stderr(&null))
        .map_err(failed)?;
    let sockets = match from {
        Some(from) => Some(start_sockets(&from, spec.network)?),
        None => None,
    };
    // Nor does this one need any right to wait.
    system::drop_capabilities().map_err(failed)?;
    Ok((command, sockets))
}

fn start_sockets(from: &UnixStream, network: Network) -> Result<Pid, SandboxError> {
    let failed = |error| SandboxError::new("start what makes sockets", error);
    match system::fork_into(CloneFlags::empty()).map_err(failed)? {
        Side::Parent(pid) => Ok(pid),
        Side::Child => {
            let served = system::keep_access_to_memory()
                .map_err(Into::into)
                .and_then(|()| sockets::serve(from, network));
            exit(i32::from(served.is_err()))
        }
    }
}

/// Waits for the command, and for every orphan meanwhile.
fn reap(channel: &UnixStream, command: Pid, sockets: Option<Pid>) -> i32 {
    let is_sockets = |pid| Some(pid) == sockets;
    loop {
        match wait() {
            Ok(WaitStatus::Exited(pid, 0)) if is_sockets(pid) => {}
            // Every socket would be refused from now on, as if the kernel had none: no verdict.
            Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, _, _)) if is_sockets(pid) => {
                return fail(channel, SandboxError::new("make sockets", "the process has ended"));
            }
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
