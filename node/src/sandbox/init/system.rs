//! The system calls that need `unsafe`, each as a small safe function. They are safe because the
//! processes that call them have one thread.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::libc;
use nix::sched::CloneFlags;
use nix::unistd::Pid;

/// Which side of a fork this is.
pub(super) enum Side {
    Parent(Pid),
    Child,
}

/// Forks, the child into new namespaces. Only for a process with one thread.
#[expect(unsafe_code, reason = "no safe wrapper forks into new namespaces")]
pub(super) fn fork_into(namespaces: CloneFlags) -> nix::Result<Side> {
    let flags = libc::c_long::from(namespaces.bits() | libc::SIGCHLD);
    // SAFETY: without CLONE_VM and with no stack this is fork(2); there is no other thread that
    // could hold a lock which the child needs.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    match Errno::result(pid)? {
        0 => Ok(Side::Child),
        pid => Ok(Side::Parent(Pid::from_raw(i32::try_from(pid).expect("a pid fits pid_t")))),
    }
}

/// A descriptor that becomes readable when the process has ended.
#[expect(unsafe_code, reason = "no safe wrapper for pidfd_open")]
pub(super) fn pid_descriptor(pid: Pid) -> nix::Result<OwnedFd> {
    // SAFETY: the call takes two numbers; what it returns is a new descriptor without an owner.
    unsafe {
        let fd = Errno::result(libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0))?;
        Ok(OwnedFd::from_raw_fd(i32::try_from(fd).expect("a descriptor fits an int")))
    }
}

/// The standard input as a descriptor of its own; the number 0 is then `/dev/null`.
#[expect(unsafe_code, reason = "takes over descriptor 0")]
pub(super) fn take_standard_input() -> std::io::Result<OwnedFd> {
    // SAFETY: descriptor 0 is open (the worker's socket); the duplicate has no other owner.
    let taken = unsafe {
        let fd = Errno::result(libc::fcntl(0, libc::F_DUPFD_CLOEXEC, 3))?;
        OwnedFd::from_raw_fd(fd)
    };
    nix::unistd::dup2_stdin(File::open("/dev/null")?)?;
    Ok(taken)
}

/// Closes every descriptor from `first` on, or marks it to be closed by the next program.
#[expect(unsafe_code, reason = "no safe wrapper for close_range")]
pub(super) fn close_from(first: u32, at_exec: bool) -> nix::Result<()> {
    let flags = if at_exec { libc::CLOSE_RANGE_CLOEXEC } else { 0 };
    // SAFETY: called before anything owns a descriptor in this range, or marks only.
    Errno::result(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, flags) }).map(drop)
}

/// Brings the loopback device of this network namespace up.
#[expect(unsafe_code, reason = "an ioctl with a structure")]
pub(super) fn raise_loopback() -> nix::Result<()> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    // SAFETY: `ifreq` is plain data for which zero is valid; the kernel reads a name that ends with
    // a zero and the flags.
    unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
            *to = libc::c_char::try_from(*from).expect("the letters of lo are ASCII");
        }
        request.ifr_ifru.ifru_flags =
            libc::c_short::try_from(libc::IFF_UP | libc::IFF_RUNNING).expect("both are small");
        Errno::result(libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &request)).map(drop)
    }
}

/// Gives every signal its default effect and unblocks them all.
#[expect(unsafe_code, reason = "signal(2) takes a handler")]
pub(super) fn reset_signals() -> nix::Result<()> {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: no handler of ours is installed; those that cannot be set report an error.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    nix::sys::signal::SigSet::all().thread_unblock()
}

/// Leaves the session keyring that the worker may have got from a login for a new empty one.
#[expect(unsafe_code, reason = "no safe wrapper for keyctl")]
pub(super) fn leave_keyring() -> nix::Result<()> {
    let name: *const libc::c_char = std::ptr::null();
    // SAFETY: the null name asks for an anonymous keyring.
    let joined =
        unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, name) };
    match Errno::result(joined) {
        // A kernel without keyrings has none to leave.
        Ok(_) | Err(Errno::ENOSYS) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Takes a capability out of the bounding set; false when there is no such capability.
#[expect(unsafe_code, reason = "no safe wrapper for this prctl")]
pub(super) fn drop_from_bounding_set(capability: u32) -> nix::Result<bool> {
    // SAFETY: the call takes numbers.
    let dropped = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
    match Errno::result(dropped) {
        Ok(_) => Ok(true),
        Err(Errno::EINVAL) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Gives up every capability of this process.
pub(super) fn drop_capabilities() -> nix::Result<()> {
    keep_capabilities(0)
}

/// Gives up every capability but those that it takes to reach the memory of processes of this user
/// namespace, of whichever user.
pub(super) fn keep_access_to_memory() -> nix::Result<()> {
    /// `CAP_SYS_PTRACE` of `linux/capability.h`.
    const PTRACE: u32 = 19;
    /// `CAP_DAC_OVERRIDE`: the file that stands for the memory is its owner's.
    const DAC_OVERRIDE: u32 = 1;
    keep_capabilities(1 << PTRACE | 1 << DAC_OVERRIDE)
}

/// Keeps those of the first 32 that have their bit in `kept`, as permitted and effective.
#[expect(unsafe_code, reason = "no safe wrapper for capset")]
fn keep_capabilities(kept: u32) -> nix::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    /// Version 3 of `linux/capability.h`: two words for each of the three sets.
    const VERSION: u32 = 0x2008_0522;
    let header = Header { version: VERSION, pid: 0 };
    let sets = [kept, kept, 0, 0, 0, 0_u32];
    // SAFETY: both structures have the layout that the kernel reads for this version.
    let dropped = unsafe { libc::syscall(libc::SYS_capset, &header, sets.as_ptr()) };
    Errno::result(dropped).map(drop)
}

/// Whether filters of system calls can be installed, and answer with an error.
#[expect(unsafe_code, reason = "no safe wrapper for seccomp")]
pub(in crate::sandbox) fn has_seccomp() -> bool {
    let action = libc::SECCOMP_RET_ERRNO;
    let asked = libc::SECCOMP_GET_ACTION_AVAIL;
    // SAFETY: the kernel reads one number.
    let found = unsafe { libc::syscall(libc::SYS_seccomp, asked, 0, &raw const action) };
    found == 0
}

/// Has the kernel ask `program` about every system call of this process from now on, besides those
/// that were installed before. Needs `no_new_privs`.
pub(in crate::sandbox) fn filter_calls(program: &[seccompiler::sock_filter]) -> nix::Result<()> {
    // Linux before 5.16 switches mitigations on for a filtered process that are meant for one which
    // keeps secrets from code in itself; they cost a compiler a tenth and more.
    install_filter(program, libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW).map(drop)
}

/// The same with flags of seccomp(2); what the kernel answers.
#[expect(unsafe_code, reason = "no safe wrapper for seccomp")]
pub(super) fn install_filter(
    program: &[seccompiler::sock_filter],
    flags: libc::c_ulong,
) -> nix::Result<i32> {
    /// `struct sock_fprog` of `linux/filter.h`.
    #[repr(C)]
    struct Program {
        length: libc::c_ushort,
        instructions: *const seccompiler::sock_filter,
    }
    let length = libc::c_ushort::try_from(program.len()).map_err(|_| Errno::E2BIG)?;
    let program = Program { length, instructions: program.as_ptr() };
    let install = libc::SECCOMP_SET_MODE_FILTER;
    // SAFETY: `sock_filter` has the kernel's layout, and the instructions outlive the call.
    let installed = unsafe { libc::syscall(libc::SYS_seccomp, install, flags, &raw const program) };
    Ok(i32::try_from(Errno::result(installed)?).expect("a descriptor fits an int"))
}

/// Version of Landlock's interface; `None`: the kernel has none, or does not let us.
#[expect(unsafe_code, reason = "the crate tells the version only to whom it restricts")]
pub(in crate::sandbox) fn landlock_abi() -> Option<u32> {
    /// `LANDLOCK_CREATE_RULESET_VERSION` of `linux/landlock.h`.
    const ASK_VERSION: libc::c_ulong = 1;
    let nothing: *const libc::c_void = std::ptr::null();
    let asked = libc::SYS_landlock_create_ruleset;
    // SAFETY: with this flag and no attributes the call answers a number and makes nothing.
    let version = unsafe { libc::syscall(asked, nothing, 0_usize, ASK_VERSION) };
    u32::try_from(version).ok().filter(|version| *version > 0)
}

/// An extended attribute of a file; `None`: absent, longer than 64 bytes, or not readable.
#[expect(unsafe_code, reason = "no safe wrapper for getxattr")]
pub(in crate::sandbox) fn extended_attribute(path: &Path, name: &str) -> Option<Vec<u8>> {
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    let name = CString::new(name).ok()?;
    let mut value = vec![0; 64];
    // SAFETY: both names end with a zero, and the kernel writes at most the given length.
    let length = unsafe {
        libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len())
    };
    value.truncate(usize::try_from(length).ok()?);
    Some(value)
}
