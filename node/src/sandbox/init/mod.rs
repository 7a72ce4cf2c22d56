//! What runs between the worker and the sandboxed command, in processes of their own.

mod command;
mod devices;
mod first;
mod inherited;
mod monitor;
mod mounts;
pub(super) mod notify;
mod privileges;
mod sockets;
pub(super) mod system;
mod unpack;
mod view;

use std::os::unix::net::UnixStream;
use std::process::exit;

use super::job::{self, Answer, Job, Means};
use super::observed::Observed;
use super::spec::SandboxError;

pub(super) use system::extended_attribute;

/// Has every descriptor from `first` on closed in whatever program this process becomes or starts.
pub(crate) fn close_at_exec(first: u32) -> std::io::Result<()> {
    system::close_from(first, true).map_err(Into::into)
}

/// The first argument with which the program is started to become a monitor.
pub const INIT_ARGUMENT: &str = "sandbox-init";

/// Becomes the monitor of one sandbox. To be called first thing in `main`, while there is one
/// thread, when the first argument is `INIT_ARGUMENT`. Standard input is the worker's socket.
pub fn init_main() -> ! {
    let Ok(control) = monitor::take_control() else {
        // Started by hand: there is nobody to tell.
        exit(EXIT_USAGE);
    };
    let answer = match answer(&control) {
        Ok((status, observed)) => Answer::Ended { status, observed },
        Err(error) => Answer::Failed(error),
    };
    // A worker that is gone needs no answer.
    let sent = job::send(&control, &answer);
    exit(i32::from(sent.is_err()));
}

fn answer(control: &UnixStream) -> Result<(i32, Observed), SandboxError> {
    let job = job::receive(control).map_err(|error| SandboxError::new("read the job", error))?;
    match job {
        Job::Run { spec, means: Means { id_base, layout, kernel } } => {
            monitor::run(control, &spec, id_base, &layout, kernel)
        }
        Job::Unpack { tar, into, bytes_max, means: Means { id_base, layout, kernel } } => {
            let bounds = unpack::Bounds { bytes_max, layout };
            unpack::run(control, &tar, &into, id_base, &bounds, kernel)
        }
    }
}

/// As sysexits.h has it.
const EXIT_USAGE: i32 = 64;
