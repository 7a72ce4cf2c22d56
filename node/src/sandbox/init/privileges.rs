//! How a process gives up what it may do.

use std::os::unix::net::UnixStream;

use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

use super::super::ids::BUILDER;
use super::super::job::{self, Stage};
use super::super::spec::SandboxError;
use super::system;

/// Has the kernel kill this process when the one that made it ends.
pub(super) fn die_with_parent() {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).expect("SIGKILL is a signal");
}

/// Steps into a user namespace of its own, and a mount namespace whose mounts nobody inside can
/// change or take away, and becomes its root.
pub(super) fn enter_user_namespace(channel: &UnixStream) -> Result<(), SandboxError> {
    let failed = |error| SandboxError::new("enter a user namespace", error);
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS).map_err(failed)?;
    job::send(channel, &Stage::Unshared)
        .and_then(|()| job::receive::<()>(channel))
        .map_err(|error| SandboxError::new("wait for the ids", error))?;
    setgroups(&[]).map_err(failed)?;
    setresgid(Gid::from_raw(0), Gid::from_raw(0), Gid::from_raw(0)).map_err(failed)?;
    setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0)).map_err(failed)?;
    // A change of ids resets both of these.
    nix::sys::prctl::set_dumpable(false).map_err(failed)?;
    die_with_parent();
    if hung_up(channel) {
        return Err(SandboxError::new("go on", "the monitor is gone"));
    }
    system::leave_keyring().map_err(|error| SandboxError::new("leave the keyring", error))
}

/// Whether the monitor ended before `die_with_parent` could have an effect.
fn hung_up(channel: &UnixStream) -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd;
    let mut watched = [PollFd::new(channel.as_fd(), PollFlags::POLLHUP)];
    let seen = poll(&mut watched, PollTimeout::ZERO);
    seen != Ok(0)
}

/// Becomes the builder, who can never have a capability.
pub(super) fn become_builder() -> nix::Result<()> {
    let (user, group) = (Uid::from_raw(BUILDER), Gid::from_raw(BUILDER));
    // Capabilities are numbered without gaps.
    let mut capability = 0;
    while system::drop_from_bounding_set(capability)? {
        capability += 1;
    }
    setresgid(group, group, group)?;
    setresuid(user, user, user)?;
    system::drop_capabilities()
}
