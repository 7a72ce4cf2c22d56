//! A backend with folders of its own, and assignments for it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rebuilder_actors::port::{BoxFuture, Clock, Monotonic, Progress};
use rebuilder_actors::protocol::{
    Archive, Artifact, Assignment, AttemptId, AttemptLimits, BuildInput, Epoch, IndexTrust,
    InputId, JobKey, RemoteFile, Stage, UtcMillis,
};
use rebuilder_node::backend::{BuildError, BuildFacts, Rebuild as _};
use rebuilder_node::distribution::debian::backend::{DebianBackend, DebianSettings};
use rebuilder_node::fetch::{FetchLimits, Fetcher};
use rebuilder_node::sandbox::{Sandbox, Settings};
use tokio_util::sync::CancellationToken;

/// The machine's clocks.
pub struct SystemClock(std::time::Instant);

impl SystemClock {
    #[expect(clippy::disallowed_methods, reason = "a test of the real thing runs in real time")]
    pub fn new() -> Self {
        Self(std::time::Instant::now())
    }
}

impl Clock for SystemClock {
    fn monotonic(&self) -> Monotonic {
        Monotonic(self.0.elapsed())
    }

    #[expect(clippy::disallowed_methods, reason = "a test of the real thing runs in real time")]
    fn utc(&self) -> UtcMillis {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let millis = since.expect("after 1970").as_millis();
        UtcMillis(i64::try_from(millis).expect("this millennium"))
    }
}

/// Keeps what an attempt tells.
pub struct RecordedProgress {
    clock: SystemClock,
    log: Mutex<Vec<u8>>,
    stages: Mutex<Vec<(Stage, f32)>>,
    cancel: CancellationToken,
}

impl RecordedProgress {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            clock: SystemClock::new(),
            log: Mutex::default(),
            stages: Mutex::default(),
            cancel: CancellationToken::new(),
        })
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&self.log.lock().unwrap()).into_owned()
    }

    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Seconds of each stage, the last one until now.
    pub fn times(&self) -> String {
        let stages = self.stages.lock().unwrap();
        let end = self.clock.monotonic().0.as_secs_f32();
        let ends = stages.iter().skip(1).map(|(_, at)| *at).chain([end]);
        stages.iter().zip(ends).map(|((s, at), to)| format!("{s} {:.1} ", to - at)).collect()
    }
}

impl Progress for RecordedProgress {
    fn stage(&self, stage: Stage) {
        let at = self.clock.monotonic().0.as_secs_f32();
        self.stages.lock().unwrap().push((stage, at));
    }

    fn log(&self, bytes: &[u8]) {
        self.log.lock().unwrap().extend_from_slice(bytes);
    }

    fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    fn cancelled(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.cancel.cancelled())
    }
}

/// What came of one attempt.
pub struct Outcome {
    pub ended: Result<PathBuf, BuildError>,
    pub facts: BuildFacts,
    pub progress: Arc<RecordedProgress>,
    pub seconds: f32,
}

impl Outcome {
    /// The digest of an output.
    pub fn sha256(&self, file: &str) -> Option<String> {
        let out = self.ended.as_ref().unwrap_or_else(|ended| {
            panic!("{ended:?}\n{}", self.progress.log());
        });
        let bytes = std::fs::read(out.join(file)).ok()?;
        Some(rebuilder_actors::protocol::Sha256::of(&bytes).to_string())
    }
}

/// A backend over folders that end with it; base roots are shared by all tests of a run.
pub struct Harness {
    pub folder: tempfile::TempDir,
    memory: PathBuf,
    backend: DebianBackend,
    pub sandbox: Sandbox,
    numbers: std::sync::atomic::AtomicI32,
}

impl Harness {
    /// With these keyrings besides Debian's own.
    pub fn new(keyrings: &[&Path]) -> Self {
        Self::including(keyrings, &[])
    }

    /// With these packages in the base roots besides the usual ones.
    pub fn including(keyrings: &[&Path], include: &[&str]) -> Self {
        crate::mirror::require_tools();
        let sandbox = Sandbox::detect(Settings {
            init_program: PathBuf::from(env!("CARGO_BIN_EXE_rebuilder-node")),
            ..Settings::default()
        });
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() {
            tempfile::Builder::new().prefix("rebuilder-test-").tempdir_in(memory)
        } else {
            tempfile::Builder::new().prefix("rebuilder-test-").tempdir()
        };
        let folder = folder.expect("a temporary folder");
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).unwrap();
        let mut settings =
            DebianSettings::new(folder.path().join("work"), folder.path().join("cache"));
        // Base roots are kept over runs where a folder is named for them (on a tmpfs, best).
        let kept = std::env::var_os("REBUILDER_TEST_CACHE").map(PathBuf::from);
        settings.folders.memory_dir = Some(kept.unwrap_or_else(|| folder.path().join("memory")));
        settings.folders.memory_free_bytes_min = 1 << 30;
        settings.parallel = 2;
        settings.base_include.extend(include.iter().map(|&name| name.to_owned()));
        settings.keyrings.extend(keyrings.iter().map(|path| path.to_path_buf()));
        let memory = settings.folders.memory_dir.clone().expect("set above");
        let limits = FetchLimits { pause: Duration::from_millis(100), ..FetchLimits::default() };
        let fetcher = Fetcher::new(limits).expect("a fetcher");
        let backend =
            DebianBackend::new(settings, sandbox.clone(), fetcher, Arc::new(SystemClock::new()));
        let backend = backend.expect("a backend");
        Self { folder, memory, backend, sandbox, numbers: 0.into() }
    }

    /// One attempt.
    pub async fn attempt(&self, mut assignment: Assignment) -> Outcome {
        self.attempt_with(&mut assignment, RecordedProgress::new()).await
    }

    /// One attempt that can be cancelled.
    pub async fn attempt_with(
        &self,
        assignment: &mut Assignment,
        progress: Arc<RecordedProgress>,
    ) -> Outcome {
        let number = self.numbers.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
        assignment.attempt = AttemptId { job: InputId(number), epoch: Epoch(1) };
        let folder = self.folder.path().join(format!("attempt-{number}"));
        std::fs::create_dir_all(&folder).unwrap();
        let mut facts = BuildFacts::nothing();
        let began = SystemClock::new();
        let ended = self.backend.build(assignment, &folder, &mut facts, &*progress).await;
        let seconds = began.monotonic().0.as_secs_f32();
        Outcome { ended, facts, progress, seconds }
    }

    /// The base roots that are there, complete or not.
    pub fn bases(&self) -> Vec<PathBuf> {
        let folders = std::fs::read_dir(self.memory.join("bases")).expect("the base roots");
        folders.map(|folder| folder.expect("a base root").path()).collect()
    }

    /// True when no attempt left a writable layer behind.
    pub fn is_clean(&self) -> bool {
        [self.memory.join("layers"), self.folder.path().join("work/layers")]
            .iter()
            .all(|layers| std::fs::read_dir(layers).is_ok_and(|mut all| all.next().is_none()))
    }
}

/// An assignment in suite mode; `files` are name and architecture.
pub fn suite_assignment(
    source: &str,
    version: &str,
    dsc: RemoteFile,
    archives: Vec<Archive>,
    files: &[(&str, &str)],
) -> Assignment {
    Assignment {
        attempt: AttemptId { job: InputId(1), epoch: Epoch(1) },
        key: JobKey {
            distribution: "debian".into(),
            backend: "debian".into(),
            source: source.into(),
            version: version.into(),
            architecture: "amd64".into(),
            input: "suite".into(),
        },
        input: BuildInput::Suite,
        source: Some(dsc),
        archives,
        artifacts: files
            .iter()
            .map(|(file, architecture)| Artifact {
                name: file.split('_').next().expect("a name").into(),
                version: version.into(),
                component: None,
                architecture: (*architecture).into(),
                file: (*file).into(),
                url: format!("http://mirror.example.org/{file}").into(),
                size: None,
                sha256: None,
            })
            .collect(),
        index: IndexTrust::Signed,
        index_sha256: None,
        check_published: false,
        limits: AttemptLimits::default(),
    }
}
