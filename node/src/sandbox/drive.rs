//! The worker's side of one sandbox: starts the monitor, passes on what is printed, and closes the
//! stream to the monitor when the run has to end.

use std::future::{Future, pending};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Sandbox;
use super::init::INIT_ARGUMENT;
use super::job::{self, Answer, Job};
use super::observed::Observed;
use super::spec::{Exit, Output, Run, SandboxError};
use super::usage::Usage;

/// What ends a sandbox from outside, or slows it.
pub(super) struct Bounds {
    pub(super) wall: Duration,
    /// What of its disk usage is looked at; `None`: nothing.
    pub(super) usage: Option<Usage>,
    /// `Limits::output_bytes_per_sec`.
    pub(super) output_bytes_per_sec: Option<u64>,
}

/// Has a monitor do a job.
pub(super) async fn drive(
    sandbox: &Sandbox,
    job: &Job,
    bounds: Bounds,
    output: &mut dyn Output,
    cancel: &CancellationToken,
) -> Result<Run, SandboxError> {
    if cancel.is_cancelled() {
        return Ok(Run { exit: Exit::Cancelled, observed: Observed::default() });
    }
    let mut large_file_bytes = None;
    let frame = job::frame(job).map_err(|error| SandboxError::new("encode the job", error))?;
    let Monitor { mut child, control, mut printed } = start(&sandbox.settings().init_program)
        .map_err(|error| SandboxError::new("start the monitor", error))?;
    let (reads, mut writes) = control.into_split();
    let cut = async {
        if writes.write_all(&frame).await.is_err() {
            // The monitor has died: seen when its answer is read.
            pending::<()>().await;
        }
        let cause = cause(&bounds, &mut large_file_bytes, cancel).await;
        // The end of this stream is what the monitor obeys to.
        drop(writes);
        cause
    };
    let rate = bounds.output_bytes_per_sec.unwrap_or(u64::MAX);
    let (cause, answer) = pump(cut, receive(reads), &mut printed, output, rate).await;
    if answer.is_none() {
        // The kernel kills the namespaces' first process with its parent.
        child.kill().await.map_err(|error| SandboxError::new("kill the monitor", error))?;
    }
    drain(&mut printed, output).await;
    child.wait().await.map_err(|error| SandboxError::new("wait for the monitor", error))?;
    let answer = answer
        .unwrap_or_else(|| Err(io::Error::other("the processes did not end in time")))
        .map_err(|error| SandboxError::new("hear of the end from the monitor", error));
    let (exit, mut observed) = match (cause, answer?) {
        (None, Answer::Failed(error)) => return Err(error),
        (None, Answer::Ended { status, observed }) => (Exit::Status(status), observed),
        (Some(cause), Answer::Ended { observed, .. }) => (cause, observed),
        (Some(cause), Answer::Failed(_)) => (cause, Observed::default()),
    };
    // A look at every file: not after each of the many commands that prepare a build and succeed.
    if let (Exit::Status(status), Some(usage)) = (exit, &bounds.usage)
        && (status != 0 || usage.looks_at_end)
    {
        large_file_bytes = large_file_bytes.max(usage.large_file().await);
    }
    observed.large_file_bytes = large_file_bytes;
    Ok(Run { exit, observed })
}

struct Monitor {
    child: Child,
    control: UnixStream,
    printed: pipe::Receiver,
}

fn start(program: &Path) -> io::Result<Monitor> {
    let (ours, theirs) = StdUnixStream::pair()?;
    let (reader, writer) = io::pipe()?;
    let child = Command::new(program)
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
async fn cause(bounds: &Bounds, large: &mut Option<u64>, cancel: &CancellationToken) -> Exit {
    let disk = async {
        match &bounds.usage {
            Some(usage) => usage.exceeded(large).await,
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
/// cut the run short, if anything did. At most about `rate` bytes are read in a second: the command
/// waits for the pipe meanwhile.
async fn pump(
    cut: impl Future<Output = Exit>,
    answer: impl Future<Output = io::Result<Answer>>,
    printed: &mut pipe::Receiver,
    output: &mut dyn Output,
    rate: u64,
) -> (Option<Exit>, Option<io::Result<Answer>>) {
    tokio::pin!(cut, answer);
    let second = sleep(SECOND);
    tokio::pin!(second);
    let mut left = rate;
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
            () = &mut second, if rate != u64::MAX => {
                left = rate;
                second.set(sleep(SECOND));
            }
            read = printed.read(&mut buffer), if open && left > 0 => match read {
                Ok(bytes @ 1..) => {
                    output.write(&buffer[..bytes]);
                    left = left.saturating_sub(bytes as u64);
                }
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
/// For which a rate of output counts.
const SECOND: Duration = Duration::from_secs(1);
/// Everything is in the pipe already when this counts.
const DRAIN_WAIT: Duration = Duration::from_secs(1);
/// What a pipe holds.
const OUTPUT_BYTES: usize = 64 * 1024;
