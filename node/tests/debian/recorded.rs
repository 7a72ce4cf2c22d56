use std::path::Path;

use rebuilder_actors::protocol::{
    Archive, Assignment, BuildInput, EnvironmentKnowledge, FaultKind, RemoteFile, Sha256,
};
use rebuilder_node::backend::BuildError;

use crate::archive::{Key, Served, binary, run, source};
use crate::harness::{Harness, Outcome, suite_assignment};
use crate::mirror;

/// One harness and one archive for all of it: making a base root is what takes the time.
#[tokio::test(flavor = "multi_thread")]
async fn tiny_packages_are_rebuilt_in_recorded_environments() {
    let kept = std::env::var_os("REBUILDER_TEST_CACHE");
    let own = tempfile::tempdir().unwrap();
    let home = kept.as_ref().map_or(own.path(), Path::new);
    std::fs::create_dir_all(home).unwrap();
    let key = Key::new(home);
    let harness = Harness::new(&[&key.keyring]);
    let served = Served::new(harness.folder.path().join("archive"));
    let depends = "debhelper-compat (= 13), tiny-dep";
    let install = "override_dh_auto_install:\n\tmkdir -p debian/tiny/usr/share/tiny\n\t\
                   cp /usr/share/tiny-dep/version debian/tiny/usr/share/tiny/\n";
    source(&served.folder, "tiny", depends, install);
    source(&served.folder, "tiny-broken", depends, "override_dh_auto_build:\n\tfalse\n");
    binary(&served.folder, "tiny-dep", "1.0");
    let flat = served.flat(&key);
    let scene = Scene { harness, served, archives: [mirror::suites(), vec![flat]].concat() };

    // Suite mode, with the only version of the dependency that there is; dpkg records it.
    let first = scene.suite("tiny", &[DEB, RECORD]).await;
    let expected = first.sha256(DEB).expect("built");
    let record = first.ended.as_ref().unwrap().join(RECORD);
    let record = std::fs::read_to_string(record).unwrap();
    assert!(record.contains("tiny-dep (= 1.0)"), "{record}");
    assert_eq!(first.facts.environment, EnvironmentKnowledge::Suite);

    // A newer version appears, and an older one of a package of the base root.
    binary(&scene.served.folder, "tiny-dep", "2.0");
    binary(&scene.served.folder, "po-debconf", "0.1");
    scene.served.flat(&key);
    let moved = scene.suite("tiny", &[DEB]).await;
    assert_ne!(moved.sha256(DEB).as_ref(), Some(&expected), "suite mode takes the newest");

    let again = scene.recorded(&record, "1.0", &[DEB]).await;
    assert_eq!(again.sha256(DEB), Some(expected.clone()), "{}", again.progress.log());
    assert_eq!(again.facts.environment, EnvironmentKnowledge::Recorded);
    assert!(again.facts.input.is_some() && again.facts.environment_sha256.is_some());

    let older = replaced_version(&record, "po-debconf", "0.1");
    let downgraded = scene.recorded(&older, "1.0", &[DEB]).await;
    assert_eq!(downgraded.sha256(DEB), Some(expected), "{}", downgraded.progress.log());
    assert!(downgraded.progress.log().contains("downgrading po-debconf"), "dpkg says so");

    let missing = scene.recorded(&replaced_version(&record, "tiny-dep", "0.5"), "1.0", &[]).await;
    let detail = fault(&missing, FaultKind::InputsUnavailable);
    assert!(detail.contains("tiny-dep=0.5"), "{detail}");

    binnmu(&scene, &record).await;
    failures(&scene).await;
    assert!(scene.harness.is_clean());
}

/// A recorded binNMU, whose own record dpkg then writes, which is rebuilt again.
async fn binnmu(scene: &Scene, record: &str) {
    let entry = "Binary-Only-Changes:\n tiny (1.0+b1) unstable; urgency=low, binary-only=yes\n \
                 .\n   * Rebuilt.\n .\n  \
                 -- Test <test@example.org>  Sun, 02 Mar 2025 10:00:00 +0000\n";
    let crafted = record
        .replace("\nSource: tiny\n", "\nSource: tiny (1.0)\n")
        .replace("\nVersion: 1.0\n", &format!("\nVersion: 1.0+b1\n{entry}"));
    let (deb, buildinfo) = ("tiny_1.0+b1_amd64.deb", "tiny_1.0+b1_amd64.buildinfo");
    let first = scene.recorded(&crafted, "1.0+b1", &[deb, buildinfo]).await;
    let expected = first.sha256(deb).unwrap_or_else(|| panic!("{}", first.progress.log()));
    let out = first.ended.as_ref().unwrap();
    assert_eq!(run(out, &["dpkg-deb", "-f", deb, "Version"]).trim(), "1.0+b1");
    let record = std::fs::read_to_string(out.join(buildinfo)).unwrap();
    assert!(record.contains("Binary-Only-Changes:"), "{record}");
    let again = scene.recorded(&record, "1.0+b1", &[deb]).await;
    assert_eq!(again.sha256(deb), Some(expected), "{}", again.progress.log());
    let unknown = scene.suite_of("tiny", "1.0+b1", &[deb]).await;
    assert!(fault(&unknown, FaultKind::InputsUnavailable).contains("binNMU"));
}

async fn failures(scene: &Scene) {
    let broken = scene.suite("tiny-broken", &["tiny-broken_1.0_amd64.deb"]).await;
    let Err(BuildError::BuildFailed { reason }) = &broken.ended else {
        panic!("{:?}", broken.ended)
    };
    assert!(reason.contains("status 2"), "{reason}");

    let mut gone = scene.assignment("tiny", "1.0", &[DEB]);
    gone.source = Some(RemoteFile {
        url: format!("{}/tiny_9.dsc", scene.served.url).into(),
        size: None,
        sha256: None,
    });
    let gone = scene.harness.attempt(gone).await;
    assert!(fault(&gone, FaultKind::InputsUnavailable).contains("tiny_9.dsc"));

    let mut wrong = scene.assignment("tiny", "1.0", &[DEB]);
    wrong.source.as_mut().unwrap().sha256 = Some(Sha256::of(b"other"));
    let wrong = scene.harness.attempt(wrong).await;
    assert!(
        fault(&wrong, FaultKind::InputsUnavailable).contains(&Sha256::of(b"other").to_string())
    );

    let mut down = scene.assignment("tiny", "1.0", &[DEB]);
    down.source.as_mut().unwrap().url = "http://127.0.0.1:9/tiny_1.0.dsc".into();
    fault(&scene.harness.attempt(down).await, FaultKind::FetchFailed);

    let mut late = scene.assignment("tiny", "1.0", &[DEB]);
    late.limits.build_secs_max = 0;
    let late = scene.harness.attempt(late).await;
    fault(&late, FaultKind::TimedOut(rebuilder_actors::protocol::Stage::Build));

    let progress = crate::harness::RecordedProgress::new();
    progress.cancel();
    let mut cancelled = scene.assignment("tiny", "1.0", &[DEB]);
    let cancelled = scene.harness.attempt_with(&mut cancelled, progress).await;
    fault(&cancelled, FaultKind::Cancelled);
}

struct Scene {
    harness: Harness,
    served: Served,
    archives: Vec<Archive>,
}

impl Scene {
    fn assignment(&self, name: &str, version: &str, files: &[&str]) -> Assignment {
        let dsc = self.served.file(&format!("{name}_1.0.dsc"));
        let files: Vec<(&str, &str)> = files.iter().map(|file| (*file, "amd64")).collect();
        suite_assignment(name, version, dsc, self.archives.clone(), &files)
    }

    async fn suite(&self, name: &str, files: &[&str]) -> Outcome {
        self.suite_of(name, "1.0", files).await
    }

    async fn suite_of(&self, name: &str, version: &str, files: &[&str]) -> Outcome {
        let outcome = self.harness.attempt(self.assignment(name, version, files)).await;
        println!("suite {name} {version}: {:.1} s {}", outcome.seconds, outcome.progress.times());
        outcome
    }

    async fn recorded(&self, record: &str, version: &str, files: &[&str]) -> Outcome {
        std::fs::write(self.served.folder.join("tiny.buildinfo"), record).unwrap();
        let file = self.served.file("tiny.buildinfo");
        let mut assignment = self.assignment("tiny", version, files);
        assignment.input = BuildInput::Recorded { url: file.url, sha256: file.sha256 };
        let outcome = self.harness.attempt(assignment).await;
        println!("recorded {version}: {:.1} s {}", outcome.seconds, outcome.progress.times());
        outcome
    }
}

fn replaced_version(record: &str, package: &str, version: &str) -> String {
    let start = format!(" {package} (= ");
    let replaced = |line: &str| match line.strip_prefix(&start) {
        Some(rest) => format!("{start}{version}{}\n", &rest[rest.find(')').unwrap()..]),
        None => format!("{line}\n"),
    };
    let text: String = record.lines().map(replaced).collect();
    assert_ne!(text, record, "{package} is recorded");
    text
}

fn fault(outcome: &Outcome, kind: FaultKind) -> String {
    match &outcome.ended {
        Err(BuildError::Fault(fault)) if fault.kind == kind => fault.detail.clone(),
        other => panic!("{kind} was expected: {other:?}\n{}", outcome.progress.log()),
    }
}

const DEB: &str = "tiny_1.0_amd64.deb";
const RECORD: &str = "tiny_1.0_amd64.buildinfo";
