use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rebuilder_actors::port::{Clock, Monotonic, Progress};
use rebuilder_actors::protocol::{FaultKind, Stage};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::EnvironmentLimits;
use crate::backend::{BuildError, Found, decide, faults};
use crate::fetch::Proxies;
use crate::sandbox::{
    self, Bind, Exit, Limits, Network, Observed, Output, Personality, Root, Sandbox, Spec, User,
    Wall,
};

/// The root of one attempt: a base root and one writable layer, in which commands run one after
/// the other, each in a sandbox of its own.
pub(crate) struct Chroot<'a> {
    pub(crate) root: Root,
    pub(crate) limits: &'a EnvironmentLimits,
    /// What commands with the host's network fetch through.
    pub(crate) proxies: &'a Proxies,
    /// Runs the commands.
    pub(crate) sandbox: &'a Sandbox,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) cancel: &'a CancellationToken,
    /// What commands of every stage see besides the root, until the build begins.
    pub(crate) binds: Vec<Bind>,
    /// What a build may ask the kernel for.
    pub(crate) wall: Wall,
    /// Of the architecture that is built for: also what packages' scripts see.
    pub(crate) personality: Personality,
    /// Below which URLs packages may be fetched: what the package manager of the root, which a
    /// package may have replaced by then, names elsewhere is not of the archives.
    pub(crate) urls: Vec<String>,
    pub(crate) stage: Stage,
    /// When the stage must have ended.
    pub(crate) deadline: Monotonic,
    /// What the commands so far may have been short of.
    pub(crate) observed: &'a Mutex<Observed>,
}

/// One command.
pub(crate) struct Step<'a> {
    pub(crate) user: User,
    pub(crate) network: Network,
    pub(crate) command: Vec<String>,
    pub(crate) directory: &'a str,
    pub(crate) environment: BTreeMap<String, String>,
}

impl<'a> Step<'a> {
    /// A command of the system's own tools, as root, without network, with `environment`.
    pub(crate) fn root(
        directory: &'a str,
        command: impl IntoIterator<Item = &'a str>,
        environment: BTreeMap<String, String>,
    ) -> Self {
        Self {
            user: User::Root,
            network: Network::Loopback,
            command: command.into_iter().map(str::to_owned).collect(),
            directory,
            environment,
        }
    }
}

impl<'a> Chroot<'a> {
    /// Another root, with the same limits and the same end.
    pub(crate) fn elsewhere(&self, root: Root, binds: Vec<Bind>) -> Self {
        Self { root, binds, urls: self.urls.clone(), ..*self }
    }
}

impl Chroot<'_> {
    /// Begins another stage, of at most `secs_max` seconds.
    pub(crate) fn enter(&mut self, stage: Stage, secs_max: u32) {
        self.stage = stage;
        self.deadline = self.clock.monotonic().plus(Duration::from_secs(secs_max.into()));
        self.progress.stage(stage);
    }

    /// Runs a command whose output goes into the log; answers its status and the end of what it
    /// printed.
    pub(crate) async fn logged(&self, step: Step<'_>) -> Result<(i32, String), BuildError> {
        let mut output = Logged { progress: self.progress, tail: Vec::new() };
        let status = self.run(step, &mut output).await?;
        Ok((status, String::from_utf8_lossy(&output.tail).into_owned()))
    }

    /// Runs a command whose output is read here, up to 16 MiB.
    pub(crate) async fn captured(&self, step: Step<'_>) -> Result<(i32, String), BuildError> {
        let mut output = Captured { bytes: Vec::new() };
        let status = self.run(step, &mut output).await?;
        Ok((status, String::from_utf8_lossy(&output.bytes).into_owned()))
    }

    /// Time left in the stage.
    pub(crate) fn remaining(&self) -> Duration {
        self.deadline.since(self.clock.monotonic())
    }

    async fn run(&self, step: Step<'_>, output: &mut dyn Output) -> Result<i32, BuildError> {
        let mut environment = step.environment;
        // Whoever has no network has no use for them, and they may hold a password.
        if step.network == Network::Host {
            environment.extend(self.proxies.variables());
        }
        let spec = Spec {
            root: self.root.clone(),
            binds: self.binds.clone(),
            network: step.network,
            user: step.user,
            command: step.command,
            environment,
            directory: PathBuf::from(step.directory),
            limits: Limits {
                wall: self.remaining().max(Duration::from_millis(1)),
                memory_bytes: self.limits.memory_bytes_max,
                processes: self.limits.processes_max,
                // The kernel's end of such a write would be a failure without a trace.
                file_bytes: None,
                disk_bytes: self.limits.disk_bytes_max,
                output_bytes_per_sec: self.limits.log_bytes_per_sec_max,
            },
            wall: Wall {
                // A build's wish, which scripts of packages do not share.
                nested_namespaces: self.wall.nested_namespaces && step.user == User::Builder,
                ..self.wall
            },
            personality: self.personality,
        };
        let run = self.sandbox.run(&spec, output, self.cancel).await?;
        self.observed.lock().unwrap_or_else(PoisonError::into_inner).add(run.observed);
        decide(Found::Exit(self.stage, run.exit), &self.observed())?;
        match run.exit {
            Exit::Status(status) => Ok(status),
            other => {
                let detail = format!("stage {} ended with {other:?}", self.stage);
                let kind = faults::of_exit(self.stage, other).unwrap_or(FaultKind::WorkerFailed);
                Err(BuildError::fault(kind, detail))
            }
        }
    }

    /// Runs `work` until it ends, the stage's time is up or the attempt is cancelled; then it is
    /// dropped.
    pub(crate) async fn unless_cancelled<T>(
        &self,
        work: impl Future<Output = Result<T, BuildError>>,
    ) -> Result<T, BuildError> {
        let stage = self.stage;
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(cancelled(stage)),
            ended = timeout(self.remaining(), work) => ended.unwrap_or_else(|_| {
                let detail = format!("stage {stage} took longer than allowed");
                Err(BuildError::fault(FaultKind::TimedOut(stage), detail))
            }),
        }
    }

    /// Deletes the writable layer, or gets it out of the way.
    pub(crate) async fn remove_layer(layer: &Path) -> Result<(), BuildError> {
        Ok(sandbox::clear(layer).await?)
    }

    /// What all commands so far may have been short of.
    pub(crate) fn observed(&self) -> Observed {
        self.observed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A line of our own in the log.
pub(crate) fn say(progress: &dyn Progress, line: impl AsRef<str>) {
    progress.log(format!("rebuilder: {}\n", line.as_ref()).as_bytes());
}

/// The fault of an attempt that is to end.
pub(crate) fn cancelled(stage: Stage) -> BuildError {
    BuildError::fault(FaultKind::Cancelled, format!("cancelled in stage {stage}"))
}

struct Logged<'a> {
    progress: &'a dyn Progress,
    tail: Vec<u8>,
}

impl Output for Logged<'_> {
    fn write(&mut self, bytes: &[u8]) {
        self.progress.log(bytes);
        self.tail.extend_from_slice(bytes);
        if self.tail.len() > 2 * TAIL_BYTES {
            let cut = self.tail.len() - TAIL_BYTES;
            self.tail.drain(..cut);
        }
    }
}

struct Captured {
    bytes: Vec<u8>,
}

impl Output for Captured {
    fn write(&mut self, bytes: &[u8]) {
        let room = CAPTURED_BYTES_MAX.saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..room.min(bytes.len())]);
    }
}

/// Enough of the end of an output to find the line that tells why.
const TAIL_BYTES: usize = 64 * 1024;

/// Package lists of an environment have about 100 KiB.
const CAPTURED_BYTES_MAX: usize = 16 << 20;
