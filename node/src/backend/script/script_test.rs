use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rebuilder_actors::protocol::Sha256;

use super::*;
use crate::backend::testing::{Recorder, Server, assignment, fetcher, sandbox, script};
use crate::testing::disk_full;

const BOTH: [Containment; 2] = [Containment::Namespace, Containment::Subreaper];

/// A script in a folder with an input to fetch.
struct Harness {
    folder: tempfile::TempDir,
    server: Server,
}

impl Harness {
    async fn new(body: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("attempt")).unwrap();
        script(&folder.path().join("backend"), body);
        let server = Server::start().await;
        server.put("input", b"Format: 1.0\n");
        Self { folder, server }
    }

    fn attempt(&self) -> PathBuf {
        self.folder.path().join("attempt")
    }

    fn assignment(&self) -> Assignment {
        assignment(&format!("{}/input", self.server.base), Vec::new())
    }

    fn backend(&self, containment: Containment) -> ScriptBackend {
        let settings = ScriptSettings {
            program: self.folder.path().join("backend"),
            path: None,
            pass: vec!["CARGO_MANIFEST_DIR".to_owned(), "NOT_SET_ANYWHERE".to_owned()],
        };
        ScriptBackend::with_containment(settings, sandbox(), fetcher(), containment)
    }

    async fn run(
        &self,
        containment: Containment,
        assignment: &Assignment,
        progress: &Recorder,
    ) -> (Result<PathBuf, BuildError>, BuildFacts) {
        let _ = std::fs::remove_dir_all(self.attempt());
        std::fs::create_dir(self.attempt()).unwrap();
        let mut facts = BuildFacts::nothing();
        let backend = self.backend(containment);
        let ended = backend.build(assignment, &self.attempt(), &mut facts, progress).await;
        (ended, facts)
    }
}

fn kind(ended: Result<PathBuf, BuildError>) -> FaultKind {
    match ended {
        Err(BuildError::Fault(fault)) => fault.kind,
        other => panic!("not a fault: {other:?}"),
    }
}

/// Command lines of all processes in which `needle` occurs.
fn processes_with(needle: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    entries
        .filter_map(|path| std::fs::read(path.join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(needle))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_gets_its_input_and_leaves_its_outputs() {
    let harness = Harness::new(concat!(
        "echo \"input $1\"; echo error >&2; cp \"$1\" \"$REBUILDERD_OUTDIR/copy\"\n",
        "pwd; cat; ps -o pid= -p $$ | tr -d ' '"
    ))
    .await;
    for containment in BOTH {
        let progress = Recorder::default();
        let (ended, facts) = harness.run(containment, &harness.assignment(), &progress).await;
        let outputs = ended.unwrap();
        assert_eq!(outputs, harness.attempt().join("out"));
        assert_eq!(std::fs::read(outputs.join("copy")).unwrap(), b"Format: 1.0\n");
        assert_eq!(facts.input.unwrap().sha256, Sha256::of(b"Format: 1.0\n"));
        assert_eq!(facts.environment, EnvironmentKnowledge::Opaque);
        assert_eq!(progress.stages(), [Stage::Fetch, Stage::Build]);
        let text = progress.text();
        let attempt = harness.attempt().display().to_string();
        let start =
            format!("input {attempt}/inputs/hello_1-1_amd64.buildinfo\nerror\n{attempt}/work\n");
        assert!(text.starts_with(&start), "{text}");
        if containment == Containment::Namespace {
            // `/proc` fits the namespace: the first process in it is ours, the second the script.
            assert_eq!(text.lines().last(), Some("2"), "{text}");
        }
    }
    assert_eq!(harness.backend(BOTH[0]).isolation(), Isolation::Script);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_is_clean() {
    let harness = Harness::new("env | sort").await;
    let progress = Recorder::default();
    harness.run(Containment::detect(), &harness.assignment(), &progress).await.0.unwrap();
    let attempt = harness.attempt().display().to_string();
    let text = progress.text();
    // The shell adds PWD itself.
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("PWD=")).collect();
    assert_eq!(
        lines,
        [
            &format!("CARGO_MANIFEST_DIR={}", env!("CARGO_MANIFEST_DIR")),
            &format!("HOME={attempt}"),
            "LANG=C.UTF-8",
            &format!("PATH={PATH}"),
            &format!("REBUILDERD_OUTDIR={attempt}/out"),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_status_is_respected() {
    for (body, status) in [("echo x > $REBUILDERD_OUTDIR/x; exit 1", 1), ("kill -SEGV $$", 139)] {
        let harness = Harness::new(body).await;
        for containment in BOTH {
            let progress = Recorder::default();
            let (ended, _) = harness.run(containment, &harness.assignment(), &progress).await;
            let Err(BuildError::BuildFailed { reason }) = ended else { panic!("{ended:?}") };
            assert!(reason.ends_with(&format!("/backend: exit status {status}")), "{reason}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_that_ignores_all_signals_in_sessions_of_its_own_is_killed() {
    // Each level ignores SIGTERM; the grandchildren leave session, group and parent.
    let harness = Harness::new(concat!(
        "trap '' TERM HUP INT\n",
        "setsid sh -c 'setsid sleep 7654321 & setsid sleep 7654321 & sleep 7654321' &\n",
        "echo started; sleep 7654321; exit 0"
    ))
    .await;
    for containment in BOTH {
        let progress = Recorder::default();
        let mut assignment = harness.assignment();
        assignment.limits.build_secs_max = 5;
        let (ended, _) = harness.run(containment, &assignment, &progress).await;
        assert_eq!(kind(ended), FaultKind::TimedOut(Stage::Build));
        assert!(progress.text().starts_with("started\n"), "{}", progress.text());
        assert!(progress.text().contains("killing it"), "{}", progress.text());
        assert_eq!(processes_with("7654321"), [""; 0], "{containment:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_script_leaves_running_is_killed_when_it_ends() {
    let harness =
        Harness::new("setsid sleep 7654322 & setsid sleep 7654322 & sleep 0.2; exit 0").await;
    for containment in BOTH {
        let progress = Recorder::default();
        harness.run(containment, &harness.assignment(), &progress).await.0.unwrap();
        assert_eq!(processes_with("7654322"), [""; 0], "{containment:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_script_is_asked_to_end_first() {
    let harness = Harness::new("trap 'echo bye; exit 0' TERM; echo on; sleep 7654323 & wait").await;
    for containment in BOTH {
        let progress = Arc::new(Recorder::default());
        let watched = Arc::clone(&progress);
        tokio::spawn(async move {
            while !watched.text().contains("on\n") {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            watched.cancel.cancel();
        });
        let assignment = harness.assignment();
        let run = harness.run(containment, &assignment, &progress);
        let (ended, _) = tokio::time::timeout(Duration::from_secs(9), run).await.unwrap();
        assert_eq!(kind(ended), FaultKind::Cancelled);
        assert!(progress.text().contains("bye\n"), "{}", progress.text());
        assert_eq!(processes_with("7654323"), [""; 0], "{containment:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_attempt_leaves_no_process() {
    let harness = Harness::new("trap '' TERM; setsid sleep 7654324 & echo on; sleep 7654324").await;
    for containment in BOTH {
        let progress = Recorder::default();
        let assignment = harness.assignment();
        let run = harness.run(containment, &assignment, &progress);
        let is_on = async {
            while !progress.text().contains("on\n") {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            ended = run => panic!("it ended: {:?}", ended.0),
            () = is_on => {}
        }
        for _ in 0..500 {
            if processes_with("7654324").is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(processes_with("7654324"), [""; 0], "{containment:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_cannot_run_is_a_missing_backend() {
    let harness = Harness::new("exit 0").await;
    let backend = harness.folder.path().join("backend");
    let missing = |ended: Result<PathBuf, BuildError>| {
        let Err(BuildError::Fault(fault)) = ended else { panic!("{ended:?}") };
        assert_eq!(fault.kind, FaultKind::BackendMissing);
        assert!(fault.detail.contains(&backend.display().to_string()), "{}", fault.detail);
    };
    let run = async || {
        let progress = Recorder::default();
        harness.run(Containment::detect(), &harness.assignment(), &progress).await.0
    };
    std::fs::write(&backend, "#!/nonexistent/interpreter\n").unwrap();
    missing(run().await);
    std::fs::set_permissions(&backend, std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .unwrap();
    missing(run().await);
    std::fs::remove_file(&backend).unwrap();
    missing(run().await);
    std::fs::create_dir(&backend).unwrap();
    missing(run().await);
    assert!(harness.server.asked().iter().all(|path| path == "input"));
}

#[tokio::test(flavor = "multi_thread")]
async fn inputs_that_cannot_be_had_are_faults() {
    let harness = Harness::new("exit 0").await;
    let progress = Recorder::default();
    let run = async |change: &dyn Fn(&mut Assignment)| {
        let mut assignment = harness.assignment();
        change(&mut assignment);
        kind(harness.run(Containment::detect(), &assignment, &progress).await.0)
    };
    let base = harness.server.base.clone();
    let url =
        |path: &str, sha256| BuildInput::Recorded { url: format!("{base}/{path}").into(), sha256 };
    let unavailable = FaultKind::InputsUnavailable;
    assert_eq!(run(&|a| a.input = url("nothing", None)).await, unavailable);
    assert_eq!(run(&|a| a.input = url("broken", None)).await, FaultKind::FetchFailed);
    assert_eq!(run(&|a| a.input = url("input", Some(Sha256::of(b"x")))).await, unavailable);
    assert_eq!(run(&|a| a.input = BuildInput::Suite).await, unavailable);
    assert_eq!(run(&|a| a.key.input = "../x".into()).await, unavailable);
    assert!(!Path::new(&harness.folder.path().join("x")).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_script_prints_is_no_evidence_of_a_full_disk() {
    let script = format!("echo 'cc1: error: x.o: {}' >&2; exit 1", disk_full());
    let harness = Harness::new(&script).await;
    let progress = Recorder::default();
    let (ended, facts) = harness.run(Containment::detect(), &harness.assignment(), &progress).await;
    assert!(matches!(ended, Err(BuildError::BuildFailed { .. })), "{ended:?}");
    assert_eq!(facts.observed.file_systems.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_is_on_the_machine_of_its_job() {
    let harness = Harness::new("uname -m").await;
    let native = std::env::consts::ARCH;
    for architecture in ["amd64", "all", "i386", "i686", "armhf"] {
        let mut assignment = harness.assignment();
        assignment.key.architecture = architecture.into();
        for containment in BOTH {
            let progress = Recorder::default();
            let (ended, _) = harness.run(containment, &assignment, &progress).await;
            if sandbox().capabilities().runs_programs_of(architecture).is_err() {
                assert_eq!(kind(ended), FaultKind::BackendMissing);
                continue;
            }
            ended.unwrap();
            let text = progress.text();
            let narrow = match (Personality::of(architecture), native) {
                (Personality::Linux32, "x86_64") => "i686",
                (Personality::Linux32, "aarch64") => "armv8l",
                _ => native,
            };
            assert_eq!(text, format!("{narrow}\n"), "{architecture}");
        }
    }
}
