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
    pub fn scopes(self) -> bool {
        self.landlock_abi >= Some(LANDLOCK_SCOPES)
    }
}

/// Version of the interface that has scopes (Linux 6.12).
const LANDLOCK_SCOPES: u32 = 6;
