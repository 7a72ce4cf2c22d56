use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rebuilder_actors::port::Backend as _;
use rebuilder_actors::port::{Clock, Monotonic};
use rebuilder_actors::protocol::{
    Artifact, Assignment, Attempted, Ending, EnvironmentKnowledge, FaultKind, Isolation, Sha256,
    Stage, UtcMillis,
};

use super::testing::{Recorder, Server, artifact, assignment, fetcher, sandbox, script};
use super::*;
use crate::distribution::debian::format::made;

/// A folder with outputs, a server with published files.
struct Place {
    folder: tempfile::TempDir,
    server: Server,
}

impl Place {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("out")).unwrap();
        Self { folder, server: Server::start().await }
    }

    fn out(&self, name: &str) -> PathBuf {
        self.folder.path().join("out").join(name)
    }

    fn kept(&self) -> PathBuf {
        self.folder.path().join("kept")
    }

    fn artifact(&self, file: &str, digest_of: Option<&[u8]>) -> Artifact {
        artifact(&self.server.base, file, digest_of.map(Sha256::of))
    }

    async fn compare(&self, artifacts: Vec<Artifact>) -> (Result<Comparison, BuildError>, String) {
        self.compare_as(assignment("/nonexistent", artifacts)).await
    }

    async fn compare_as(&self, assignment: Assignment) -> (Result<Comparison, BuildError>, String) {
        let progress = Recorder::default();
        let outputs = self.folder.path().join("out");
        let found = compare(&assignment, &outputs, &self.kept(), &fetcher(), &progress).await;
        assert_eq!(progress.stages(), [Stage::Compare]);
        (found, progress.text())
    }
}

fn fault(ended: Result<Comparison, BuildError>) -> (FaultKind, String) {
    match ended {
        Err(BuildError::Fault(fault)) => (fault.kind, fault.detail),
        other => panic!("not a fault: {other:?}"),
    }
}

#[tokio::test]
async fn what_the_index_names_is_not_fetched() {
    let place = Place::new().await;
    std::fs::write(place.out("same.deb"), b"same").unwrap();
    let artifacts = vec![
        place.artifact("missing.deb", Some(b"x")),
        place.artifact("missing-too.deb", None),
        place.artifact("same.deb", Some(b"same")),
    ];
    let (found, _) = place.compare(artifacts).await;
    let found = found.unwrap();
    assert_eq!(place.server.asked(), [""; 0]);
    assert!(found.pairs.is_empty() && found.rebuilt.iter().all(|r| r.published.is_none()));
    let outputs: Vec<_> = found.rebuilt.iter().map(|r| r.output.map(|o| o.sha256)).collect();
    assert_eq!(outputs, [None, None, Some(Sha256::of(b"same"))]);
    let output = found.rebuilt[2].output.unwrap();
    assert_eq!(output.size, 4);
    assert_eq!(output.sha512, rebuilder_actors::protocol::Sha512::of(b"same"));
}

/// What is called `file` where it is published, with the digest of these bytes.
fn epoch(place: &Place, file: &str, bytes: &[u8]) -> Artifact {
    let (name, version, architecture) = ("epoch".into(), "1:2".into(), "all".into());
    Artifact { name, version, architecture, ..place.artifact(file, Some(bytes)) }
}

#[tokio::test]
async fn a_package_is_compared_whatever_its_file_is_called() {
    for published in ["epoch_1%3a2_all.deb", "epoch_1:2_all.deb", "epoch_2_all.deb", "other.deb"] {
        for left in ["epoch_2_all.deb", published] {
            let place = Place::new().await;
            let bytes = made::package("epoch", "1:2", "all", b"content");
            std::fs::write(place.out(left), &bytes).unwrap();
            std::fs::write(place.out("a_1_all.deb"), made::package("a", "1:2", "all", b""))
                .unwrap();
            let (found, log) = place.compare(vec![epoch(&place, published, &bytes)]).await;
            let rebuilt = &found.unwrap().rebuilt[0];
            assert_eq!(&*rebuilt.file, published);
            let output = rebuilt.output.unwrap_or_else(|| panic!("{published} of {left}: {log}"));
            assert_eq!(output.sha256, Sha256::of(&bytes));
        }
    }
}

#[tokio::test]
async fn one_version_published_as_two_files_is_judged_twice() {
    let place = Place::new().await;
    let bytes = made::package("epoch", "1:2", "all", b"content");
    let other = made::package("epoch", "1:2", "all", b"other content");
    std::fs::write(place.out("epoch_2_all.deb"), &bytes).unwrap();
    for files in [["epoch_2_all.deb", "vendor-epoch.deb"], ["epoch_2_all.deb"; 2]] {
        let [one, two] = files;
        let artifacts = vec![epoch(&place, one, &other), epoch(&place, two, &bytes)];
        let (found, _) = place.compare(artifacts).await;
        let found = found.unwrap().rebuilt;
        assert_eq!(found.len(), 2);
        for rebuilt in found {
            assert_eq!(rebuilt.output.unwrap().sha256, Sha256::of(&bytes), "{}", rebuilt.file);
        }
    }
}

#[tokio::test]
async fn a_file_of_that_name_that_is_another_package_is_not_taken_for_a_missing_one() {
    let place = Place::new().await;
    let wrong = made::package("epoch", "2", "all", b"content");
    std::fs::write(place.out("epoch_2_all.deb"), &wrong).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", place.out("link.deb")).unwrap();
    let (found, _) = place.compare(vec![epoch(&place, "epoch_2_all.deb", b"published")]).await;
    assert_eq!(found.unwrap().rebuilt[0].output.unwrap().sha256, Sha256::of(&wrong));
    let (found, _) = place.compare(vec![epoch(&place, "x_1%3a2_all.deb", b"published")]).await;
    assert_eq!(found.unwrap().rebuilt[0].output, None);
}

#[tokio::test]
async fn what_the_index_names_is_fetched_where_it_is_to_be_checked() {
    let place = Place::new().await;
    let check = async |file: &str, published: Option<&[u8]>| {
        std::fs::write(place.out(file), b"same").unwrap();
        if let Some(published) = published {
            place.server.put(file, published);
        }
        let artifacts = vec![place.artifact(file, Some(b"same"))];
        let mut assignment = assignment("/nonexistent", artifacts);
        assignment.check_published = true;
        place.compare_as(assignment).await.0
    };
    let found = check("same.deb", Some(b"same")).await.unwrap();
    assert_eq!(found.rebuilt[0].published.unwrap().sha256, Sha256::of(b"same"));
    assert!(found.pairs.is_empty());
    for (file, published, expected, part) in [
        ("altered.deb", Some(&b"s4me"[..]), FaultKind::InputsUnavailable, Sha256::of(b"s4me")),
        ("gone.deb", None, FaultKind::InputsUnavailable, Sha256::of(b"")),
        ("broken", None, FaultKind::FetchFailed, Sha256::of(b"")),
    ] {
        let (kind, detail) = fault(check(file, published).await);
        assert_eq!(kind, expected, "{detail}");
        assert!(detail.contains(file), "{detail}");
        assert!(published.is_none() || detail.contains(&part.to_string()), "{detail}");
    }
}

#[tokio::test]
async fn what_differs_is_fetched_and_kept_in_pairs() {
    let place = Place::new().await;
    for file in ["differs.deb", "gone.deb", "unnamed-same.deb", "unnamed-differs.deb"] {
        std::fs::write(place.out(file), b"rebuilt").unwrap();
    }
    place.server.put("differs.deb", b"published");
    place.server.put("unnamed-same.deb", b"rebuilt");
    place.server.put("unnamed-differs.deb", b"published");
    let artifacts = vec![
        place.artifact("differs.deb", Some(b"published")),
        place.artifact("gone.deb", Some(b"published")),
        place.artifact("unnamed-same.deb", None),
        place.artifact("unnamed-differs.deb", None),
    ];
    let (found, log) = place.compare(artifacts).await;
    let found = found.unwrap();
    let published: Vec<_> = found.rebuilt.iter().map(|r| r.published.map(|p| p.sha256)).collect();
    let (same, differs) = (Some(Sha256::of(b"rebuilt")), Some(Sha256::of(b"published")));
    assert_eq!(published, [differs, None, same, differs]);
    let pairs: Vec<&str> = found.pairs.keys().map(|file| &**file).collect();
    assert_eq!(pairs, ["differs.deb", "unnamed-differs.deb"]);
    let pair = &found.pairs["differs.deb"];
    assert_eq!(std::fs::read(&pair.published).unwrap(), b"published");
    assert_eq!(std::fs::read(&pair.output).unwrap(), b"rebuilt");
    assert!(!place.kept().join("2/unnamed-same.deb").exists());
    assert!(log.contains("rebuilder: no difference will be shown: published file gone.deb"));
}

#[tokio::test]
async fn a_published_file_that_is_needed_and_cannot_be_had_is_a_fault() {
    let place = Place::new().await;
    for file in ["gone.deb", "broken", "altered.deb", "longer.deb"] {
        std::fs::write(place.out(file), b"rebuilt").unwrap();
    }
    let (gone, _) = place.compare(vec![place.artifact("gone.deb", None)]).await;
    assert_eq!(fault(gone).0, FaultKind::InputsUnavailable);
    let (broken, _) = place.compare(vec![place.artifact("broken", None)]).await;
    assert_eq!(fault(broken).0, FaultKind::FetchFailed);
    let (broken, _) = place.compare(vec![place.artifact("broken", Some(b"x"))]).await;
    assert_eq!(broken.unwrap().rebuilt[0].published, None);

    place.server.put("altered.deb", b"altered");
    let mut altered = place.artifact("altered.deb", Some(b"published"));
    altered.size = Some(9);
    let (ended, log) = place.compare(vec![altered]).await;
    let (kind, detail) = fault(ended);
    assert_eq!(kind, FaultKind::InputsUnavailable);
    for part in ["altered.deb", &Sha256::of(b"altered").to_string()] {
        assert!(detail.contains(part) && log.contains(part), "{detail}");
    }
    assert!(detail.contains(&Sha256::of(b"published").to_string()), "{detail}");

    place.server.put("longer.deb", b"longer than named");
    let mut longer = place.artifact("longer.deb", None);
    longer.size = Some(3);
    assert_eq!(fault(place.compare(vec![longer]).await.0).0, FaultKind::InputsUnavailable);
}

#[tokio::test]
async fn only_regular_files_of_the_folder_are_outputs() {
    let place = Place::new().await;
    std::fs::write(place.folder.path().join("secret"), b"secret").unwrap();
    std::os::unix::fs::symlink("../secret", place.out("link")).unwrap();
    std::fs::create_dir(place.out("folder")).unwrap();
    nix::unistd::mkfifo(&place.out("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(place.out("socket")).unwrap();
    let names = ["link", "folder", "pipe", "socket"];
    let artifacts = names.map(|name| place.artifact(name, Some(b"secret"))).to_vec();
    let (found, log) = place.compare(artifacts).await;
    assert!(found.unwrap().rebuilt.iter().all(|rebuilt| rebuilt.output.is_none()));
    assert!(log.contains("rebuilder: link is a symbolic link: not compared\n"), "{log}");
    assert_eq!(log.lines().count(), 4, "{log}");
    for name in ["../secret", "..", "", "a/b", "/etc/passwd"] {
        let (found, _) = place.compare(vec![place.artifact(name, None)]).await;
        assert_eq!(fault(found).0, FaultKind::InputsUnavailable, "{name}");
    }
}

/// Ticks a second whenever it is read.
#[derive(Default)]
struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn monotonic(&self) -> Monotonic {
        Monotonic::default()
    }

    fn utc(&self) -> UtcMillis {
        UtcMillis(self.0.fetch_add(1000, Ordering::Relaxed))
    }
}

async fn backends(place: &Place, body: &str) -> Backends {
    let program = place.folder.path().join("backend");
    script(&program, body);
    let settings = ScriptSettings { program, path: None, pass: Vec::new() };
    let backend: Arc<dyn Rebuild> = Arc::new(ScriptBackend::new(settings, sandbox(), fetcher()));
    Backends::open(BackendsSetup {
        folder: place.folder.path().join("attempts"),
        backends: BTreeMap::from([("debian".to_owned(), backend)]),
        fetcher: fetcher(),
        clock: Arc::new(TestClock::default()),
        diffoscope: None,
    })
    .await
    .unwrap()
}

fn order(place: &Place, file: &str) -> Assignment {
    place.server.put("input", b"input");
    place.server.put(file, b"right");
    let url = format!("{}/input", place.server.base);
    assignment(&url, vec![place.artifact(file, Some(b"right"))])
}

fn only(attempted: &Attempted) -> (Option<Sha256>, Option<Sha256>) {
    let Ending::Built(rebuilt) = &attempted.ending else { panic!("{:?}", attempted.ending) };
    assert_eq!(rebuilt.len(), 1);
    (rebuilt[0].output.map(|o| o.sha256), rebuilt[0].published.map(|p| p.sha256))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_is_built_compared_dated_and_freed() {
    let place = Place::new().await;
    let backends = backends(&place, "printf right > $REBUILDERD_OUTDIR/x.deb").await;
    let progress = Recorder::default();
    let order = order(&place, "x.deb");
    let attempted = backends.attempt(&order, &progress).await;
    assert_eq!(only(&attempted), (Some(Sha256::of(b"right")), None));
    assert_eq!(attempted.isolation, Isolation::Script);
    assert_eq!(attempted.environment, EnvironmentKnowledge::Opaque);
    assert_eq!(attempted.input_sha256, Some(Sha256::of(b"input")));
    assert_eq!((attempted.started_at, attempted.finished_at), (UtcMillis(0), UtcMillis(1000)));
    assert_eq!(progress.stages(), [Stage::Fetch, Stage::Build, Stage::Compare]);
    assert_eq!(place.server.asked(), ["input"], "the published file is not needed");
    let folder = place.folder.path().join("attempts/7-2");
    assert!(folder.is_dir());
    assert_eq!(backends.difference(order.attempt, "x.deb", &progress).await, None);
    backends.release(order.attempt).await;
    assert!(!folder.exists());
    backends.release(order.attempt).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_bytes_missing_files_and_failures_are_told_apart() {
    let place = Place::new().await;
    let progress = Recorder::default();
    let order = order(&place, "x.deb");
    let wrong = backends(&place, "printf wrong > $REBUILDERD_OUTDIR/x.deb").await;
    let attempted = wrong.attempt(&order, &progress).await;
    assert_eq!(only(&attempted), (Some(Sha256::of(b"wrong")), Some(Sha256::of(b"right"))));
    // A second process finds what the first has left, and begins anew.
    let missing = backends(&place, "printf right > $REBUILDERD_OUTDIR/y.deb").await;
    assert!(!place.folder.path().join("attempts/7-2").exists());
    assert_eq!(only(&missing.attempt(&order, &progress).await), (None, None));
    let failing = backends(&place, "printf right > $REBUILDERD_OUTDIR/x.deb; exit 1").await;
    let attempted = failing.attempt(&order, &progress).await;
    let Ending::BuildFailed { reason } = &attempted.ending else { panic!("{attempted:?}") };
    assert!(reason.ends_with("exit status 1"), "{reason}");
    assert_eq!(attempted.input_sha256, Some(Sha256::of(b"input")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_backend_is_a_fault() {
    let place = Place::new().await;
    let backends = backends(&place, "exit 0").await;
    let mut order = order(&place, "x.deb");
    order.key.backend = "tails".into();
    let attempted = backends.attempt(&order, &Recorder::default()).await;
    let Ending::Fault(fault) = &attempted.ending else { panic!("{attempted:?}") };
    assert_eq!(fault.kind, FaultKind::BackendMissing);
    assert_eq!(fault.detail, "this worker has no backend `tails` (it has: debian)");
    assert_eq!(attempted.isolation, Isolation::None);
    assert_eq!(backends.names(), ["debian"]);
    assert!(!Path::new(&place.folder.path().join("attempts/7-2")).exists());
}
