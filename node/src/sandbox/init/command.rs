//! The last steps before the command.

use std::ffi::{CString, NulError};
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};

use super::super::cgroup::Layout;
use super::super::spec::{Limits, SandboxError, Spec, User};
use super::super::wall::{self, Kernel};
use super::inherited::FILES_HARD;
use super::{privileges, sockets, system};

/// Becomes the command; `sockets` leads to the process that makes sockets for it, where there is
/// one. Returns only when that cannot be tried; a program that is absent ends this
/// process with 127, one that cannot be executed with 126, as a shell does.
pub(super) fn become_command(
    spec: &Spec,
    layout: &Layout,
    kernel: Kernel,
    sockets: Option<&UnixStream>,
) -> SandboxError {
    match try_become(spec, layout, kernel, sockets) {
        Ok(error) => {
            let name = spec.command.first().map_or("", String::as_str);
            let line = format!("{name}: {}\n", error.desc());
            // The output is the only place to say it.
            let _written = nix::unistd::write(std::io::stderr(), line.as_bytes());
            std::process::exit(if error == Errno::ENOENT { 127 } else { 126 })
        }
        Err(error) => error,
    }
}

fn try_become(
    spec: &Spec,
    layout: &Layout,
    kernel: Kernel,
    sockets: Option<&UnixStream>,
) -> Result<Errno, SandboxError> {
    let failed = |error: Errno| SandboxError::new("leave the first process", error);
    let (programs, arguments, environment) = strings(spec)
        .map_err(|error| SandboxError::new("pass arguments and environment", error))?;
    nix::unistd::setsid().map_err(failed)?;
    system::reset_signals().map_err(failed)?;
    limit(&spec.limits, layout).map_err(|error| SandboxError::new("set the limits", error))?;
    spec.personality
        .take()
        .map_err(|error| SandboxError::new("choose the machine that it sees", error))?;
    umask(Mode::from_bits_truncate(0o022));
    if spec.user == User::Builder {
        privileges::become_builder()
            .map_err(|error| SandboxError::new("drop all rights", error))?;
    }
    nix::unistd::chdir(&spec.directory).map_err(|error| {
        SandboxError::new(format!("enter {} inside", spec.directory.display()), error)
    })?;
    system::close_from(3, true).map_err(failed)?;
    let listener = wall::build(spec.wall, spec.network, kernel)?;
    if let (Some(listener), Some(to)) = (listener, sockets) {
        sockets::hand_over(to, &listener)
            .map_err(|error| SandboxError::new("hand sockets over", error))?;
    }
    let mut last = Errno::ENOENT;
    for program in &programs {
        let Err(error) = nix::unistd::execve(program, &arguments, &environment);
        match error {
            Errno::ENOENT | Errno::ENOTDIR => {}
            Errno::EACCES => last = error,
            _ => return Ok(error),
        }
    }
    Ok(last)
}

/// Candidates for the program, arguments, environment.
type Strings = (Vec<CString>, Vec<CString>, Vec<CString>);

fn strings(spec: &Spec) -> Result<Strings, NulError> {
    let name = spec.command.first().map_or("", String::as_str);
    let path = spec.environment.get("PATH").map_or(PATH, String::as_str);
    let programs = if name.contains('/') {
        vec![CString::new(name)?]
    } else {
        let folders = path.split(':').filter(|folder| folder.starts_with('/'));
        folders.map(|folder| CString::new(format!("{folder}/{name}"))).collect::<Result<_, _>>()?
    };
    let arguments =
        spec.command.iter().map(|text| CString::new(text.as_bytes())).collect::<Result<_, _>>()?;
    let environment = spec
        .environment
        .iter()
        .map(|(name, value)| CString::new(format!("{name}={value}")))
        .collect::<Result<_, _>>()?;
    Ok((programs, arguments, environment))
}

fn limit(limits: &Limits, layout: &Layout) -> nix::Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    if let Some(bytes) = limits.file_bytes {
        setrlimit(Resource::RLIMIT_FSIZE, bytes, bytes)?;
    }
    // The same on every machine: some tools walk over all numbers up to the soft limit.
    set_up_to_hard(Resource::RLIMIT_NOFILE, FILES_SOFT, FILES_HARD)?;
    set_up_to_hard(Resource::RLIMIT_STACK, STACK_BYTES, RLIM_INFINITY)?;
    if !layout.limits_processes() {
        let processes = u64::from(limits.processes);
        setrlimit(Resource::RLIMIT_NPROC, processes, processes)?;
    }
    Ok(())
}

/// Nobody in a user namespace may raise a hard limit.
fn set_up_to_hard(resource: Resource, soft: u64, hard: u64) -> nix::Result<()> {
    let (_, highest) = getrlimit(resource)?;
    setrlimit(resource, soft.min(highest), hard.min(highest))
}

/// Where programs are looked up when the environment does not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What service managers give.
const FILES_SOFT: u64 = 1024;
const STACK_BYTES: u64 = 8 << 20;
