use std::os::fd::OwnedFd;

use landlock::{AccessFs, Ruleset, RulesetAttr, RulesetError, RulesetStatus, Scope};

use super::super::init::{notify, system};
use super::super::spec::{Network, SandboxError};
use super::{Kernel, Wall, filter};

/// Puts the wall up around this process and everything that it starts, for ever. To be called when
/// nothing is left to do but to become the command. The descriptor on which the kernel hands calls
/// over, where the wall asks for it (`hands_sockets_over`).
pub(in crate::sandbox) fn build(
    wall: Wall,
    network: Network,
    kernel: Kernel,
) -> Result<Option<OwnedFd>, SandboxError> {
    // Nothing gains rights by being executed. Root inside has them already, and scripts of packages
    // step down by setuid(2), never up by a file's bit.
    nix::sys::prctl::set_no_new_privs()
        .map_err(|error| SandboxError::new("renounce new privileges", error))?;
    if kernel.scopes() {
        let failed = |reason: String| SandboxError::new("restrict by Landlock", reason);
        let status = restrict(wall).map_err(|error| failed(error.to_string()))?;
        if status == RulesetStatus::NotEnforced {
            return Err(failed("the kernel, which had it, has it no more".to_owned()));
        }
    }
    if kernel.seccomp {
        let failed = |reason: String| SandboxError::new("filter system calls", reason);
        let programs =
            filter::programs(wall, network).map_err(|error| failed(error.to_string()))?;
        for program in &programs {
            system::filter_calls(program).map_err(|error| failed(error.to_string()))?;
        }
        if wall.hands_sockets_over(kernel) {
            let listener = notify::filter_with_listener(&filter::handed_over());
            return listener.map(Some).map_err(|error| failed(error.to_string()));
        }
    }
    Ok(None)
}

/// Sockets and processes outside are out of reach, whatever name or number they are called by.
fn restrict(wall: Wall) -> Result<RulesetStatus, RulesetError> {
    let mut ruleset = Ruleset::default().scope(Scope::AbstractUnixSocket)?.scope(Scope::Signal)?;
    if !wall.may_mount() {
        // Sockets in folders of the host, from version 9 on; what is older leaves it out. Landlock
        // forbids every mount to whom it restricts in the file system.
        ruleset = ruleset.handle_access(AccessFs::ResolveUnix)?;
    }
    Ok(ruleset.create()?.restrict_self()?.ruleset)
}
