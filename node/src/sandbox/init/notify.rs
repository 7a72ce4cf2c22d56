//! The system calls of seccomp_unotify(2) and what an answer to it needs, each as a small safe
//! function.

use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::libc;

/// A call that waits for its answer.
pub(super) struct Call {
    /// Never that of another call.
    pub(super) id: u64,
    /// The thread that made it, as this namespace numbers it.
    pub(super) thread: u32,
    pub(super) arguments: [u64; 6],
}

/// The next call that waits; waits itself when there is none.
#[expect(unsafe_code, reason = "an ioctl with a structure")]
pub(super) fn receive(listener: &OwnedFd) -> nix::Result<Call> {
    // SAFETY: plain data for which zero is valid, and which the kernel wants to be zero.
    let mut found: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: the structure has the size that the request's number names.
    let done = unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut found)
    };
    Errno::result(done)?;
    Ok(Call { id: found.id, thread: found.pid, arguments: found.data.args })
}

/// Whether the call still waits: what was opened of its thread before is then that thread's.
#[expect(unsafe_code, reason = "an ioctl with a number in memory")]
pub(super) fn waits(listener: &OwnedFd, id: u64) -> bool {
    // SAFETY: the kernel reads one number.
    let done = unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const id)
    };
    done == 0
}

/// Ends a call with 0 or an error.
#[expect(unsafe_code, reason = "an ioctl with a structure")]
pub(super) fn answer(listener: &OwnedFd, id: u64, ended: Result<(), Errno>) -> nix::Result<()> {
    let error = ended.err().map_or(0, |error| -(error as i32));
    let response = libc::seccomp_notif_resp { id, val: 0, error, flags: 0 };
    // SAFETY: the kernel reads the structure.
    let done = unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw const response)
    };
    Errno::result(done).map(drop)
}

/// Puts a file into the caller's table and answers the number there; `ends`: the call ends with
/// that number in the same step.
#[expect(unsafe_code, reason = "an ioctl with a structure")]
pub(super) fn inject(
    listener: &OwnedFd,
    id: u64,
    file: &OwnedFd,
    close_at_exec: bool,
    ends: bool,
) -> nix::Result<RawFd> {
    let flags = if ends { libc::SECCOMP_ADDFD_FLAG_SEND } else { 0 };
    let addition = libc::seccomp_notif_addfd {
        id,
        flags: u32::try_from(flags).expect("a flag has 32 bits"),
        srcfd: file.as_raw_fd().unsigned_abs(),
        newfd: 0,
        newfd_flags: if close_at_exec { libc::O_CLOEXEC.unsigned_abs() } else { 0 },
    };
    // SAFETY: the kernel reads the structure.
    let done = unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ADDFD, &raw const addition)
    };
    Errno::result(done)
}

/// socket(2) with numbers as a program of somebody else gave them.
#[expect(unsafe_code, reason = "the safe wrapper knows a few families only")]
pub(super) fn socket(family: u32, form: u32, protocol: u32) -> nix::Result<OwnedFd> {
    let form = form | libc::SOCK_CLOEXEC.unsigned_abs();
    // SAFETY: the call takes three numbers; what it returns has no other owner.
    unsafe {
        let made = libc::socket(family.cast_signed(), form.cast_signed(), protocol.cast_signed());
        Ok(own(Errno::result(made)?))
    }
}

/// socketpair(2), as above.
#[expect(unsafe_code, reason = "the safe wrapper knows a few families only")]
pub(super) fn socket_pair(
    family: u32,
    form: u32,
    protocol: u32,
) -> nix::Result<(OwnedFd, OwnedFd)> {
    let form = form | libc::SOCK_CLOEXEC.unsigned_abs();
    let mut pair = [-1; 2];
    // SAFETY: the kernel writes two numbers, of new descriptors that have no other owner.
    unsafe {
        let made = libc::socketpair(
            family.cast_signed(),
            form.cast_signed(),
            protocol.cast_signed(),
            pair.as_mut_ptr(),
        );
        Errno::result(made)?;
        Ok((own(pair[0]), own(pair[1])))
    }
}

/// A descriptor that was received.
#[expect(unsafe_code, reason = "the message's type leaves the descriptor without an owner")]
pub(super) fn own(descriptor: RawFd) -> OwnedFd {
    // SAFETY: the callers have just got it from the kernel, and keep no copy of the number.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

/// Installs a filter some of whose calls wait for an answer on the descriptor that is returned.
/// Needs `no_new_privs`.
pub(in crate::sandbox) fn filter_with_listener(
    program: &[seccompiler::sock_filter],
) -> nix::Result<OwnedFd> {
    /// Once a call was received only a deadly signal interrupts it (Linux 5.19): no socket is made
    /// twice for a program that handles signals.
    const WAIT_KILLABLE_RECV: libc::c_ulong = 1 << 5;
    let usual = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    let install = |flags| super::system::install_filter(program, flags);
    let descriptor = match install(usual | WAIT_KILLABLE_RECV) {
        Err(Errno::EINVAL) => install(usual)?,
        installed => installed?,
    };
    Ok(own(descriptor))
}

/// Whether calls can be handed over, and a descriptor put into a caller in the step that ends its
/// call (Linux 5.14).
#[expect(unsafe_code, reason = "no safe wrapper for seccomp")]
pub(in crate::sandbox) fn can_listen() -> bool {
    let action = libc::SECCOMP_RET_USER_NOTIF;
    let asked = libc::SECCOMP_GET_ACTION_AVAIL;
    // SAFETY: the kernel reads one number.
    let found = unsafe { libc::syscall(libc::SYS_seccomp, asked, 0, &raw const action) };
    let read = |file| std::fs::read_to_string(file).unwrap_or_default();
    // At this level nobody may look into another process, whatever rights it has.
    let is_closed = read("/proc/sys/kernel/yama/ptrace_scope").trim() == "3";
    found == 0 && !is_closed && version(&read("/proc/sys/kernel/osrelease")) >= Some((5, 14))
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for (release, expected) in [
            ("5.14.0-427.el9.x86_64\n", true),
            ("6.1.0-56-cloud-amd64\n", true),
            ("10.0\n", true),
            ("5.13.19", false),
            ("5.4.0-216-generic", false),
            ("4.18.0", false),
            ("", false),
            ("unknown", false),
        ] {
            assert_eq!(version(release) >= Some((5, 14)), expected, "{release}");
        }
    }
}
