//! Differences of real packages, explained by the real `diffoscope` in the real sandbox.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use rebuilder_actors::port::{BoxFuture, Progress};
use rebuilder_actors::protocol::{Sha256, Stage};
use rebuilder_node::backend::{Diffoscope, DiffoscopeSettings, Pair};
use rebuilder_node::sandbox::{Sandbox, Settings};

#[derive(Default)]
struct Log(Mutex<Vec<u8>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Progress for Log {
    fn stage(&self, _stage: Stage) {}

    fn log(&self, bytes: &[u8]) {
        self.0.lock().unwrap().extend_from_slice(bytes);
    }

    fn is_cancelled(&self) -> bool {
        false
    }

    fn cancelled(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}

/// Two packages that differ in one file, as an attempt keeps them.
fn packages(folder: &Path) -> Pair {
    for program in ["diffoscope", "dpkg-deb"] {
        let found = Command::new(program).arg("--version").output();
        assert!(
            found.is_ok_and(|output| output.status.success()),
            "this test needs {program}: apt-get install --no-install-recommends \
             diffoscope-minimal dpkg"
        );
    }
    let build = |side: &str, greeting: &str| {
        let tree = folder.join(format!("tree-{side}"));
        for made in ["DEBIAN", "usr/share/hello"] {
            std::fs::create_dir_all(tree.join(made)).unwrap();
        }
        let control = "Package: hello\nVersion: 1-1\nArchitecture: all\n\
                       Maintainer: Nobody <nobody@example.org>\nDescription: greets\n";
        std::fs::write(tree.join("DEBIAN/control"), control).unwrap();
        std::fs::write(tree.join("usr/share/hello/greeting"), greeting).unwrap();
        let package = folder.join(side);
        std::fs::create_dir(&package).unwrap();
        let built = Command::new("dpkg-deb")
            .args(["--root-owner-group", "--build"])
            .args([&tree, &package])
            .env("SOURCE_DATE_EPOCH", "1")
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        package.join("hello_1-1_all.deb")
    };
    let lines = |word: &str| (0..200).map(|n| format!("{word} {n}\n")).collect::<String>();
    Pair {
        published: build("published", &lines("good morning")),
        output: build("output", &lines("good evening")),
    }
}

/// This program is not the node, which is started as the monitor instead.
fn sandbox() -> Sandbox {
    let init_program = PathBuf::from(env!("CARGO_BIN_EXE_rebuilder-node"));
    Sandbox::detect(Settings { init_program, ..Settings::default() })
}

fn settings() -> DiffoscopeSettings {
    DiffoscopeSettings {
        enabled: true,
        timeout: Duration::from_secs(120),
        ..DiffoscopeSettings::default()
    }
}

const FILE: &str = "hello_1-1_all.deb";

#[tokio::test(flavor = "multi_thread")]
async fn a_difference_names_what_differs_and_nothing_of_the_host() {
    let folder = tempfile::tempdir().unwrap();
    let pair = packages(folder.path());
    let log = Log::default();
    let found =
        Diffoscope::new(settings(), sandbox()).explain(&pair, FILE, folder.path(), &log).await;
    let found = found.unwrap_or_else(|| panic!("{}", log.text()));
    assert_eq!(found.path, folder.path().join("difference-hello_1-1_all.deb.txt"));
    let text = std::fs::read_to_string(&found.path).unwrap();
    assert!(text.starts_with("--- a/hello_1-1_all.deb\n+++ b/hello_1-1_all.deb\n"), "{text}");
    assert!(text.contains("-good morning 7\n") && text.contains("+good evening 7\n"), "{text}");
    assert!(!text.contains(&folder.path().display().to_string()), "{text}");
    assert_eq!(found.size, text.len() as u64);
    assert_eq!(found.sha256, Sha256::of(text.as_bytes()));
    assert_eq!(log.text(), "");
    let left = std::fs::read_dir(folder.path()).unwrap().filter(|entry| {
        entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("diffoscope-")
    });
    assert_eq!(left.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_text_is_cut_with_a_note() {
    let folder = tempfile::tempdir().unwrap();
    let pair = packages(folder.path());
    let log = Log::default();
    let cut = DiffoscopeSettings { bytes_max: 1000, ..settings() };
    let found = Diffoscope::new(cut, sandbox()).explain(&pair, FILE, folder.path(), &log).await;
    let found = found.unwrap_or_else(|| panic!("{}", log.text()));
    let text = std::fs::read_to_string(&found.path).unwrap();
    assert_eq!(found.size, 1000);
    assert!(text.ends_with("\n\nrebuilder: cut at 1000 bytes\n"), "{text}");
    assert!(text.starts_with("--- a/hello_1-1_all.deb\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_explanation_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let pair = packages(folder.path());
    let log = Log::default();
    let off = DiffoscopeSettings { enabled: false, ..settings() };
    assert_eq!(
        Diffoscope::new(off, sandbox()).explain(&pair, FILE, folder.path(), &log).await,
        None
    );
    assert_eq!(log.text(), "");

    let missing = DiffoscopeSettings { program: "no-such-diffoscope".into(), ..settings() };
    let missing = Diffoscope::new(missing, sandbox());
    for _ in 0..2 {
        assert_eq!(missing.explain(&pair, FILE, folder.path(), &log).await, None);
    }
    let said = "rebuilder: no-such-diffoscope is not installed: no differences are shown\n";
    assert_eq!(log.text(), said, "said once");

    let log = Log::default();
    let refused = DiffoscopeSettings { args: vec!["--no-such-option".into()], ..settings() };
    let ended = Diffoscope::new(refused, sandbox()).explain(&pair, FILE, folder.path(), &log).await;
    assert_eq!(ended, None);
    assert!(log.text().contains("exit status 2, which says: usage: "), "{}", log.text());

    let log = Log::default();
    let same = Pair { published: pair.output.clone(), output: pair.output.clone() };
    let ended =
        Diffoscope::new(settings(), sandbox()).explain(&same, FILE, folder.path(), &log).await;
    assert_eq!(ended, None);
    assert!(log.text().contains("exit status 0, which says nothing"), "{}", log.text());
}

/// A program that looks around in place of diffoscope: the sandbox has nothing that is secret.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_compared_sees_programs_and_the_two_files_only() {
    let folder = tempfile::tempdir().unwrap();
    let pair = packages(folder.path());
    std::fs::write(folder.path().join("secret"), "secret").unwrap();
    let log = Log::default();
    let script = "ls /root /home /etc /var /run; find /compare -type f | sort; id -u; pwd; env; \
                  ls /sys/class/net; echo written > /compare/a/hello_1-1_all.deb; exit 1";
    let around = DiffoscopeSettings {
        program: "sh".into(),
        args: vec!["-c".into(), script.into()],
        ..settings()
    };
    let found = Diffoscope::new(around, sandbox()).explain(&pair, FILE, folder.path(), &log).await;
    let found = found.unwrap_or_else(|| panic!("{}", log.text()));
    let text = std::fs::read_to_string(&found.path).unwrap();
    assert!(!text.contains("passwd") && !text.contains("shadow"), "{text}");
    assert!(!text.contains("CARGO") && !text.contains("secret"), "{text}");
    let files = "/compare/a/hello_1-1_all.deb\n/compare/b/hello_1-1_all.deb\n1000\n/compare\n";
    assert!(text.contains(files), "{text}");
    assert!(std::fs::metadata(&pair.published).unwrap().len() > 100);
}
