//! The monitor: outside of the namespaces, with the host's root rights, it holds the only rope.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::CloneFlags;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use super::super::cgroup::Layout;
use super::super::group::Group;
use super::super::ids::{BUILDER, IDS};
use super::super::job::{self, Stage};
use super::super::spec::{Network, SandboxError, Spec, User};
use super::super::wall::Kernel;
use super::system::{self, Side};
use super::{first, privileges};

/// The worker's socket; everything else that came from the worker is closed.
pub(super) fn take_control() -> std::io::Result<UnixStream> {
    system::close_from(3, false)?;
    // Nobody may look into this process, not even root of a sandbox's user namespace.
    nix::sys::prctl::set_dumpable(false)?;
    // Signals of the worker's terminal are not meant for this process.
    nix::unistd::setsid()?;
    let control = UnixStream::from(system::take_standard_input()?);
    control.peer_addr()?;
    Ok(control)
}

/// Runs the command; its status and whether the memory limit was reached.
pub(super) fn run(
    control: &UnixStream,
    spec: &Spec,
    id_base: u32,
    layout: &Layout,
    kernel: Kernel,
) -> Result<(i32, bool), SandboxError> {
    let owner = match spec.user {
        User::Root => id_base,
        User::Builder => id_base + BUILDER,
    };
    // The pipe belongs to the command's user, so that `/dev/stderr` can be opened inside.
    nix::unistd::fchown(std::io::stdout(), Some(owner.into()), Some(owner.into()))
        .map_err(|error| SandboxError::new("hand the output pipe over", error))?;
    let group = Group::create(layout, &spec.limits)?;
    let mut namespaces = SEPARATE;
    if spec.network == Network::Host {
        namespaces.remove(CloneFlags::CLONE_NEWNET);
    }
    let ended = supervise(control, namespaces, id_base, &group, |channel| {
        first::run(&channel, spec, id_base, layout, kernel)
    });
    let out_of_memory = group.out_of_memory();
    group.remove();
    Ok((ended?, out_of_memory))
}

/// Starts the first process of new namespaces in `group` and waits until all of them are gone:
/// when it ends, or when the worker asks for it by closing its stream.
pub(super) fn supervise(
    control: &UnixStream,
    namespaces: CloneFlags,
    id_base: u32,
    group: &Group,
    body: impl FnOnce(UnixStream) -> i32,
) -> Result<i32, SandboxError> {
    let failed = |error: std::io::Error| SandboxError::new("talk to the first process", error);
    let (channel, inner) = UnixStream::pair().map_err(failed)?;
    let side = system::fork_into(namespaces)
        .map_err(|error| SandboxError::new("make new namespaces (this needs root)", error))?;
    let Side::Parent(pid) = side else {
        drop(channel);
        privileges::die_with_parent();
        std::process::exit(body(inner))
    };
    drop(inner);
    let followed = group
        .admit(pid.as_raw())
        .and_then(|()| job::send(&channel, &()).map_err(failed))
        .and_then(|()| follow(control, &channel, pid, id_base));
    if followed.is_err() {
        // Whatever it has come to: nothing of it may stay.
        let _gone = kill(pid, Signal::SIGKILL);
    }
    let status = waitpid(pid, None)
        .map_err(|error| SandboxError::new("wait for the first process", error))?;
    followed?;
    // What it said last may still be in the channel.
    while let Ok(stage) = job::receive(&channel) {
        if let Stage::Failed(error) = stage {
            return Err(error);
        }
    }
    Ok(match status {
        WaitStatus::Exited(_, status) => status,
        WaitStatus::Signaled(_, signal, _) => 128 + signal as i32,
        other => return Err(SandboxError::new("read an exit status", format!("{other:?}"))),
    })
}

/// Serves the first process until it has ended (it is still to be waited for).
fn follow(
    control: &UnixStream,
    channel: &UnixStream,
    pid: Pid,
    id_base: u32,
) -> Result<(), SandboxError> {
    let failed = |error| SandboxError::new("watch the first process", error);
    let ended = system::pid_descriptor(pid).map_err(failed)?;
    let (mut worker_waits, mut inner_talks) = (true, true);
    loop {
        let mut watched = vec![watch(ended.as_fd())];
        if worker_waits {
            watched.push(watch(control.as_fd()));
        }
        if inner_talks {
            watched.push(watch(channel.as_fd()));
        }
        match poll(&mut watched, PollTimeout::NONE) {
            Err(nix::errno::Errno::EINTR) => continue,
            result => result.map_err(failed)?,
        };
        let ready = |at: usize| watched.get(at).and_then(PollFd::any).unwrap_or(false);
        if ready(0) {
            return Ok(());
        }
        // The worker sends nothing after the job: this is the end of its stream.
        if worker_waits && ready(1) {
            worker_waits = false;
            kill(pid, Signal::SIGKILL).map_err(failed)?;
        } else if inner_talks && ready(if worker_waits { 2 } else { 1 }) {
            match job::receive(channel) {
                Ok(Stage::Unshared) => map_ids(channel, pid, id_base)?,
                Ok(Stage::Failed(error)) => return Err(error),
                Err(_) => inner_talks = false,
            }
        }
    }
}

fn watch(descriptor: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::new(descriptor, PollFlags::POLLIN)
}

/// Gives the process's new user namespace its ids and lets it go on.
fn map_ids(channel: &UnixStream, pid: Pid, id_base: u32) -> Result<(), SandboxError> {
    for file in ["gid_map", "uid_map"] {
        let path = format!("/proc/{pid}/{file}");
        fs::write(&path, format!("0 {id_base} {IDS}\n"))
            .map_err(|error| SandboxError::new(format!("write {path}"), error))?;
    }
    // If it is dead its end is seen next.
    let _sent = job::send(channel, &());
    Ok(())
}

/// All that is separate from the host in every process that is not trusted. The user namespace
/// comes later, when the host's root rights are no longer needed.
pub(super) const SEPARATE: CloneFlags = CloneFlags::CLONE_NEWNS
    .union(CloneFlags::CLONE_NEWPID)
    .union(CloneFlags::CLONE_NEWNET)
    .union(CloneFlags::CLONE_NEWIPC)
    .union(CloneFlags::CLONE_NEWUTS);
