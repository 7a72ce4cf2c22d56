//! The programs as the kernel would run them, for every ABI, on whatever machine this is.

use super::super::numbers::NUMBERS;
use super::*;

const ABIS: [&[Abi]; 4] =
    [&[Abi::X86_64, Abi::X86], &[Abi::Arm64, Abi::Arm], &[Abi::X86], &[Abi::Riscv64]];

const CLOSED: Wall = Wall { nested_namespaces: false, mounts: false, socketcall: false };
const MOUNTS_OPEN: Wall = Wall { mounts: true, ..CLOSED };
const NESTED: Wall = Wall { nested_namespaces: true, ..CLOSED };

/// What the kernel would do with a call: the strictest answer of all programs.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Allowed,
    Errno(i32),
    Killed,
}

struct Call {
    audit: u32,
    number: u32,
    arguments: [u64; 6],
}

fn judge(wall: Wall, network: Network, abis: &[Abi], call: &Call) -> Outcome {
    let refusals = refusals(wall, network).unwrap();
    let answers = refusals.iter().map(|refusal| run(&program(refusal, abis).unwrap(), call));
    let strictest = answers.min().unwrap();
    match strictest & libc::SECCOMP_RET_ACTION_FULL {
        libc::SECCOMP_RET_ALLOW => Outcome::Allowed,
        libc::SECCOMP_RET_ERRNO => {
            Outcome::Errno(i32::try_from(strictest & libc::SECCOMP_RET_DATA).unwrap())
        }
        other => {
            // `KILL_PROCESS` is the one action with the highest bit set: below all others, signed.
            assert_eq!(other, libc::SECCOMP_RET_KILL_PROCESS);
            Outcome::Killed
        }
    }
}

/// Interprets the few instructions that are used. Answers are ordered with the strictest first.
fn run(program: &BpfProgram, call: &Call) -> u32 {
    let mut words = vec![call.number, call.audit, 0, 0];
    for argument in call.arguments {
        words.extend([argument as u32, (argument >> 32) as u32]);
    }
    assert!(program.len() < 4096, "{} instructions", program.len());
    let (mut at, mut loaded) = (0, 0);
    loop {
        let step = &program[at];
        at += 1;
        let target = |met: bool| usize::from(if met { step.jt } else { step.jf });
        match u32::from(step.code) {
            0x20 => loaded = words[step.k as usize / 4],
            0x54 => loaded &= step.k,
            0x05 => at += step.k as usize,
            0x15 => at += target(loaded == step.k),
            0x25 => at += target(loaded > step.k),
            0x35 => at += target(loaded >= step.k),
            0x06 if step.k == libc::SECCOMP_RET_KILL_PROCESS => return 0x8000_0000,
            0x06 => return step.k,
            other => panic!("instruction {other:#x}"),
        }
    }
}

/// In every pair of ABIs that has the call.
fn assert_all(wall: Wall, network: Network, name: &str, arguments: &[u64], expected: &Outcome) {
    let mut padded = [0; 6];
    padded[..arguments.len()].copy_from_slice(arguments);
    let mut found = 0;
    for abis in ABIS {
        for abi in abis {
            let Some(number) = number(name, *abi) else { continue };
            found += 1;
            let number = u32::try_from(number).unwrap();
            let call = Call { audit: abi.audit(), number, arguments: padded };
            let outcome = judge(wall, network, abis, &call);
            assert_eq!(outcome, *expected, "{name}{arguments:?} of {abi:?} for {wall:?}");
        }
    }
    assert!(found > 0, "{name}");
}

const BOTH: [Network; 2] = [Network::Loopback, Network::Host];
const EPERM: Outcome = Outcome::Errno(libc::EPERM);
const ENOSYS: Outcome = Outcome::Errno(libc::ENOSYS);
const NO_FAMILY: Outcome = Outcome::Errno(libc::EAFNOSUPPORT);

#[test]
fn what_is_forbidden_is_forbidden_through_every_wall_and_abi() {
    for wall in [CLOSED, MOUNTS_OPEN, NESTED] {
        for network in BOTH {
            for name in FORBIDDEN {
                assert_all(wall, network, name, &[], &EPERM);
            }
        }
    }
}

#[test]
fn every_name_is_known_and_every_number_is_used() {
    let mut named = Vec::new();
    for wall in [CLOSED, MOUNTS_OPEN, NESTED] {
        for refusal in refusals(wall, Network::Loopback).unwrap() {
            named.extend(refusal.calls.into_keys());
        }
    }
    for name in &named {
        assert!(NUMBERS.iter().any(|(listed, _)| listed == name), "{name} has no numbers");
    }
    for (listed, _) in NUMBERS {
        assert!(named.contains(listed), "{listed} is not used");
    }
}

#[test]
fn sockets_have_four_families_and_three_while_the_hosts_network_is_there() {
    let high = 0xdead_beef_0000_0000_u64;
    for name in ["socket", "socketpair"] {
        for family in 0..=46_u64 {
            for network in BOTH {
                let local = family == 1 && network == Network::Loopback;
                let expected = if local || [2, 10, 16].contains(&family) {
                    Outcome::Allowed
                } else {
                    NO_FAMILY
                };
                assert_all(CLOSED, network, name, &[family, 1, 0], &expected);
                // The kernel takes an `int`.
                assert_all(NESTED, network, name, &[family | high, 1, 0], &expected);
            }
        }
        assert_all(CLOSED, Network::Loopback, name, &[u64::MAX], &NO_FAMILY);
    }
    assert_all(CLOSED, Network::Loopback, "socketcall", &[1], &NO_FAMILY);
    assert_all(CLOSED, Network::Loopback, "socketcall", &[8], &NO_FAMILY);
    assert_all(CLOSED, Network::Loopback, "socketcall", &[3], &Outcome::Allowed);
    let open = Wall { socketcall: true, ..CLOSED };
    assert_all(open, Network::Host, "socketcall", &[1], &Outcome::Allowed);
    assert_all(open, Network::Host, "socket", &[40], &NO_FAMILY);
}

#[test]
fn namespaces_are_made_only_where_the_wall_lets() {
    let kinds: [(u64, bool); 8] = [
        (0x1000_0000, false),
        (0x4000_0000, false),
        (0x0200_0000, false),
        (0x80, false),
        (0x0002_0000, true),
        (0x0400_0000, true),
        (0x0800_0000, true),
        (0x2000_0000, true),
    ];
    for (flag, for_mounters) in kinds {
        // With what a fork and a thread have besides.
        for besides in [17, 0x3d_0f00] {
            // Of `clone` the lowest byte is a signal: 0x80 is no namespace there.
            let names: &[&str] = if flag == 0x80 { &["unshare"] } else { &["unshare", "clone"] };
            for name in names {
                let flags = [flag | besides];
                assert_all(CLOSED, Network::Loopback, name, &flags, &EPERM);
                let opened = if for_mounters { Outcome::Allowed } else { EPERM };
                assert_all(MOUNTS_OPEN, Network::Loopback, name, &flags, &opened);
                assert_all(NESTED, Network::Loopback, name, &flags, &Outcome::Allowed);
                // Together with a kind that is allowed.
                let both = [flag | 0x1002_0000];
                assert_all(MOUNTS_OPEN, Network::Loopback, name, &both, &EPERM);
            }
        }
    }
    for flags in [17, 0x3d_0f00, 0x4111, 0x80] {
        assert_all(CLOSED, Network::Loopback, "clone", &[flags], &Outcome::Allowed);
    }
    assert_all(CLOSED, Network::Loopback, "unshare", &[0x600], &Outcome::Allowed);
    assert_all(CLOSED, Network::Loopback, "clone3", &[], &ENOSYS);
    assert_all(NESTED, Network::Loopback, "clone3", &[], &Outcome::Allowed);
    for name in NAMESPACES {
        assert_all(CLOSED, Network::Loopback, name, &[], &EPERM);
        assert_all(MOUNTS_OPEN, Network::Loopback, name, &[], &EPERM);
        assert_all(NESTED, Network::Loopback, name, &[], &Outcome::Allowed);
    }
    for name in MOUNTS {
        assert_all(CLOSED, Network::Loopback, name, &[], &EPERM);
        assert_all(MOUNTS_OPEN, Network::Loopback, name, &[], &Outcome::Allowed);
        assert_all(NESTED, Network::Loopback, name, &[], &Outcome::Allowed);
    }
    for name in NEWER_MOUNTS {
        assert_all(CLOSED, Network::Loopback, name, &[], &EPERM);
        assert_all(MOUNTS_OPEN, Network::Loopback, name, &[], &ENOSYS);
    }
}

#[test]
fn arguments_decide_over_ioctl_and_personality() {
    let closed = |name, arguments: &[u64], expected| {
        assert_all(CLOSED, Network::Loopback, name, arguments, &expected);
    };
    for command in [0x5412, 0x541c, 0x1_0000_5412, 0xffff_ffff_0000_541c] {
        closed("ioctl", &[0, command], EPERM);
    }
    for command in [0x5401, 0x5413, 0x541b, 0x5421] {
        closed("ioctl", &[0, command], Outcome::Allowed);
    }
    for known in [0, 8, 0x2_0000, 0x2_0008, 0x4_0000, 0x4_0008, 0x6_0008, 0xffff_ffff] {
        closed("personality", &[known], Outcome::Allowed);
    }
    for odd in [1, 0x10_0000, 0x40_0000, 0x4_0001, 0x500_0005, 0xffff_fffe] {
        closed("personality", &[odd], EPERM);
    }
}

#[test]
fn later_calls_are_absent_and_foreign_ways_in_end_the_process() {
    let asked = |abis: &[Abi], audit, number| {
        judge(CLOSED, Network::Loopback, abis, &Call { audit, number, arguments: [0; 6] })
    };
    for abis in ABIS {
        for abi in abis {
            let audit = abi.audit();
            assert_eq!(asked(abis, audit, 469), Outcome::Allowed);
            for number in [470, 471, 511, 0x4000_0000, 0x4000_0029, 0x7fff_ffff, 0xffff_fffe] {
                let is_private = *abi == Abi::Arm && number >= 0xf_0000;
                let expected = if is_private { Outcome::Allowed } else { ENOSYS };
                assert_eq!(asked(abis, audit, number), expected, "{number:#x} of {abi:?}");
            }
            assert_eq!(asked(abis, audit, u32::MAX), Outcome::Allowed);
        }
        assert_eq!(asked(abis, 0x1234_5678, 0), Outcome::Killed);
    }
    // `read` through the way of another machine.
    assert_eq!(asked(ABIS[0], Abi::Arm64.audit(), 63), Outcome::Killed);
    assert_eq!(asked(&[Abi::Arm], Abi::Arm.audit(), 0xf_0005), Outcome::Allowed);
}

#[test]
fn usual_calls_are_allowed() {
    for number in [0, 1, 2, 3, 9, 59, 60, 101, 231, 257, 310, 317, 334, 439, 444, 446, 449] {
        let call = Call { audit: Abi::X86_64.audit(), number, arguments: [0; 6] };
        assert_eq!(judge(CLOSED, Network::Host, ABIS[0], &call), Outcome::Allowed, "{number}");
    }
}

#[test]
fn calls_with_their_arguments_in_memory_are_handed_over() {
    let program = handed_over();
    let socketcall = u32::try_from(number("socketcall", Abi::X86).unwrap()).unwrap();
    for (abi, number, kind, expected) in [
        (Abi::X86, socketcall, 1, libc::SECCOMP_RET_USER_NOTIF),
        (Abi::X86, socketcall, 8, libc::SECCOMP_RET_USER_NOTIF),
        (Abi::X86, socketcall, 0x1_0000_0008, libc::SECCOMP_RET_USER_NOTIF),
        (Abi::X86, socketcall, 2, libc::SECCOMP_RET_ALLOW),
        (Abi::X86, socketcall, 0, libc::SECCOMP_RET_ALLOW),
        (Abi::X86, 3, 1, libc::SECCOMP_RET_ALLOW),
        (Abi::X86, 359, 1, libc::SECCOMP_RET_ALLOW),
        // setuid of amd64.
        (Abi::X86_64, socketcall, 1, libc::SECCOMP_RET_ALLOW),
    ] {
        let call = Call { audit: abi.audit(), number, arguments: [kind, 0, 0, 0, 0, 0] };
        assert_eq!(run(&program, &call), expected, "{abi:?} {number} {kind}");
    }
    // What is refused is refused before: the kernel takes the strictest answer.
    let closed = run(
        &self::program(&refusals(CLOSED, Network::Host).unwrap()[1], ABIS[0]).unwrap(),
        &Call { audit: Abi::X86.audit(), number: socketcall, arguments: [1, 0, 0, 0, 0, 0] },
    );
    assert!(closed < libc::SECCOMP_RET_USER_NOTIF, "{closed:x}");
}
