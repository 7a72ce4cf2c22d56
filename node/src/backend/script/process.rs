use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use rebuilder_actors::port::Progress;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;

use super::keeper::{Containment, keep};
use crate::sandbox::Personality;

/// One run of a script.
pub(super) struct Run {
    pub(super) program: PathBuf,
    pub(super) argument: PathBuf,
    pub(super) directory: PathBuf,
    /// The whole environment.
    pub(super) environment: BTreeMap<OsString, OsString>,
    /// Time from start to the first, polite, signal.
    pub(super) wall: Duration,
    pub(super) containment: Containment,
    /// Which machine it is on, as it sees it.
    pub(super) personality: Personality,
}

/// How it ended. Every process is gone, but after `Stuck`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// By itself, with this status (128 + n for signal n).
    Status(i32),
    /// Ended by us after `wall`.
    TimedOut,
    /// Ended by us because the attempt was cancelled.
    Cancelled,
    /// Processes that do not even go when killed (waiting for a device).
    Stuck,
}

impl Run {
    /// Runs the script; what it prints goes to `progress`. Dropped, it kills everything.
    ///
    /// # Errors
    /// The program could not be started.
    pub(super) async fn run(self, progress: &dyn Progress) -> io::Result<End> {
        let wall = self.wall;
        let (reader, writer) = io::pipe()?;
        let output = pipe::Receiver::from_owned_fd(reader.into())?;
        let (started_in, started) = oneshot::channel();
        let (ended_in, ended) = oneshot::channel();
        // A thread of its own, because the keeper ends with the thread that started it: those of
        // the runtime come and go.
        std::thread::Builder::new().name("script".to_owned()).spawn(move || {
            let mut child = match self.start(writer) {
                Ok(child) => child,
                Err(error) => {
                    let _ = started_in.send(Err(error));
                    return;
                }
            };
            let pid = Pid::from_raw(i32::try_from(child.id()).expect("process ids are positive"));
            let handle = Arc::new(Mutex::new(Some(pid)));
            let _ = started_in.send(Ok(Keeper { pid: Arc::clone(&handle) }));
            // Looks without collecting: the id stays the keeper's until nobody signals it any more.
            while waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)
                == Err(nix::errno::Errno::EINTR)
            {}
            *handle.lock().unwrap_or_else(PoisonError::into_inner) = None;
            let _ = ended_in.send(child.wait());
        })?;
        let keeper = started.await.map_err(|_| io::Error::other("the thread ended"))??;
        follow(&keeper, output, ended, wall, progress).await
    }

    fn start(self, writer: io::PipeWriter) -> io::Result<std::process::Child> {
        let mut command = std::process::Command::new(&self.program);
        command
            .arg(&self.argument)
            .current_dir(&self.directory)
            .env_clear()
            .envs(&self.environment)
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer);
        keep(&mut command, self.containment, self.personality);
        let mut tries_left = BUSY_TRIES;
        loop {
            match command.spawn() {
                // Somebody is writing the script this very moment.
                Err(error)
                    if error.kind() == io::ErrorKind::ExecutableFileBusy && tries_left > 0 =>
                {
                    tries_left -= 1;
                    std::thread::sleep(BUSY_PAUSE);
                }
                result => return result,
            }
        }
    }
}

/// A running keeper; dropped, it kills everything.
struct Keeper {
    /// `None` once it has ended.
    pid: Arc<Mutex<Option<Pid>>>,
}

impl Keeper {
    fn signal(&self, signal: Signal) {
        if let Some(pid) = *self.pid.lock().unwrap_or_else(PoisonError::into_inner) {
            // It cannot be gone: its id is released after the lock was taken.
            let _ = kill(pid, signal);
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.signal(Signal::SIGUSR1);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// Asked to end, for this reason.
    Terminating(End),
    /// Killed, for this reason.
    Killed(End),
}

/// Passes the output on until its end, which comes with that of the last process.
async fn follow(
    keeper: &Keeper,
    mut output: pipe::Receiver,
    ended: oneshot::Receiver<io::Result<std::process::ExitStatus>>,
    wall: Duration,
    progress: &dyn Progress,
) -> io::Result<End> {
    let mut phase = Phase::Running;
    let mut buffer = vec![0; 64 << 10];
    let timer = tokio::time::sleep(wall);
    tokio::pin!(timer);
    loop {
        tokio::select! {
            biased;
            () = progress.cancelled(), if phase == Phase::Running => {
                say(progress, "rebuilder: cancelled, ending the script\n");
                keeper.signal(Signal::SIGTERM);
                phase = Phase::Terminating(End::Cancelled);
                timer.set(tokio::time::sleep(PATIENCE));
            }
            () = &mut timer => match phase {
                Phase::Running => {
                    let secs = wall.as_secs();
                    say(progress, &format!("rebuilder: {secs} s are over, ending the script\n"));
                    keeper.signal(Signal::SIGTERM);
                    phase = Phase::Terminating(End::TimedOut);
                    timer.set(tokio::time::sleep(PATIENCE));
                }
                Phase::Terminating(why) => {
                    say(progress, "rebuilder: the script has not ended, killing it\n");
                    keeper.signal(Signal::SIGUSR1);
                    phase = Phase::Killed(why);
                    timer.set(tokio::time::sleep(PATIENCE));
                }
                Phase::Killed(_) => return Ok(End::Stuck),
            },
            read = output.read(&mut buffer) => match read? {
                0 => break,
                length => progress.log(&buffer[..length]),
            },
        }
    }
    // The keeper holds the output until all others are gone, so that it ends now.
    let Ok(status) = tokio::time::timeout(PATIENCE, ended).await else {
        return Ok(End::Stuck);
    };
    let status = status.map_err(|_| io::Error::other("the thread ended"))??;
    Ok(match phase {
        Phase::Running => End::Status(code(status)),
        Phase::Terminating(why) | Phase::Killed(why) => why,
    })
}

fn say(progress: &dyn Progress, line: &str) {
    progress.log(line.as_bytes());
}

fn code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;

    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// Time between asking and killing, and between killing and giving up.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a script is tried that is open for writing.
const BUSY_TRIES: u32 = 20;

/// Pause between these tries.
const BUSY_PAUSE: Duration = Duration::from_millis(50);
