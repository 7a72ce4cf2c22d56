use rebuilder_actors::protocol::{Capability, Sandbox};

use super::super::cgroup::{Layout, usable};
use super::super::personality::Personality;
use super::{Kernel, Wall, kernel};

/// What holds a command in that runs with its own loopback, with `wall` and with `personality`, for
/// the report. Everything that is named here is there, or the command does not run.
pub fn evidence(wall: Wall, personality: Personality) -> Sandbox {
    gather(wall, personality, kernel(), &usable())
}

fn gather(wall: Wall, personality: Personality, kernel: Kernel, layout: &Layout) -> Sandbox {
    use Capability as C;
    let (memory, pids) = match layout {
        Layout::Absent => (false, false),
        Layout::Separate { memory, pids } => (memory.is_some(), pids.is_some()),
        Layout::Unified { .. } => (true, true),
    };
    let always = [
        C::UserNamespace,
        C::MountNamespace,
        C::PidNamespace,
        C::NetworkNamespace,
        C::IpcNamespace,
        C::NoNewPrivileges,
    ];
    let sometimes = [
        (C::Seccomp, kernel.seccomp),
        (C::SocketFamilies, kernel.seccomp && (!wall.socketcall || kernel.listens)),
        (C::NoNestedNamespaces, kernel.seccomp && !wall.nested_namespaces),
        (C::Landlock, kernel.scopes()),
        (C::MemoryGroup, memory),
        (C::PidsGroup, pids),
        (C::Linux32, personality == Personality::Linux32),
    ];
    let active = sometimes.into_iter().filter_map(|(one, is_active)| is_active.then_some(one));
    Sandbox {
        capabilities: always.into_iter().chain(active).collect(),
        landlock_abi: kernel.landlock_abi,
    }
}

#[cfg(test)]
mod tests {
    use rebuilder_actors::protocol::Isolation;

    use super::*;

    const KERNEL: Kernel = Kernel { seccomp: true, listens: true, landlock_abi: Some(7) };

    #[test]
    fn a_closed_wall_on_a_usual_kernel_is_full_isolation() {
        let old = Kernel { landlock_abi: None, ..KERNEL };
        for kernel in [KERNEL, old] {
            let found = gather(Wall::default(), Personality::Native, kernel, &Layout::Absent);
            assert_eq!(found.isolation(), Isolation::Full, "{found:?}");
            let scopes = found.capabilities.contains(&Capability::Landlock);
            assert_eq!(scopes, kernel.landlock_abi.is_some());
        }
    }

    #[test]
    fn doors_and_missing_parts_weaken_it() {
        let bare = Kernel { seccomp: false, ..KERNEL };
        let nested = Wall { nested_namespaces: true, ..Wall::default() };
        let old_sockets = Wall { socketcall: true, ..Wall::default() };
        let deaf = Kernel { listens: false, ..KERNEL };
        for (wall, kernel) in [(Wall::default(), bare), (nested, KERNEL), (old_sockets, deaf)] {
            let found = gather(wall, Personality::Native, kernel, &Layout::Absent);
            assert_eq!(found.isolation(), Isolation::Network, "{found:?}");
        }
        // Sockets of i386 are made by a process of ours.
        let found = gather(old_sockets, Personality::Linux32, KERNEL, &Layout::Absent);
        assert_eq!(found.isolation(), Isolation::Full, "{found:?}");
        let scopes_are_newer = Kernel { landlock_abi: Some(5), ..KERNEL };
        let found = gather(Wall::default(), Personality::Native, scopes_are_newer, &Layout::Absent);
        assert!(!found.capabilities.contains(&Capability::Landlock));
    }
    #[test]
    fn the_personality_is_said_and_no_barrier() {
        for (personality, expected) in [(Personality::Native, false), (Personality::Linux32, true)]
        {
            let found = gather(Wall::default(), personality, KERNEL, &Layout::Absent);
            assert_eq!(found.capabilities.contains(&Capability::Linux32), expected);
            assert_eq!(found.isolation(), Isolation::Full);
        }
    }
}
