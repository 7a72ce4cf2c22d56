use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rebuilder_actors::port::{Backend, BoxFuture, Clock, Difference, Progress};
use rebuilder_actors::protocol::{
    Artifact, Assignment, AttemptId, Attempted, Ending, FaultKind, Isolation, Rebuilt, Sandbox,
    UtcMillis,
};

use super::compare::{Pair, compare};
use super::difference::Diffoscope;
use super::rebuild::{BuildError, BuildFacts, Rebuild};
use super::shortage::{Found, decide};
use crate::fetch::Fetcher;
use crate::sandbox;

/// The port `Backend`: one way to rebuild for each backend's name, and what is the same for all of
/// them (the attempt's folder, comparing, differences).
pub struct Backends {
    setup: BackendsSetup,
    /// What `difference` needs of attempts that are not released.
    kept: Mutex<BTreeMap<AttemptId, BTreeMap<Box<str>, Pair>>>,
}

/// What [`Backends`] is made of.
pub struct BackendsSetup {
    /// Holds one folder for each attempt, and nothing else; absolute, on a disk with much room.
    pub folder: PathBuf,
    /// By the name that a job asks for.
    pub backends: BTreeMap<String, Arc<dyn Rebuild>>,
    /// Fetches published files.
    pub fetcher: Fetcher,
    /// Dates the reports.
    pub clock: Arc<dyn Clock>,
    /// Explains differences; `None`: they are not explained.
    pub diffoscope: Option<Diffoscope>,
}

impl Backends {
    /// Makes the folder, and removes what attempts of an earlier process left there. What cannot
    /// be removed is named and stays: it is tried again at the next start.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub async fn open(setup: BackendsSetup) -> std::io::Result<Self> {
        tokio::fs::create_dir_all(&setup.folder).await?;
        let mut entries = tokio::fs::read_dir(&setup.folder).await?;
        while let Some(entry) = entries.next_entry().await? {
            // Never fatal: an attempt of this name tries again, and ends in a fault that says so.
            if let Err(error) = sandbox::clear(&entry.path()).await {
                tracing::warn!(target: "rebuilder", "a left-over stays: {error}");
            }
        }
        Ok(Self { setup, kept: Mutex::new(BTreeMap::new()) })
    }

    /// Names of the backends, sorted.
    pub fn names(&self) -> Vec<String> {
        self.setup.backends.keys().cloned().collect()
    }

    async fn run(&self, assignment: &Assignment, progress: &dyn Progress) -> Attempted {
        let started_at = self.setup.clock.utc();
        let name = &*assignment.key.backend;
        let Some(backend) = self.setup.backends.get(name) else {
            let known = self.names().join(", ");
            let detail = format!("this worker has no backend `{name}` (it has: {known})");
            let missing = BuildError::fault(FaultKind::BackendMissing, detail);
            let facts = BuildFacts::nothing();
            return self.attempted(Err(missing), Isolation::None, &facts, started_at);
        };
        let mut facts = BuildFacts::nothing();
        let ended = self.rebuild(backend.as_ref(), assignment, &mut facts, progress).await;
        self.attempted(ended, backend.isolation(), &facts, started_at)
    }

    async fn rebuild(
        &self,
        backend: &dyn Rebuild,
        assignment: &Assignment,
        facts: &mut BuildFacts,
        progress: &dyn Progress,
    ) -> Result<Vec<Rebuilt>, BuildError> {
        let folder = self.folder_of(assignment.attempt);
        make_private(&folder).await?;
        let outputs = backend.build(assignment, &folder, facts, progress).await?;
        let kept = folder.join("published");
        let found = compare(assignment, &outputs, &kept, &self.setup.fetcher, progress).await?;
        let mut pairs = assignment.artifacts.iter().zip(&found.rebuilt);
        let reproduced = pairs.all(|(artifact, rebuilt)| is_reproduced(artifact, rebuilt));
        decide(Found::Compared { reproduced }, &facts.observed)?;
        self.kept().insert(assignment.attempt, found.pairs);
        Ok(found.rebuilt)
    }

    fn attempted(
        &self,
        ended: Result<Vec<Rebuilt>, BuildError>,
        isolation: Isolation,
        facts: &BuildFacts,
        started_at: UtcMillis,
    ) -> Attempted {
        let ending = match ended {
            Ok(rebuilt) => Ending::Built(rebuilt),
            Err(BuildError::BuildFailed { reason }) => Ending::BuildFailed { reason },
            Err(BuildError::Fault(fault)) => Ending::Fault(fault),
        };
        Attempted {
            ending,
            environment: facts.environment,
            isolation: facts.sandbox.as_ref().map_or(isolation, Sandbox::isolation),
            sandbox: facts.sandbox.clone(),
            input_sha256: facts.input.map(|input| input.sha256),
            input_sha512: facts.input.map(|input| input.sha512),
            source_sha256: facts.source_sha256,
            environment_sha256: facts.environment_sha256,
            started_at,
            finished_at: self.setup.clock.utc(),
        }
    }

    async fn explain(
        &self,
        attempt: AttemptId,
        file: &str,
        progress: &dyn Progress,
    ) -> Option<Difference> {
        let diffoscope = self.setup.diffoscope.as_ref()?;
        let pair = self.kept().get(&attempt)?.get(file)?.clone();
        diffoscope.explain(&pair, file, &self.folder_of(attempt), progress).await
    }

    async fn free(&self, attempt: AttemptId) {
        self.kept().remove(&attempt);
        let folder = self.folder_of(attempt);
        if let Err(error) = sandbox::clear(&folder).await {
            tracing::warn!(%attempt, %error, "what an attempt left cannot be removed");
        }
        // What kept an earlier one may have ended meanwhile.
        sandbox::sweep(&self.setup.folder).await;
    }

    fn folder_of(&self, attempt: AttemptId) -> PathBuf {
        self.setup.folder.join(attempt.to_string())
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<AttemptId, BTreeMap<Box<str>, Pair>>> {
        // Every change is one call on the map: it is whole after a panic elsewhere, too.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend for Backends {
    fn attempt<'a>(
        &'a self,
        assignment: &'a Assignment,
        progress: &'a dyn Progress,
    ) -> BoxFuture<'a, Attempted> {
        Box::pin(self.run(assignment, progress))
    }

    fn difference<'a>(
        &'a self,
        attempt: AttemptId,
        file: &'a str,
        progress: &'a dyn Progress,
    ) -> BoxFuture<'a, Option<Difference>> {
        Box::pin(self.explain(attempt, file, progress))
    }

    fn release(&self, attempt: AttemptId) -> BoxFuture<'_, ()> {
        Box::pin(self.free(attempt))
    }
}

/// Whether the coordinator will find `Reproduced`: the digest of the index counts, or that of the
/// published file where it names none.
fn is_reproduced(artifact: &Artifact, rebuilt: &Rebuilt) -> bool {
    let published = artifact.sha256.or(rebuilt.published.map(|published| published.sha256));
    published.is_some() && rebuilt.output.map(|output| output.sha256) == published
}

/// Makes the attempt's folder, empty and for the worker's user alone.
async fn make_private(folder: &Path) -> Result<(), BuildError> {
    let mut builder = tokio::fs::DirBuilder::new();
    builder.mode(0o700);
    let mut made = builder.create(folder).await;
    if made.as_ref().is_err_and(|error| error.kind() == ErrorKind::AlreadyExists) {
        // An earlier try that was never released, or of a process that was killed.
        sandbox::clear(folder).await?;
        made = builder.create(folder).await;
    }
    made.map_err(|error| BuildError::io("make the folder", folder, &error))
}
