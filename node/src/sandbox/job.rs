//! What the worker, the monitor and the first process tell each other: frames of a length (u32,
//! little endian) and JSON. All of them run this very program, so there are no versions.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::cgroup::Layout;
use super::observed::Observed;
use super::spec::{SandboxError, Spec};
use super::wall::Kernel;

/// Worker to monitor, once. The end of the stream asks the monitor to end everything.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Job {
    Run { spec: Box<Spec>, means: Means },
    Unpack { tar: PathBuf, into: PathBuf, bytes_max: u64, means: Means },
}

/// What the monitor has to work with. It asks the kernel nothing itself: what a command is held in
/// is what the worker's evidence names, or the command does not run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Means {
    /// First of the host's ids that stand for those inside, as the settings say.
    pub(super) id_base: u32,
    pub(super) layout: Layout,
    pub(super) kernel: Kernel,
}

/// Monitor to worker, once, when every process is gone.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Ended { status: i32, observed: Observed },
    Failed(SandboxError),
}

/// First process to monitor.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Stage {
    /// In a user namespace of its own that has no ids yet.
    Unshared,
    /// The sandbox cannot be made.
    Failed(SandboxError),
}

/// The bytes of one frame.
pub(super) fn frame(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let body = serde_json::to_vec(message)?;
    let length = u32::try_from(body.len()).ok().filter(|length| *length <= FRAME_BYTES_MAX);
    let length = length.ok_or_else(|| io::Error::other("message too large"))?;
    Ok([&length.to_le_bytes()[..], &body].concat())
}

/// Writes one frame.
pub(super) fn send(mut to: impl Write, message: &impl Serialize) -> io::Result<()> {
    to.write_all(&frame(message)?)
}

/// Reads one frame; an error of kind `UnexpectedEof` when the stream has ended.
pub(super) fn receive<T: DeserializeOwned>(mut from: impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut body = vec![0; body_bytes(length)?];
    from.read_exact(&mut body)?;
    Ok(serde_json::from_slice(&body)?)
}

/// The length of a body, from its prefix.
pub(super) fn body_bytes(prefix: [u8; 4]) -> io::Result<usize> {
    let length = u32::from_le_bytes(prefix);
    if length > FRAME_BYTES_MAX {
        return Err(io::Error::other(format!("message of {length} bytes is too large")));
    }
    usize::try_from(length).map_err(io::Error::other)
}

/// More than any command line and environment that the kernel accepts (6 MiB).
const FRAME_BYTES_MAX: u32 = 16 << 20;
