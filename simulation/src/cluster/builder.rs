//! Builders that are honest, slow, hanging, crashing or lying, and what they truly made.

use core::time::Duration;
use std::path::PathBuf;
use std::sync::Arc;

use rebuilder_actors::port::{Backend, BoxFuture, Clock, Difference, Progress};
use rebuilder_actors::protocol::{
    Assignment, AttemptId, Attempted, Ending, EnvironmentKnowledge, Fault, FaultKind, FileDigest,
    Isolation, Rebuilt, Sha256, Sha512, Stage, Verdict,
};

use super::event::{ClusterEvent, Made};
use super::mirror::{Truth, content, truth};
use super::random_stream::RandomStream;
use super::trouble::Trouble;
use super::world::{Cluster, ProcessScope};

/// How one machine builds.
#[derive(Clone, Debug)]
pub(super) struct BuilderProfile {
    /// In a hundred attempts.
    faults_percent: u64,
    /// In a hundred attempts.
    hangs_percent: u64,
    /// In a hundred attempts.
    crashes_percent: u64,
    /// Times a usual build's duration.
    slowness: u64,
    lies: bool,
}

impl BuilderProfile {
    /// False when what it tells may be a lie.
    pub(super) fn is_honest(&self, world: &Cluster) -> bool {
        !(self.lies && world.options.has(Trouble::LyingWorkers))
    }

    pub(super) fn draw(random: &mut RandomStream, number: usize) -> Self {
        // Somebody does it well, so that there is something to see.
        let good = number == 0;
        Self {
            faults_percent: if good { 2 } else { random.of(5..50) },
            hangs_percent: if good { 0 } else { random.of(3..25) },
            crashes_percent: if good { 0 } else { random.of(3..25) },
            slowness: if good { 1 } else { random.of(2..6) },
            lies: number == 1,
        }
    }
}

/// The builder of one process of a worker.
pub(super) struct Builder {
    pub(super) world: Arc<Cluster>,
    pub(super) scope: Arc<ProcessScope>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) profile: BuilderProfile,
}

/// A panic that is meant, with a message for whoever catches it.
const CRASH: &str = "the simulated builder crashed";

impl Builder {
    fn random(&self, attempt: AttemptId) -> RandomStream {
        let ProcessScope { node, number, .. } = &*self.scope;
        self.world.random(&format!("attempt {attempt} at {node} {number}"))
    }

    async fn build(
        &self,
        random: &mut RandomStream,
        assignment: &Assignment,
        progress: &dyn Progress,
    ) -> (Ending, Made) {
        let world = &self.world;
        let chance =
            |random: &mut RandomStream, fault, percent| random.percent(percent) && world.has(fault);
        for stage in [Stage::Fetch, Stage::Prepare] {
            progress.stage(stage);
            sleep_ms(random.of(500..15_000)).await;
            if chance(random, Trouble::FaultyBuilders, self.profile.faults_percent) {
                return fault(some_fault(random));
            }
        }
        progress.stage(Stage::Build);
        if chance(random, Trouble::CrashingBuilders, self.profile.crashes_percent) {
            sleep_ms(random.of(0..60_000)).await;
            std::panic::resume_unwind(Box::new(CRASH));
        }
        if chance(random, Trouble::HangingBuilders, self.profile.hangs_percent) {
            tokio::time::sleep(Duration::from_secs(assignment.limits.build_secs_max.into())).await;
            return fault(FaultKind::TimedOut(Stage::Build));
        }
        self.write_log(random, progress).await;
        progress.stage(Stage::Compare);
        sleep_ms(random.of(200..3000)).await;
        self.finish(random, assignment)
    }

    /// The build itself: time passes and the log grows.
    async fn write_log(&self, random: &mut RandomStream, progress: &dyn Progress) {
        let slow = if self.world.has(Trouble::SlowBuilders) { self.profile.slowness } else { 1 };
        let large = self.world.has(Trouble::LargeLogs) && random.percent(15);
        let pieces = random.of(1..8);
        let piece_ms = random.of(10_000..240_000) * slow / pieces;
        for number in 0..pieces {
            sleep_ms(piece_ms).await;
            let bytes = if large { random.of(10_000..600_000) } else { random.of(1..2000) };
            let line = format!("piece {number} of {pieces}\n").into_bytes();
            let bytes = usize::try_from(bytes).unwrap_or(1);
            progress.log(&line.iter().copied().cycle().take(bytes).collect::<Vec<u8>>());
        }
    }

    fn finish(&self, random: &mut RandomStream, assignment: &Assignment) -> (Ending, Made) {
        let lies = self.profile.lies && self.world.has(Trouble::LyingWorkers);
        let same = match truth(self.world.seed, &assignment.key.source) {
            Truth::Reproducible => true,
            Truth::Differs => false,
            Truth::Flaky => random.percent(50),
            Truth::Fails => {
                return (Ending::BuildFailed { reason: "exit status 2".into() }, Made::Failed);
            }
        };
        let (mut files, mut made) = (Vec::new(), Vec::new());
        for artifact in &assignment.artifacts {
            let truly = if same { content(&artifact.file) } else { b"something else".to_vec() };
            let equal = artifact.sha256 == Some(Sha256::of(&truly));
            let verdict = if equal { Verdict::Reproduced } else { Verdict::Differs };
            made.push((artifact.file.clone(), verdict));
            let told = if lies && !same { content(&artifact.file) } else { truly };
            let output = FileDigest {
                size: told.len() as u64,
                sha256: Sha256::of(&told),
                sha512: Sha512::of(&told),
            };
            files.push(Rebuilt {
                file: artifact.file.clone(),
                output: Some(output),
                published: None,
            });
        }
        (Ending::Built(files), Made::Files(made))
    }
}

async fn sleep_ms(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

fn fault(kind: FaultKind) -> (Ending, Made) {
    let detail = "simulated".into();
    (Ending::Fault(Fault { kind, detail }), Made::Fault(kind))
}

/// A problem of ours.
fn some_fault(random: &mut RandomStream) -> FaultKind {
    match random.of(0..12) {
        0 | 1 => FaultKind::InputsUnavailable,
        2 | 3 => FaultKind::OutOfMemory,
        4 => FaultKind::DiskFull,
        5 => FaultKind::TimedOut(Stage::Prepare),
        6 => FaultKind::WorkerFailed,
        7 => FaultKind::BackendMissing,
        _ => FaultKind::FetchFailed,
    }
}

impl Backend for Builder {
    fn attempt<'a>(
        &'a self,
        assignment: &'a Assignment,
        progress: &'a dyn Progress,
    ) -> BoxFuture<'a, Attempted> {
        Box::pin(async move {
            let attempt = assignment.attempt;
            self.world.see(self.scope.node, &ClusterEvent::Began(attempt));
            let started_at = self.clock.utc();
            let mut random = self.random(attempt);
            let patience = random.of(10..4000);
            let built = {
                let mut cancelled = progress.cancelled();
                let mut build = core::pin::pin!(self.build(&mut random, assignment, progress));
                core::future::poll_fn(|cx| {
                    if cancelled.as_mut().poll(cx).is_ready() {
                        return core::task::Poll::Ready(None);
                    }
                    build.as_mut().poll(cx).map(Some)
                })
                .await
            };
            let (ending, made) = match built {
                Some(built) => built,
                None => {
                    sleep_ms(patience).await;
                    fault(FaultKind::Cancelled)
                }
            };
            let honest = self.profile.is_honest(&self.world);
            self.world.see(self.scope.node, &ClusterEvent::Made(attempt, made, honest));
            Attempted {
                ending,
                environment: EnvironmentKnowledge::Suite,
                isolation: Isolation::Full,
                sandbox: None,
                input_sha256: None,
                input_sha512: None,
                source_sha256: None,
                environment_sha256: None,
                started_at,
                finished_at: self.clock.utc(),
            }
        })
    }

    /// An empty text, or none: the worker reads it from a real file.
    fn difference<'a>(
        &'a self,
        attempt: AttemptId,
        file: &'a str,
        _: &'a dyn Progress,
    ) -> BoxFuture<'a, Option<Difference>> {
        Box::pin(async move {
            let mut random = self.world.random(&format!("difference {attempt} {file}"));
            sleep_ms(random.of(100..20_000)).await;
            let (path, sha256) = (PathBuf::from("/dev/null"), Sha256::of(b""));
            random.percent(70).then_some(Difference { path, sha256, size: 0 })
        })
    }

    fn release(&self, _: AttemptId) -> BoxFuture<'_, ()> {
        Box::pin(core::future::ready(()))
    }
}
