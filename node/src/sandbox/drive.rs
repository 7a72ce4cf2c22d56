//! The worker's side of one sandbox: starts the monitor, passes on what is printed, and closes the
//! stream to the monitor when the run has to end.

use std::future::{Future, pending};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::cancel::Cancel;
use super::init::INIT_ARGUMENT;
use super::job::{self, Answer, Job};
use super::settings::settings;
use super::spec::{Exit, Output, SandboxError, Spec};
use super::usage;

/// What ends a sandbox from outside.
pub(super) struct Bounds<'a> {
    pub(super) wall: Duration,
    /// Whose disk usage is watched; `None`: nobody's.
    pub(super) spec: Option<&'a Spec>,
}

/// Has a monitor do a job.
pub(super) async fn drive(
    job: &Job,
    bounds: Bounds<'_>,
    output: &mut dyn Output,
    cancel: &Cancel,
) -> Result<Exit, SandboxError> {
    if cancel.is_cancelled() {
        return Ok(Exit::Cancelled);
    }
    let frame = job::frame(job).map_err(|error| SandboxError::new("encode the job", error))?;
    let Monitor { mut child, control, mut printed } =
        start().map_err(|error| SandboxError::new("start the monitor", error))?;
    let (reads, mut writes) = control.into_split();
    let cut = async {
        if writes.write_all(&frame).await.is_err() {
            // The monitor has died: seen when its answer is read.
            pending::<()>().await;
        }
        let cause = cause(&bounds, cancel).await;
        // The end of this stream is what the monitor obeys to.
        drop(writes);
        cause
    };
    let (cause, answer) = pump(cut, receive(reads), &mut printed, output).await;
    if answer.is_none() {
        // The kernel kills the namespaces' first process with its parent.
        child.kill().await.map_err(|error| SandboxError::new("kill the monitor", error))?;
    }
    drain(&mut printed, output).await;
    child.wait().await.map_err(|error| SandboxError::new("wait for the monitor", error))?;
    let answer = answer
        .unwrap_or_else(|| Err(io::Error::other("the processes did not end in time")))
        .map_err(|error| SandboxError::new("hear of the end from the monitor", error));
    Ok(match (cause, answer?) {
        (Some(Exit::Cancelled), _) => Exit::Cancelled,
        (Some(Exit::DiskFull), _) => Exit::DiskFull,
        (_, Answer::Ended { out_of_memory: true, .. }) => Exit::OutOfMemory,
        (Some(cause), _) => cause,
        (None, Answer::Ended { status, .. }) => Exit::Status(status),
        (None, Answer::Failed(error)) => return Err(error),
    })
}

struct Monitor {
    child: Child,
    control: UnixStream,
    printed: pipe::Receiver,
}

fn start() -> io::Result<Monitor> {
    let (ours, theirs) = StdUnixStream::pair()?;
    let (reader, writer) = io::pipe()?;
    let child = Command::new(&settings().init_program)
        // The command can read this line of the first process.
        .arg0("init")
        .arg(INIT_ARGUMENT)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::from(writer.try_clone()?))
        .stderr(Stdio::from(writer))
        .spawn()?;
    ours.set_nonblocking(true)?;
    Ok(Monitor {
        child,
        control: UnixStream::from_std(ours)?,
        printed: pipe::Receiver::from_owned_fd(OwnedFd::from(reader))?,
    })
}

/// Waits for what ends the run from outside.
async fn cause(bounds: &Bounds<'_>, cancel: &Cancel) -> Exit {
    let disk = async {
        match bounds.spec {
            Some(spec) => usage::exceeded(spec).await,
            None => pending().await,
        }
    };
    tokio::select! {
        biased;
        () = cancel.cancelled() => Exit::Cancelled,
        () = disk => Exit::DiskFull,
        () = sleep(bounds.wall) => Exit::TimedOut,
    }
}

/// The monitor's answer.
async fn receive(mut reads: OwnedReadHalf) -> io::Result<Answer> {
    let mut prefix = [0; 4];
    reads.read_exact(&mut prefix).await?;
    let mut body = vec![0; job::body_bytes(prefix)?];
    reads.read_exact(&mut body).await?;
    Ok(serde_json::from_slice(&body)?)
}

/// Passes output on until the answer is there, or (`None`) too long after the cut. Also tells what
/// cut the run short, if anything did.
async fn pump(
    cut: impl Future<Output = Exit>,
    answer: impl Future<Output = io::Result<Answer>>,
    printed: &mut pipe::Receiver,
    output: &mut dyn Output,
) -> (Option<Exit>, Option<io::Result<Answer>>) {
    tokio::pin!(cut, answer);
    let overdue = sleep(GRACE);
    tokio::pin!(overdue);
    let mut buffer = vec![0; OUTPUT_BYTES];
    let (mut cause, mut open) = (None, true);
    loop {
        tokio::select! {
            biased;
            answer = &mut answer => return (cause, Some(answer)),
            found = &mut cut, if cause.is_none() => {
                cause = Some(found);
                overdue.set(sleep(GRACE));
            }
            () = &mut overdue, if cause.is_some() => return (cause, None),
            read = printed.read(&mut buffer), if open => match read {
                Ok(bytes @ 1..) => output.write(&buffer[..bytes]),
                Ok(0) | Err(_) => open = false,
            }
        }
    }
}

/// What is still in the pipe once every process is gone. A process of the host to which the command
/// had passed the pipe could keep it open: it is not waited for.
async fn drain(printed: &mut pipe::Receiver, output: &mut dyn Output) {
    let mut buffer = vec![0; OUTPUT_BYTES];
    while let Ok(Ok(bytes @ 1..)) = timeout(DRAIN_WAIT, printed.read(&mut buffer)).await {
        output.write(&buffer[..bytes]);
    }
}

/// How long the kernel may take to end all processes and free their memory.
const GRACE: Duration = Duration::from_secs(20);
/// Everything is in the pipe already when this counts.
const DRAIN_WAIT: Duration = Duration::from_secs(1);
/// What a pipe holds.
const OUTPUT_BYTES: usize = 64 * 1024;
