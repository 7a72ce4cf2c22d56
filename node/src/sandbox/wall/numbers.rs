//! Numbers of the system calls that the filter names, for each way into the kernel.

/// A way into the kernel: its system calls have numbers of their own. One kernel has several, and a
/// process may use any of them whatever its program was compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Abi {
    /// amd64. The numbers of x32 come through here too, with bit 30 set.
    X86_64,
    /// i386, also as `int 0x80` of a 64-bit program.
    X86,
    /// arm64.
    Arm64,
    /// riscv64, which has the numbers of arm64.
    Riscv64,
    /// armel and armhf.
    Arm,
}

impl Abi {
    /// Those of the kernel that runs this program, all others of which it has none.
    pub(super) fn of_this_machine() -> &'static [Self] {
        match std::env::consts::ARCH {
            "x86_64" => &[Self::X86_64, Self::X86],
            "x86" => &[Self::X86, Self::X86_64],
            "aarch64" => &[Self::Arm64, Self::Arm],
            "arm" => &[Self::Arm, Self::Arm64],
            "riscv64" => &[Self::Riscv64],
            _ => &[],
        }
    }

    /// `AUDIT_ARCH_…` of `linux/audit.h`: the machine of `linux/elf-em.h`, 64 bits, little endian.
    pub(super) fn audit(self) -> u32 {
        match self {
            Self::X86_64 => 0xc000_003e,
            Self::X86 => 0x4000_0003,
            Self::Arm64 => 0xc000_00b7,
            Self::Riscv64 => 0xc000_00f3,
            Self::Arm => 0x4000_0028,
        }
    }

    fn column(self) -> usize {
        match self {
            Self::X86_64 => 0,
            Self::X86 => 1,
            Self::Arm64 | Self::Riscv64 => 2,
            Self::Arm => 3,
        }
    }
}

/// The number of a call; `None`: this ABI does not have it.
pub(super) fn number(name: &str, abi: Abi) -> Option<i64> {
    let (_, numbers) = NUMBERS.iter().find(|(listed, _)| *listed == name)?;
    let number = numbers[abi.column()];
    (number != NONE).then_some(number.into())
}

/// First number that no table of this release names: what came to Linux after 6.17 is refused as if
/// the kernel were older, for all ABIs alike (they count together since 5.0).
pub(super) const UNKNOWN_FIRST: u32 = 470;

/// First of the calls that only 32-bit Arm has, far above the rest: flushing its caches, the
/// pointer to a thread's own data.
pub(super) const ARM_PRIVATE_FIRST: u32 = 0x000f_0000;

const NONE: u16 = u16::MAX;

/// amd64, i386, arm64, armhf; from the tables of Linux (`syscall.tbl`).
#[rustfmt::skip]
pub(super) const NUMBERS: &[(&str, [u16; 4])] = &[
    ("acct", [163, 51, 89, 51]),
    ("add_key", [248, 286, 217, 309]),
    ("bpf", [321, 357, 280, 386]),
    ("clock_settime", [227, 264, 112, 262]),
    ("clock_settime64", [NONE, 404, 404, 404]),
    ("clone", [56, 120, 220, 120]),
    ("clone3", [435, 435, 435, 435]),
    ("delete_module", [176, 129, 106, 129]),
    ("fanotify_init", [300, 338, 262, 367]),
    ("finit_module", [313, 350, 273, 379]),
    ("fsconfig", [431, 431, 431, 431]),
    ("fsmount", [432, 432, 432, 432]),
    ("fsopen", [430, 430, 430, 430]),
    ("fspick", [433, 433, 433, 433]),
    ("get_mempolicy", [239, 275, 236, 320]),
    ("init_module", [175, 128, 105, 128]),
    ("io_uring_enter", [426, 426, 426, 426]),
    ("io_uring_register", [427, 427, 427, 427]),
    ("io_uring_setup", [425, 425, 425, 425]),
    ("ioctl", [16, 54, 29, 54]),
    ("ioperm", [173, 101, NONE, NONE]),
    ("iopl", [172, 110, NONE, NONE]),
    ("kcmp", [312, 349, 272, 378]),
    ("kexec_file_load", [320, NONE, 294, 401]),
    ("kexec_load", [246, 283, 104, 347]),
    ("keyctl", [250, 288, 219, 311]),
    ("lookup_dcookie", [212, 253, 18, 249]),
    ("mbind", [237, 274, 235, 319]),
    ("migrate_pages", [256, 294, 238, 400]),
    ("mount", [165, 21, 40, 21]),
    ("mount_setattr", [442, 442, 442, 442]),
    ("move_mount", [429, 429, 429, 429]),
    ("move_pages", [279, 317, 239, 344]),
    ("open_by_handle_at", [304, 342, 265, 371]),
    ("open_tree", [428, 428, 428, 428]),
    ("open_tree_attr", [467, 467, 467, 467]),
    ("perf_event_open", [298, 336, 241, 364]),
    ("personality", [135, 136, 92, 136]),
    ("pidfd_getfd", [438, 438, 438, 438]),
    ("pivot_root", [155, 217, 41, 218]),
    ("process_madvise", [440, 440, 440, 440]),
    ("quotactl", [179, 131, 60, 131]),
    ("quotactl_fd", [443, 443, 443, 443]),
    ("reboot", [169, 88, 142, 88]),
    ("request_key", [249, 287, 218, 310]),
    ("set_mempolicy", [238, 276, 237, 321]),
    ("set_mempolicy_home_node", [450, 450, 450, 450]),
    ("setdomainname", [171, 121, 162, 121]),
    ("sethostname", [170, 74, 161, 74]),
    ("setns", [308, 346, 268, 375]),
    ("settimeofday", [164, 79, 170, 79]),
    ("socket", [41, 359, 198, 281]),
    ("socketcall", [NONE, 102, NONE, NONE]),
    ("socketpair", [53, 360, 199, 288]),
    ("stime", [NONE, 25, NONE, NONE]),
    ("swapoff", [168, 115, 225, 115]),
    ("swapon", [167, 87, 224, 87]),
    ("sysfs", [139, 135, NONE, 135]),
    ("syslog", [103, 103, 116, 103]),
    ("umount", [NONE, 22, NONE, NONE]),
    ("umount2", [166, 52, 39, 52]),
    ("unshare", [272, 310, 97, 337]),
    ("userfaultfd", [323, 374, 282, 388]),
    ("uselib", [134, 86, NONE, 86]),
    ("ustat", [136, 62, NONE, 62]),
    ("vhangup", [153, 111, 58, 111]),
    ("vm86", [NONE, 166, NONE, NONE]),
    ("vm86old", [NONE, 113, NONE, NONE]),
];

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use super::*;

    #[test]
    fn numbers_are_those_of_independent_tables() {
        for (name, _) in NUMBERS {
            let of = |abi, other: Option<i32>| {
                assert_eq!(number(name, abi), other.map(i64::from), "{name} of {abi:?}");
            };
            of(Abi::X86_64, syscalls::x86_64::Sysno::from_str(name).ok().map(|n| n.id()));
            of(Abi::X86, syscalls::x86::Sysno::from_str(name).ok().map(|n| n.id()));
            of(Abi::Arm64, syscalls::aarch64::Sysno::from_str(name).ok().map(|n| n.id()));
            of(Abi::Arm, syscalls::arm::Sysno::from_str(name).ok().map(|n| n.id()));
            if let Ok(listed) = syscalls::riscv64::Sysno::from_str(name) {
                of(Abi::Riscv64, Some(listed.id()));
            }
        }
    }

    #[test]
    fn a_newer_table_wants_a_decision() {
        let last = i64::from(syscalls::x86_64::Sysno::last().id());
        assert_eq!(last + 1, i64::from(UNKNOWN_FIRST), "decide on the calls that came with it");
    }
}
