use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;

use rebuilder_actors::domain::architecture::narrower;
use rebuilder_actors::protocol::Capability;

use super::cgroup::Layout;
use super::ids::IDS;
use super::personality;
use super::settings::Settings;
use super::wall::Kernel;

/// What this machine's kernel, and the rights of this process, give to a sandbox: asked once, and a
/// plain value from then on. Whatever depends on the machine (evidence, limits, what is offered)
/// follows from it, so that a test can have another machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Kinds of namespaces, and that nothing gains rights by being executed. Every command needs
    /// all of them: where one is missing none runs.
    pub basic: BTreeSet<Capability>,
    /// True: the host's ids that stand for those inside exist in the user namespace of this
    /// process, which may give files to them. Every command needs that, too.
    pub ids: bool,
    /// Filters of system calls, and Landlock.
    pub kernel: Kernel,
    /// Control groups, which limit and count memory and processes.
    pub groups: Layout,
    /// Whether programs of the 32-bit architectures of this machine's family run; the error is why
    /// not, for people.
    pub narrow_programs: Result<(), String>,
}

impl Capabilities {
    /// Asks the kernel. In version 2 of control groups this may move the process into a leaf of the
    /// group that was delegated to it.
    pub fn detect(settings: &Settings) -> Self {
        let groups = if settings.control_groups { Layout::detect() } else { Layout::Absent };
        Self {
            basic: basic(),
            ids: may_give_to(settings.id_base),
            kernel: Kernel::detect(),
            groups,
            narrow_programs: personality::narrow_programs(),
        }
    }

    /// Whether this machine runs programs of `architecture`, one of the 32-bit ones of its family.
    /// Every other one is the caller's to decide on.
    ///
    /// # Errors
    /// The kernel or the processor does not: what to do about it, for people.
    pub fn runs_programs_of(&self, architecture: &str) -> Result<(), String> {
        if !narrower(std::env::consts::ARCH).contains(&architecture) {
            return Ok(());
        }
        let refusal = |why: &String| personality::refusal(architecture, why);
        self.narrow_programs.as_ref().map(|&()| ()).map_err(refusal)
    }

    /// Of the architectures that a worker would offer, those that it can build for, and why not the
    /// others.
    pub fn supported(&self, offered: &[String]) -> (Vec<String>, Vec<String>) {
        let mut kept = Vec::new();
        let mut refusals = Vec::new();
        for name in offered {
            match self.runs_programs_of(name) {
                Ok(()) => kept.push(name.clone()),
                Err(why) => refusals.push(why),
            }
        }
        (kept, refusals)
    }

    /// Each that is there, in one word: those of a report by their names there, `landlock-7` with
    /// the version of its interface, `groups-v1` or `groups-v2` with the version of control groups.
    pub fn words(&self) -> Vec<String> {
        let mut words: Vec<String> = self.basic.iter().map(|one| one.name().to_owned()).collect();
        let mut add = |has: bool, word: &str| words.extend(has.then(|| word.to_owned()));
        add(self.ids, "ids");
        add(self.kernel.seccomp, Capability::Seccomp.name());
        add(self.kernel.listens, "seccomp-listener");
        if let Some(abi) = self.kernel.landlock_abi {
            add(true, &format!("{}-{abi}", Capability::Landlock.name()));
        }
        if let Some(version) = self.groups.version() {
            add(true, &format!("groups-v{version}"));
        }
        add(self.groups.limits_memory(), Capability::MemoryGroup.name());
        add(self.groups.limits_processes(), Capability::PidsGroup.name());
        add(self.narrow_programs.is_ok(), Capability::Linux32.name());
        words
    }

    /// What is missing that weakens a limit or a verdict, and what to do, for people; nothing of
    /// what no command runs without, as a backend that tries one says that itself.
    pub fn gaps(&self) -> Vec<&'static str> {
        let groups = match &self.groups {
            Layout::Absent => Some(NO_GROUPS),
            Layout::Separate { memory: None, .. } => {
                Some("no memory control group can be used: memory is not limited")
            }
            Layout::Separate { pids: None, .. } => {
                Some("no pids control group can be used: weaker limit on processes")
            }
            Layout::Separate { .. } | Layout::Unified { .. } => None,
        };
        let seccomp = (!self.kernel.seccomp).then_some(NO_SECCOMP);
        seccomp.into_iter().chain(groups).collect()
    }
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().join(", "))
    }
}

const NO_GROUPS: &str = "no control group can be used: a run's memory is not limited, its \
    processes only per user, and a lack of memory is known from the machine's counter alone; run \
    as root, with `Delegate=yes` in the service's unit";

const NO_SECCOMP: &str = "system calls of builds cannot be filtered, so that no verdict of this \
    worker says `isolation: full`: run it on a kernel with CONFIG_SECCOMP_FILTER, on amd64, i386, \
    arm64, armhf or riscv64, where nothing forbids `seccomp(2)`";

/// The namespaces that the kernel was built with (namespaces(7)), where it lets anybody make some.
fn basic() -> BTreeSet<Capability> {
    let kinds = [
        ("user", Capability::UserNamespace),
        ("mnt", Capability::MountNamespace),
        ("pid", Capability::PidNamespace),
        ("net", Capability::NetworkNamespace),
        ("ipc", Capability::IpcNamespace),
    ];
    let has = |name: &str| {
        // 0 where an administrator has switched a kind off; absent where the kernel has no limit.
        let most = fs::read_to_string(format!("/proc/sys/user/max_{name}_namespaces"));
        Path::new("/proc/self/ns").join(name).symlink_metadata().is_ok()
            && most.map_or(true, |most| most.trim() != "0")
    };
    let namespaces = kinds.into_iter().filter_map(|(name, kind)| has(name).then_some(kind));
    let keeps_rights = nix::sys::prctl::get_no_new_privs().is_ok();
    namespaces.chain(keeps_rights.then_some(Capability::NoNewPrivileges)).collect()
}

fn may_give_to(base: u32) -> bool {
    nix::unistd::geteuid().is_root()
        && ["/proc/self/uid_map", "/proc/self/gid_map"]
            .iter()
            .all(|file| fs::read_to_string(file).is_ok_and(|map| is_mapped(&map, base)))
}

/// Whether all ids from `base` on are in one line of a map (user_namespaces(7)): the first one
/// inside, the first one outside, how many.
fn is_mapped(map: &str, base: u32) -> bool {
    let (first, last) = (u64::from(base), u64::from(base) + u64::from(IDS));
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u64>);
        match (numbers.next(), numbers.next(), numbers.next()) {
            (Some(Ok(inside)), Some(Ok(_)), Some(Ok(count))) => {
                inside <= first && last <= inside + count
            }
            _ => false,
        }
    })
}

#[cfg(test)]
#[path = "capabilities_test.rs"]
pub(crate) mod tests;
