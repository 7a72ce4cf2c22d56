use std::env::consts::ARCH;

use super::super::{Personality, Sandbox, Wall};
use super::*;

/// A machine of today that has everything but control groups.
pub(crate) fn usual() -> Capabilities {
    use Capability as C;
    Capabilities {
        basic: BTreeSet::from([
            C::UserNamespace,
            C::MountNamespace,
            C::PidNamespace,
            C::NetworkNamespace,
            C::IpcNamespace,
            C::NoNewPrivileges,
        ]),
        ids: true,
        kernel: Kernel { seccomp: true, listens: true, landlock_abi: Some(7) },
        groups: Layout::Absent,
        narrow_programs: Ok(()),
    }
}

#[test]
fn every_capability_is_one_word_and_only_those_that_are_there() {
    let all = Capabilities { groups: Layout::Unified { parent: "/group".into() }, ..usual() };
    assert_eq!(
        all.to_string(),
        "user-namespace, mount-namespace, pid-namespace, network-namespace, ipc-namespace, \
         no-new-privileges, ids, seccomp, seccomp-listener, landlock-7, groups-v2, memory-group, \
         pids-group, linux32"
    );
    let kernel = Kernel { seccomp: false, listens: false, landlock_abi: None };
    let narrow_programs = Err("Exec format error".to_owned());
    let none =
        Capabilities { basic: BTreeSet::new(), ids: false, kernel, narrow_programs, ..usual() };
    assert_eq!(none.words(), [""; 0]);
    let groups = Layout::Separate { memory: None, pids: Some("/pids".into()) };
    assert_eq!(Capabilities { groups, ..none }.words(), ["groups-v1", "pids-group"]);
}

#[test]
fn gaps_that_weaken_limits_and_verdicts_are_named_with_their_remedy() {
    let unified = Layout::Unified { parent: "/group".into() };
    assert_eq!(Capabilities { groups: unified, ..usual() }.gaps(), [""; 0]);
    let bare = Kernel { seccomp: false, listens: false, landlock_abi: None };
    let gaps = Capabilities { kernel: bare, ..usual() }.gaps();
    assert_eq!(gaps.len(), 2);
    assert!(gaps[0].contains("CONFIG_SECCOMP_FILTER") && gaps[1].contains("Delegate=yes"));
    for (memory, pids, word) in [(None, Some("/p"), "memory"), (Some("/m"), None, "processes")] {
        let groups =
            Layout::Separate { memory: memory.map(Into::into), pids: pids.map(Into::into) };
        let gaps = Capabilities { groups, ..usual() }.gaps();
        assert!(gaps.len() == 1 && gaps[0].contains(word), "{gaps:?}");
    }
}

#[test]
fn an_architecture_that_does_not_run_is_not_offered_and_the_remedy_named() {
    let machine = Capabilities { narrow_programs: Err("no such luck".to_owned()), ..usual() };
    let offered = ["all", "*", "riscv64", ARCH].map(str::to_owned);
    assert_eq!(machine.supported(&offered), (offered.to_vec(), Vec::new()));
    for name in narrower(ARCH) {
        let (kept, refusals) = machine.supported(&[(*name).to_owned()]);
        assert!(kept.is_empty() && refusals[0].contains("(no such luck)"), "{refusals:?}");
        assert!(usual().runs_programs_of(name).is_ok());
    }
}

#[test]
fn ids_are_there_where_one_line_of_the_map_has_all_of_them() {
    let base = super::super::ID_BASE;
    for (map, expected) in [
        ("         0          0 4294967295\n", true),
        ("0 100000 65536\n", false),
        ("0 0 1\n1879048192 1879048192 65536\n", true),
        ("1879048192 1879048192 65535\n", false),
        ("1879048193 1879048193 65536\n", false),
        ("", false),
        ("0 0\n", false),
    ] {
        assert_eq!(is_mapped(map, base), expected, "{map}");
    }
}

/// What is asked twice is the same, and without control groups nothing else changes.
#[test]
fn this_machine_is_asked_and_groups_can_be_forbidden() {
    let settings = Settings { control_groups: false, ..Settings::default() };
    let found = Capabilities::detect(&settings);
    assert_eq!(found.groups, Layout::Absent);
    assert_eq!(found, Capabilities::detect(&settings));
    assert!(found.basic.contains(&Capability::NoNewPrivileges), "{found}");
    let sandbox = Sandbox::detect(settings.clone());
    assert_eq!((sandbox.capabilities(), sandbox.settings()), (&found, &settings));
    assert_eq!(sandbox.builder_id(), sandbox.root_id() + 1000);
    let evidence = sandbox.evidence(Wall::default(), Personality::Native);
    assert_eq!(evidence.landlock_abi, found.kernel.landlock_abi);
}
