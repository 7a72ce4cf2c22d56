use rebuilder_actors::protocol::{Capability, Sandbox};

use super::super::capabilities::Capabilities;
use super::super::personality::Personality;
use super::Wall;

impl Capabilities {
    /// What holds a command in that runs with its own loopback, with `wall` and with `personality`,
    /// for the report. Everything that is named here is there, or the command does not run.
    pub fn evidence(&self, wall: Wall, personality: Personality) -> Sandbox {
        use Capability as C;
        let kernel = self.kernel;
        let sometimes = [
            (C::Seccomp, kernel.seccomp),
            (C::SocketFamilies, kernel.seccomp && (!wall.socketcall || kernel.listens)),
            (C::NoNestedNamespaces, kernel.seccomp && !wall.nested_namespaces),
            (C::Landlock, kernel.scopes()),
            (C::MemoryGroup, self.groups.limits_memory()),
            (C::PidsGroup, self.groups.limits_processes()),
            (C::Linux32, personality == Personality::Linux32),
        ];
        let active = sometimes.into_iter().filter_map(|(one, is_active)| is_active.then_some(one));
        Sandbox {
            capabilities: self.basic.iter().copied().chain(active).collect(),
            landlock_abi: kernel.landlock_abi,
        }
    }
}

#[cfg(test)]
mod tests {
    use rebuilder_actors::protocol::Isolation;

    use super::super::super::capabilities::tests::usual;
    use super::super::super::cgroup::Layout;
    use super::super::Kernel;
    use super::*;

    const KERNEL: Kernel = Kernel { seccomp: true, listens: true, landlock_abi: Some(7) };

    fn gather(wall: Wall, personality: Personality, kernel: Kernel) -> Sandbox {
        Capabilities { kernel, ..usual() }.evidence(wall, personality)
    }

    #[test]
    fn a_closed_wall_on_a_usual_kernel_is_full_isolation() {
        let old = Kernel { landlock_abi: None, ..KERNEL };
        for kernel in [KERNEL, old] {
            let found = gather(Wall::default(), Personality::Native, kernel);
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
            let found = gather(wall, Personality::Native, kernel);
            assert_eq!(found.isolation(), Isolation::Network, "{found:?}");
        }
        // Sockets of i386 are made by a process of ours.
        let found = gather(old_sockets, Personality::Linux32, KERNEL);
        assert_eq!(found.isolation(), Isolation::Full, "{found:?}");
        let scopes_are_newer = Kernel { landlock_abi: Some(5), ..KERNEL };
        let found = gather(Wall::default(), Personality::Native, scopes_are_newer);
        assert!(!found.capabilities.contains(&Capability::Landlock));
    }
    #[test]
    fn the_personality_is_said_and_no_barrier() {
        for (personality, expected) in [(Personality::Native, false), (Personality::Linux32, true)]
        {
            let found = gather(Wall::default(), personality, KERNEL);
            assert_eq!(found.capabilities.contains(&Capability::Linux32), expected);
            assert_eq!(found.isolation(), Isolation::Full);
        }
    }

    #[test]
    fn groups_are_named_each_by_itself_and_are_no_barrier() {
        let folder = || Some(std::path::PathBuf::from("/group"));
        for (groups, memory, pids) in [
            (Layout::Absent, false, false),
            (Layout::Separate { memory: folder(), pids: None }, true, false),
            (Layout::Separate { memory: None, pids: folder() }, false, true),
            (Layout::Unified { parent: "/group".into() }, true, true),
        ] {
            let machine = Capabilities { groups, ..usual() };
            let found = machine.evidence(Wall::default(), Personality::Native);
            let named = |one| found.capabilities.contains(&one);
            assert_eq!(
                (named(Capability::MemoryGroup), named(Capability::PidsGroup)),
                (memory, pids)
            );
            assert_eq!(found.isolation(), Isolation::Full, "{machine}");
        }
    }

    #[test]
    fn a_kernel_without_a_namespace_does_not_claim_it() {
        for (missing, expected) in [
            (Capability::IpcNamespace, Isolation::Network),
            (Capability::NetworkNamespace, Isolation::None),
        ] {
            let mut machine = usual();
            machine.basic.remove(&missing);
            let found = machine.evidence(Wall::default(), Personality::Native);
            assert!(!found.capabilities.contains(&missing));
            assert_eq!(found.isolation(), expected);
        }
    }
}
