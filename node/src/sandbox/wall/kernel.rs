use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::super::init::{notify, system};
use super::numbers::Abi;

/// What this machine's kernel has for the wall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    /// Filters of system calls, and the calls' numbers are known here.
    pub seccomp: bool,
    /// Calls can be handed over to a process of ours that answers in the caller's place.
    pub listens: bool,
    /// Version of Landlock's interface; `None`: absent, or switched off.
    pub landlock_abi: Option<u32>,
}

impl Kernel {
    /// Asks the kernel.
    pub fn detect() -> Self {
        let seccomp = system::has_seccomp() && !Abi::of_this_machine().is_empty();
        let listens = seccomp && notify::can_listen();
        Self { seccomp, listens, landlock_abi: system::landlock_abi() }
    }

    /// Whether Landlock can keep a command from sockets with abstract names outside, and from
    /// signals to processes outside.
    pub(super) fn scopes(self) -> bool {
        self.landlock_abi >= Some(LANDLOCK_SCOPES)
    }
}

/// What this machine offers; found once.
pub(in crate::sandbox) fn kernel() -> Kernel {
    static FOUND: OnceLock<Kernel> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let found = Kernel::detect();
        if !found.seccomp {
            tracing::warn!(
                "system calls of builds cannot be filtered, so that no verdict of this worker \
                 says `isolation: full`: run it on a kernel with CONFIG_SECCOMP_FILTER, on amd64, \
                 i386, arm64, armhf or riscv64, where nothing forbids `seccomp(2)`"
            );
        }
        if !found.scopes() {
            tracing::info!(
                abi = found.landlock_abi,
                "this kernel's Landlock cannot bound sockets and signals (Linux 6.12 does): \
                 namespaces and the filter of system calls alone do"
            );
        }
        found
    })
}

/// Version of the interface that has scopes (Linux 6.12).
const LANDLOCK_SCOPES: u32 = 6;
