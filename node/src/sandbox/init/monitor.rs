//! The monitor: outside of the namespaces, with the host's root rights, it holds the only rope.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::CloneFlags;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use super::super::cgroup::Layout;
use super::super::group::{Counts, Group};
use super::super::ids::{BUILDER, IDS};
use super::super::job::{self, Stage};
use super::super::observed::Observed;
use super::super::spec::{Network, SandboxError, Spec, User};
use super::super::wall::Kernel;
use super::super::watch::{Crowd, LOOK_EVERY, Watch, open};
use super::system::{self, Side};
use super::{first, inherited, privileges};

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

/// Runs the command; its status and what it may have been short of.
pub(super) fn run(
    control: &UnixStream,
    spec: &Spec,
    id_base: u32,
    layout: &Layout,
    kernel: Kernel,
) -> Result<(i32, Observed), SandboxError> {
    let owner = match spec.user {
        User::Root => id_base,
        User::Builder => id_base + BUILDER,
    };
    // The pipe belongs to the command's user, so that `/dev/stderr` can be opened inside.
    nix::unistd::fchown(std::io::stdout(), Some(owner.into()), Some(owner.into()))
        .map_err(|error| SandboxError::new("hand the output pipe over", error))?;
    inherited::settle()?;
    let group = Group::create(layout, &spec.limits)?;
    let mut namespaces = SEPARATE;
    if spec.network == Network::Host {
        namespaces.remove(CloneFlags::CLONE_NEWNET);
    }
    let places: Vec<&Path> = spec.writable().collect();
    let watched = Watched { group: &group, places: &places, inside: true };
    let ended = supervise(control, namespaces, id_base, &watched, |channel| {
        first::run(&channel, spec, id_base, layout, kernel)
    });
    let Counts { memory_kills, mut forks_refused } = group.counts();
    group.remove();
    let (status, seen) = ended?;
    if seen.crowd.is_some_and(|crowd| crowd.is_near(spec.limits.processes)) {
        forks_refused = 1;
    }
    let (large_file_bytes, file_systems) = (None, seen.watch.finish());
    Ok((status, Observed { memory_kills, forks_refused, large_file_bytes, file_systems }))
}

/// Where processes are kept and what is looked at while they run.
pub(super) struct Watched<'a> {
    pub(super) group: &'a Group,
    /// The host's folders that they can write to.
    pub(super) places: &'a [&'a Path],
    /// Whether a file system is made inside, with a `/dev/shm` and a `/proc` of its own.
    pub(super) inside: bool,
}

/// What is looked at while they run.
pub(super) struct Seen {
    pub(super) watch: Watch,
    /// `None`: a control group counts, or nothing is made inside.
    crowd: Option<Crowd>,
}

impl Seen {
    /// To be called when the file system inside is made, and before the command runs: so far
    /// nothing there leads elsewhere.
    fn enter(&mut self, pid: Pid, group: &Group) -> std::io::Result<()> {
        let file = open(Path::new(&format!("/proc/{pid}/root{SHARED_MEMORY}")))?;
        self.watch.add(SHARED_MEMORY.into(), file)?;
        if !group.counts_processes() {
            self.crowd = Some(Crowd::of(pid.as_raw())?);
        }
        Ok(())
    }

    fn look(&mut self) {
        self.watch.look();
        if let Some(crowd) = &mut self.crowd {
            crowd.look();
        }
    }
}

/// Starts the first process of new namespaces in its group and waits until all of them are gone:
/// when it ends, or when the worker asks for it by closing its stream. Its status, and what the
/// file systems had free.
pub(super) fn supervise(
    control: &UnixStream,
    namespaces: CloneFlags,
    id_base: u32,
    watched: &Watched<'_>,
    body: impl FnOnce(UnixStream) -> i32,
) -> Result<(i32, Seen), SandboxError> {
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
    // Opened only now: the first process must not inherit handles of the host's folders.
    let watch = Watch::new(watched.places.iter().copied());
    let mut seen = Seen { watch, crowd: None };
    let followed = watched
        .group
        .admit(pid.as_raw())
        .and_then(|()| job::send(&channel, &()).map_err(failed))
        .and_then(|()| {
            follow(control, &channel, pid, &mut seen, watched.group, |seen| {
                if watched.inside {
                    seen.enter(pid, watched.group).map_err(failed)?;
                }
                map_ids(&channel, pid, id_base)
            })
        });
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
    let status = match status {
        WaitStatus::Exited(_, status) => status,
        WaitStatus::Signaled(_, signal, _) => 128 + signal as i32,
        other => return Err(SandboxError::new("read an exit status", format!("{other:?}"))),
    };
    Ok((status, seen))
}

/// Serves the first process until it has ended (it is still to be waited for), and looks at the
/// file systems meanwhile; a fork bomb is ended. Once the file system inside is made, and before
/// anything of the command runs, `unshared` is called.
fn follow(
    control: &UnixStream,
    channel: &UnixStream,
    pid: Pid,
    seen: &mut Seen,
    group: &Group,
    unshared: impl Fn(&mut Seen) -> Result<(), SandboxError>,
) -> Result<(), SandboxError> {
    let failed = |error| SandboxError::new("watch the first process", error);
    let ended = system::pid_descriptor(pid).map_err(failed)?;
    let (mut worker_waits, mut inner_talks) = (true, true);
    let pause = PollTimeout::try_from(LOOK_EVERY).expect("a fraction of a second");
    loop {
        let mut watched = vec![readable(ended.as_fd())];
        if worker_waits {
            watched.push(readable(control.as_fd()));
        }
        if inner_talks {
            watched.push(readable(channel.as_fd()));
        }
        let waited = poll(&mut watched, pause);
        seen.look();
        if group.is_bomb() {
            kill(pid, Signal::SIGKILL).map_err(failed)?;
        }
        match waited {
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
                Ok(Stage::Unshared) => unshared(seen)?,
                Ok(Stage::Failed(error)) => return Err(error),
                Err(_) => inner_talks = false,
            }
        }
    }
}

fn readable(descriptor: BorrowedFd<'_>) -> PollFd<'_> {
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

/// The sandbox's own shared memory: a file system that the command can fill.
const SHARED_MEMORY: &str = "/dev/shm";

/// All that is separate from the host in every process that is not trusted. The user namespace
/// comes later, when the host's root rights are no longer needed.
pub(super) const SEPARATE: CloneFlags = CloneFlags::CLONE_NEWNS
    .union(CloneFlags::CLONE_NEWPID)
    .union(CloneFlags::CLONE_NEWNET)
    .union(CloneFlags::CLONE_NEWIPC)
    .union(CloneFlags::CLONE_NEWUTS);
