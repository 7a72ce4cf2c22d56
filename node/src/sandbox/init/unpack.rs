//! Unpacks a tarball as root of a user namespace, so that its owners and rights come out shifted.

use std::convert::Infallible;
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::lchown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::exit;
use std::time::Duration;

use nix::sched::CloneFlags;
use nix::sys::wait::{WaitStatus, waitpid};

use super::super::cgroup::Layout;
use super::super::group::{Counts, Group};
use super::super::job;
use super::super::observed::Observed;
use super::super::spec::{Limits, Network, SandboxError};
use super::super::wall::{self, Kernel, Wall};
use super::first::fail;
use super::system::{self, Side};
use super::{inherited, monitor, privileges};

/// What one tarball may take.
pub(super) struct Bounds {
    /// Bytes of the decompressed tarball.
    pub(super) bytes_max: u64,
    /// Where its control groups are made.
    pub(super) layout: Layout,
}

/// The status of the unpacking; its complaints are the output.
pub(super) fn run(
    control: &UnixStream,
    tar: &Path,
    into: &Path,
    id_base: u32,
    bounds: &Bounds,
    kernel: Kernel,
) -> Result<(i32, Observed), SandboxError> {
    // Opened with the host's rights: the folders above may be closed to everybody else.
    let source = File::open(tar)
        .map_err(|error| SandboxError::new(format!("open {}", tar.display()), error))?;
    match fs::create_dir(into) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => lchown(into, Some(id_base), Some(id_base)),
    }
    .map_err(|error| SandboxError::new(format!("make {}", into.display()), error))?;
    std::env::set_current_dir(into)
        .map_err(|error| SandboxError::new(format!("enter {}", into.display()), error))?;
    inherited::settle()?;
    let (group, places) = (Group::create(&bounds.layout, &LIMITS)?, [into]);
    let watched = monitor::Watched { group: &group, places: &places, inside: false };
    let ended = monitor::supervise(control, monitor::SEPARATE, id_base, &watched, |channel| {
        first(&channel, source, bounds.bytes_max, kernel)
    });
    let Counts { memory_kills, forks_refused } = group.counts();
    group.remove();
    let counted = Observed { memory_kills, forks_refused, ..Observed::default() };
    match ended {
        Ok((status, seen)) => {
            Ok((status, Observed { file_systems: seen.watch.finish(), ..counted }))
        }
        // What was counted says more than the end of a pipe to a process that was killed.
        Err(mut error) => {
            error.observed.add(counted);
            Err(error)
        }
    }
}

fn first(channel: &UnixStream, source: File, bytes_max: u64, kernel: Kernel) -> i32 {
    let entered = job::receive::<()>(channel)
        .map_err(|error| SandboxError::new("wait to be let in", error))
        .and_then(|()| privileges::enter_user_namespace(channel))
        .and_then(|()| wall::build(Wall::default(), Network::Loopback, kernel))
        .and_then(|_no_listener| feed(source, bytes_max));
    match entered {
        Ok(status) => status,
        Err(error) => fail(channel, error),
    }
}

/// Unpacks what is decompressed here, with as few rights as `tar` itself has.
fn feed(source: File, bytes_max: u64) -> Result<i32, SandboxError> {
    let failed = |error: io::Error| SandboxError::new("unpack", error);
    let mut plain = decompress(source).map_err(failed)?;
    let (reader, mut writer) = io::pipe().map_err(failed)?;
    let side = system::fork_into(CloneFlags::empty()).map_err(|error| failed(error.into()))?;
    let Side::Parent(tar) = side else {
        drop(writer);
        let _error = become_tar(&reader);
        exit(127);
    };
    drop(reader);
    let copied = io::copy(&mut (&mut plain).take(bytes_max), &mut writer)
        .and_then(|bytes| Ok(bytes == bytes_max && plain.read(&mut [0])? > 0));
    drop(writer);
    let status = match waitpid(tar, None).map_err(|error| failed(error.into()))? {
        WaitStatus::Exited(_, status) => status,
        other => return Err(SandboxError::new("unpack", format!("{other:?}"))),
    };
    match copied {
        // `tar` stops reading at the end of the archive, or has said what it stumbled over.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(status),
        Err(error) => Err(failed(error)),
        Ok(false) => Ok(status),
        // A bomb, or a root file system for a larger machine.
        Ok(true) => {
            let reason = format!("it has more than {bytes_max} bytes");
            let observed = Observed { large_file_bytes: Some(bytes_max), ..Observed::default() };
            Err(SandboxError { observed, ..SandboxError::new("unpack", reason) })
        }
    }
}

/// By what the file begins with, whatever it is called.
fn decompress(mut source: File) -> io::Result<Box<dyn Read>> {
    let mut start = Vec::new();
    (&mut source).take(6).read_to_end(&mut start)?;
    source.seek(SeekFrom::Start(0))?;
    let source = BufReader::with_capacity(1 << 16, source);
    Ok(match start.as_slice() {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::Decoder::with_buffer(source)?),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => {
            Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(source))
        }
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(source)),
        _ => Box::new(source),
    })
}

/// A decoder's window, at most 4 GiB by the format of `xz`, and `tar`, which has one process.
const LIMITS: Limits = Limits {
    wall: Duration::MAX,
    memory_bytes: Some(1 << 30),
    processes: 16,
    file_bytes: None,
    disk_bytes: None,
    output_bytes_per_sec: None,
};

fn become_tar(input: &io::PipeReader) -> nix::Result<Infallible> {
    nix::unistd::dup2_stdin(input)?;
    system::reset_signals()?;
    nix::sys::stat::umask(nix::sys::stat::Mode::empty());
    system::close_from(3, true)?;
    let text = |text: &str| CString::new(text).expect("no zero byte in a literal");
    let arguments: Vec<CString> = ARGUMENTS.into_iter().map(text).collect();
    let environment = [text("LC_ALL=C"), text("PATH=/usr/bin:/bin")];
    nix::unistd::execve(&text("/usr/bin/tar"), &arguments, &environment)
}

const ARGUMENTS: [&str; 12] = [
    "tar",
    "--extract",
    "--file=-",
    "--numeric-owner",
    "--same-owner",
    "--preserve-permissions",
    "--xattrs",
    "--xattrs-include=security.capability",
    "--xattrs-include=user.*",
    // No device can be made in a user namespace, and every run has its own.
    "--exclude=./dev/*",
    "--exclude=dev/*",
    "--warning=no-timestamp",
];
