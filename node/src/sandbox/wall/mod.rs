//! The outer wall (ADR 0011): what the kernel itself refuses to a command, beside what namespaces
//! hide from it. Put up by the process that becomes the command, last of all, and inherited by
//! everything that it starts.

mod build;
mod evidence;
mod filter;
mod kernel;
mod numbers;

use serde::{Deserialize, Serialize};

pub(super) use build::build;
pub(super) use filter::{SYS_SOCKET, SYS_SOCKETPAIR, families};
pub use kernel::Kernel;

/// The doors that a command needs in its wall; none by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wall {
    /// True: may make user namespaces of its own, and every other kind and mounts in them. The
    /// verdict of such a build does not say `isolation: full`.
    pub nested_namespaces: bool,
    /// True: may mount, with the rights that it has, in the namespaces of its own that it needs for
    /// that (mount, PID, IPC, host name): for programs of ours that make root file systems.
    pub mounts: bool,
    /// True: i386 programs may make sockets by `socketcall`, as the C library of i386 needs it to
    /// make any: it gives the family in memory, where no filter sees it. A process of ours makes
    /// the sockets then, of the usual families. Where the kernel cannot hand calls over they may
    /// have any family, and the verdict of such a build does not say `isolation: full`.
    pub socketcall: bool,
}

impl Wall {
    /// Whether a process of ours has to make sockets.
    pub(super) fn hands_sockets_over(self, kernel: Kernel) -> bool {
        self.socketcall && kernel.seccomp && kernel.listens
    }

    fn may_mount(self) -> bool {
        self.mounts || self.nested_namespaces
    }
}
