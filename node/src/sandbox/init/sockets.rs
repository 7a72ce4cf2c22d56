//! Makes the sockets that 32-bit programs ask for by `socketcall` (ADR 0011).
//!
//! That call has the family in memory, where no filter sees it and any thread can change it after
//! a look. So the filter hands these calls to a process of ours, which reads the arguments once,
//! makes the socket itself and puts it into the caller's table of files. The kernel never runs the
//! caller's own call.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

use super::super::spec::Network;
use super::super::wall::{SYS_SOCKET, SYS_SOCKETPAIR, families};
use super::notify;

/// Gives the descriptor on which the kernel tells of calls to the process that serves it.
pub(super) fn hand_over(to: &UnixStream, listener: &OwnedFd) -> nix::Result<()> {
    let descriptors = [listener.as_raw_fd()];
    let message = [ControlMessage::ScmRights(&descriptors)];
    let sent =
        sendmsg::<()>(to.as_raw_fd(), &[IoSlice::new(b"l")], &message, MsgFlags::empty(), None);
    sent.map(drop)
}

/// Serves until the last process is gone that the filter applies to, or until the first process of
/// the namespaces ends, which ends this one too. Everything waits in its call meanwhile, so there
/// is never more than one call for each process of the run.
pub(super) fn serve(from: &UnixStream, network: Network) -> io::Result<()> {
    let listener = take_over(from)?;
    let allowed = families(network);
    loop {
        let mut watched = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        match poll(&mut watched, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let events = watched[0].revents().unwrap_or(PollFlags::empty());
        if events.contains(PollFlags::POLLIN) {
            match notify::receive(&listener) {
                Ok(call) => answer(&listener, &call, &allowed),
                // The caller was killed, or interrupted before it was served.
                Err(Errno::ENOENT | Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        } else if events.intersects(PollFlags::POLLHUP | PollFlags::POLLERR) {
            return Ok(());
        }
    }
}

fn take_over(from: &UnixStream) -> io::Result<OwnedFd> {
    let mut byte = [0];
    let mut parts = [IoSliceMut::new(&mut byte)];
    let mut room = nix::cmsg_space!(RawFd);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(from.as_raw_fd(), &mut parts, Some(&mut room), flags)?;
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(descriptors) = part
            && let [descriptor] = descriptors[..]
        {
            return Ok(notify::own(descriptor));
        }
    }
    Err(io::Error::other("the command sent no descriptor"))
}

fn answer(listener: &OwnedFd, call: &notify::Call, allowed: &[u64]) {
    let done = match make(listener, call, allowed) {
        Ok(Made::Sent) => return,
        Ok(Made::Pair) => Ok(()),
        Err(error) => Err(error),
    };
    // A caller that is gone needs no answer.
    let _gone = notify::answer(listener, call.id, done);
}

/// What became of a call.
enum Made {
    /// Its answer was sent with the socket.
    Sent,
    /// Both sockets are there: the answer is still to be sent.
    Pair,
}

fn make(listener: &OwnedFd, call: &notify::Call, allowed: &[u64]) -> Result<Made, Errno> {
    let (kind, at) = (call.arguments[0] & 0xffff_ffff, call.arguments[1] & 0xffff_ffff);
    // The memory of the process as it is now: this handle never becomes that of another one.
    let memory = open_memory(call.thread).map_err(|_| Errno::EFAULT)?;
    if !notify::waits(listener, call.id) {
        return Err(Errno::EINTR);
    }
    let mut words = [0_u32; 4];
    let count = if kind == SYS_SOCKET { 3 } else { 4 };
    for (number, word) in words.iter_mut().take(count).enumerate() {
        let mut bytes = [0; 4];
        memory.read_exact_at(&mut bytes, at + 4 * number as u64).map_err(|_| Errno::EFAULT)?;
        *word = u32::from_le_bytes(bytes);
    }
    let [family, form, protocol, pair] = words;
    if !allowed.contains(&u64::from(family)) {
        return Err(Errno::EAFNOSUPPORT);
    }
    let close_at_exec = form & libc::SOCK_CLOEXEC.unsigned_abs() != 0;
    match kind {
        SYS_SOCKET => {
            let socket = notify::socket(family, form, protocol)?;
            notify::inject(listener, call.id, &socket, close_at_exec, true)?;
            Ok(Made::Sent)
        }
        SYS_SOCKETPAIR => {
            let (one, other) = notify::socket_pair(family, form, protocol)?;
            let mut numbers = Vec::new();
            for socket in [&one, &other] {
                let number = notify::inject(listener, call.id, socket, close_at_exec, false)?;
                numbers.extend(number.to_le_bytes());
            }
            memory.write_all_at(&numbers, pair.into()).map_err(|_| Errno::EFAULT)?;
            Ok(Made::Pair)
        }
        // The filter sends no other.
        _ => Err(Errno::ENOSYS),
    }
}

fn open_memory(thread: u32) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(format!("/proc/{thread}/mem"))
}
