//! Which system calls a command may make (ADR 0011), as programs that the kernel runs before each.

use std::collections::BTreeMap;

use nix::libc;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, sock_filter,
};

use super::super::spec::Network;
use super::Wall;
use super::numbers::{ARM_PRIVATE_FIRST, Abi, UNKNOWN_FIRST, number};

/// The programs to install, one for each error that a call can be refused with. Empty on a machine
/// whose numbers of system calls are not listed here.
pub(super) fn programs(wall: Wall, network: Network) -> Result<Vec<BpfProgram>, BackendError> {
    let abis = Abi::of_this_machine();
    if abis.is_empty() {
        return Ok(Vec::new());
    }
    refusals(wall, network)?.iter().map(|refusal| program(refusal, abis)).collect()
}

/// The program that hands the calls over whose family lies in memory; every other one passes it.
pub(super) fn handed_over() -> BpfProgram {
    let number = number("socketcall", Abi::X86).and_then(|number| u32::try_from(number).ok());
    let socketcall = number.expect("the call is listed");
    let word = |value: u64| u32::try_from(value).expect("a small number");
    vec![
        load(ARCHITECTURE_AT),
        jump(libc::BPF_JEQ, Abi::X86.audit(), 0, 5),
        load(NUMBER_AT),
        jump(libc::BPF_JEQ, socketcall, 0, 3),
        // The argument is in a register, which no other thread can change meanwhile.
        load(FIRST_ARGUMENT_AT),
        jump(libc::BPF_JEQ, word(SYS_SOCKET), 2, 0),
        jump(libc::BPF_JEQ, word(SYS_SOCKETPAIR), 1, 0),
        answer(libc::SECCOMP_RET_ALLOW),
        answer(libc::SECCOMP_RET_USER_NOTIF),
    ]
}

/// Calls that are refused with one error.
struct Refusal {
    errno: i32,
    /// Refused when one of the rules matches, or always when there is none.
    calls: BTreeMap<&'static str, Vec<SeccompRule>>,
    /// Calls of a later kernel, whatever they do.
    unknown: bool,
}

fn refusals(wall: Wall, network: Network) -> Result<[Refusal; 3], BackendError> {
    let always = |name: &&'static str| (*name, Vec::new());
    let mut forbidden: BTreeMap<_, _> = FORBIDDEN.iter().map(always).collect();
    let mut absent = BTreeMap::new();
    if wall.may_mount() {
        // libmount then takes the older calls, as on a kernel without these.
        absent.extend(NEWER_MOUNTS.iter().map(always));
    } else {
        forbidden.extend(MOUNTS.iter().chain(NEWER_MOUNTS).map(always));
    }
    if !wall.nested_namespaces {
        forbidden.extend(NAMESPACES.iter().map(always));
        // Its flags lie in memory, where no filter sees them. Without it the C library takes
        // `clone`.
        absent.insert("clone3", Vec::new());
        let kept = if wall.mounts { !MOUNTERS_NAMESPACES } else { !0 };
        forbidden.insert("clone", any_bit(0, NAMESPACE_FLAGS & kept & !EXIT_SIGNAL)?);
        forbidden.insert("unshare", any_bit(0, NAMESPACE_FLAGS & kept)?);
    }
    forbidden.insert("ioctl", vec![equal(1, libc::TIOCSTI)?, equal(1, libc::TIOCLINUX)?]);
    forbidden.insert("personality", vec![none_of(0, &personalities())?]);
    // `int` in the kernel: what is above 32 bits is ignored there, and so it is here.
    let families = families(network);
    let sockets = ["socket", "socketpair"];
    let by_family = |name| Ok((name, vec![none_of(0, &families)?]));
    let mut calls = sockets.into_iter().map(by_family).collect::<Result<BTreeMap<_, _>, _>>()?;
    if !wall.socketcall {
        calls.insert("socketcall", vec![equal(0, SYS_SOCKET)?, equal(0, SYS_SOCKETPAIR)?]);
    }
    Ok([
        Refusal { errno: libc::EPERM, calls: forbidden, unknown: false },
        Refusal { errno: libc::EAFNOSUPPORT, calls, unknown: false },
        Refusal { errno: libc::ENOSYS, calls: absent, unknown: true },
    ])
}

/// For the phase that has the host's network also without `AF_UNIX`: sockets with abstract names
/// belong to the network, so the host's would be in reach.
pub(in crate::sandbox) fn families(network: Network) -> Vec<u64> {
    let internet = [libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
    let local = (network == Network::Loopback).then_some(libc::AF_UNIX);
    internet.into_iter().chain(local).map(|family| family.unsigned_abs().into()).collect()
}

/// Those of Linux, for 64 and 32 bits, with the old numbering of versions and at fixed addresses
/// or not, and the question which one it is.
fn personalities() -> Vec<u64> {
    const BITS: [u64; 3] = [0x8, 0x2_0000, 0x4_0000];
    let chosen = |set: u64| (0..3).filter(move |at| set & (1 << at) != 0).map(|at| BITS[at]).sum();
    (0..8).map(chosen).chain([0xffff_ffff]).collect()
}

fn program(refusal: &Refusal, abis: &[Abi]) -> Result<BpfProgram, BackendError> {
    let mut program = vec![load(ARCHITECTURE_AT)];
    for abi in abis {
        let body = body(refusal, *abi)?;
        let length = u32::try_from(body.len()).map_err(|_| BackendError::FilterTooLarge(0))?;
        // A body ends with an answer in every case, so the architecture is still loaded when the
        // next one is compared.
        program.extend([jump(libc::BPF_JEQ, abi.audit(), 1, 0), skip(length)]);
        program.extend(body);
    }
    program.push(answer(libc::SECCOMP_RET_KILL_PROCESS));
    Ok(program)
}

/// What is asked of a call through one ABI.
fn body(refusal: &Refusal, abi: Abi) -> Result<BpfProgram, BackendError> {
    let errno = refusal.errno.unsigned_abs();
    let mut body = Vec::new();
    if refusal.unknown {
        body.push(load(NUMBER_AT));
        if abi == Abi::Arm {
            body.extend([
                jump(libc::BPF_JGE, ARM_PRIVATE_FIRST, 0, 1),
                answer(libc::SECCOMP_RET_ALLOW),
            ]);
        }
        body.extend([
            // Set by a debugger that skips a call and answers it itself.
            jump(libc::BPF_JEQ, u32::MAX, 0, 1),
            answer(libc::SECCOMP_RET_ALLOW),
            jump(libc::BPF_JGE, UNKNOWN_FIRST, 0, 1),
            answer(libc::SECCOMP_RET_ERRNO | errno),
        ]);
    }
    let rules = refusal.calls.iter();
    let rules = rules.filter_map(|(name, rules)| Some((number(name, abi)?, rules.clone())));
    let filter = SeccompFilter::new(
        rules.collect(),
        SeccompAction::Allow,
        SeccompAction::Errno(errno),
        TargetArch::x86_64,
    )?;
    let compiled = BpfProgram::try_from(filter)?;
    // It begins with its own question for the one architecture that it knows.
    let compared = compiled.get(1).map(|instruction| instruction.k);
    if compared != Some(Abi::X86_64.audit()) || compiled.len() <= HEAD {
        return Err(BackendError::InvalidTargetArch("the head of a program".to_owned()));
    }
    body.extend_from_slice(&compiled[HEAD..]);
    Ok(body)
}

/// The argument at `at`, as 32 bits, is `value`.
fn equal(at: u8, value: u64) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(vec![condition(at, SeccompCmpOp::Eq, value)?])
}

/// The argument at `at`, as 32 bits, is none of `values`.
fn none_of(at: u8, values: &[u64]) -> Result<SeccompRule, BackendError> {
    let each = values.iter().map(|value| condition(at, SeccompCmpOp::Ne, *value));
    SeccompRule::new(each.collect::<Result<_, _>>()?)
}

/// The argument at `at` has one of the bits of `mask`: one rule for each.
fn any_bit(at: u8, mask: u64) -> Result<Vec<SeccompRule>, BackendError> {
    let bits = (0..32).map(|bit| 1 << bit).filter(|bit| mask & bit != 0);
    bits.map(|bit| SeccompRule::new(vec![condition(at, SeccompCmpOp::MaskedEq(bit), bit)?]))
        .collect()
}

fn condition(at: u8, op: SeccompCmpOp, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(at, SeccompCmpArgLen::Dword, op, value)
}

fn load(at: u32) -> sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at, 0, 0)
}

fn jump(comparison: u32, value: u32, if_true: u8, if_false: u8) -> sock_filter {
    instruction(libc::BPF_JMP | comparison | libc::BPF_K, value, if_true, if_false)
}

fn skip(instructions: u32) -> sock_filter {
    instruction(libc::BPF_JMP | libc::BPF_JA, instructions, 0, 0)
}

fn answer(value: u32) -> sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, value, 0, 0)
}

fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: u16::try_from(code).expect("a code of BPF has 16 bits"), jt, jf, k }
}

/// Offsets in `struct seccomp_data`.
const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
/// Its lower half: all machines that have `socketcall` here are little-endian.
const FIRST_ARGUMENT_AT: u32 = 16;
/// Instructions before the first question that is ours.
const HEAD: usize = 3;

/// Calls of `socketcall` whose family lies in memory.
pub(in crate::sandbox) const SYS_SOCKET: u64 = 1;
pub(in crate::sandbox) const SYS_SOCKETPAIR: u64 = 8;

/// `CLONE_NEWTIME`, `NEWNS`, `NEWCGROUP`, `NEWUTS`, `NEWIPC`, `NEWUSER`, `NEWPID`, `NEWNET`.
const NAMESPACE_FLAGS: u64 = 0x7e02_0080;
/// What a program that makes root file systems uses of them: `NEWNS`, `NEWUTS`, `NEWIPC`, `NEWPID`.
const MOUNTERS_NAMESPACES: u64 = 0x2c02_0000;
/// Bits of `clone`'s flags that are a signal's number.
const EXIT_SIGNAL: u64 = 0xff;

/// Neither a build nor an installation needs these. Most act on the whole machine and ask for a
/// right of the host's root, so that only a fault of the kernel stands between a build and what
/// they do; the others are where such faults were found again and again.
const FORBIDDEN: &[&str] = &[
    "acct",
    "add_key",
    "bpf",
    "clock_settime",
    "clock_settime64",
    "delete_module",
    "fanotify_init",
    "finit_module",
    "get_mempolicy",
    "init_module",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "ioperm",
    "iopl",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "lookup_dcookie",
    "mbind",
    "migrate_pages",
    "move_pages",
    "open_by_handle_at",
    "perf_event_open",
    "pidfd_getfd",
    "process_madvise",
    "quotactl",
    "quotactl_fd",
    "reboot",
    "request_key",
    "set_mempolicy",
    "set_mempolicy_home_node",
    "settimeofday",
    "stime",
    "swapoff",
    "swapon",
    "sysfs",
    "syslog",
    "uselib",
    "userfaultfd",
    "ustat",
    "vhangup",
    "vm86",
    "vm86old",
];

const MOUNTS: &[&str] = &["mount", "umount", "umount2"];

const NEWER_MOUNTS: &[&str] = &[
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "mount_setattr",
    "move_mount",
    "open_tree",
    "open_tree_attr",
];

const NAMESPACES: &[&str] = &["pivot_root", "setdomainname", "sethostname", "setns"];

#[cfg(test)]
#[path = "filter_test.rs"]
mod tests;
