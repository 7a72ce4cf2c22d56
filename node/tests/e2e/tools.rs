//! The tools of the machine.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// What every test here needs; says what to do when something is missing.
pub fn require() {
    for (tool, package) in [
        ("mmdebstrap", "mmdebstrap"),
        ("dpkg-deb", "dpkg-dev"),
        ("dpkg-source", "dpkg-dev"),
        ("apt-ftparchive", "apt-utils"),
        ("gpg", "gnupg"),
        ("gpgv", "gpgv"),
        ("unshare", "util-linux"),
        ("openssl", "openssl"),
        ("perl", "perl"),
        ("diffoscope", "diffoscope-minimal"),
    ] {
        let path = std::env::var("PATH").unwrap_or_default();
        let found = path.split(':').any(|folder| Path::new(folder).join(tool).exists());
        assert!(found, "{tool} is needed: apt-get install {package}");
    }
    let id = run(Path::new("/"), &["id", "-u"]);
    assert_eq!(id.trim(), "0", "run this as root: it mounts and makes namespaces");
    ctl();
}

/// The program `rebuilder-ctl` of the same build.
pub fn ctl() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_rebuilder-node")).with_file_name("rebuilder-ctl");
    assert!(path.exists(), "{} is needed: cargo build -p rebuilder-ctl", path.display());
    path
}

/// Runs a tool that must succeed, and answers what it printed.
pub fn run(folder: &Path, command: &[&str]) -> String {
    let output = Command::new(command[0])
        .args(&command[1..])
        .current_dir(folder)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {complaints}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A folder that ends with its owner, in memory where there is a tmpfs, open for ids of
/// namespaces to pass through.
pub fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix("rebuilder-e2e-");
    let folder = if memory.is_dir() { builder.tempdir_in(memory) } else { builder.tempdir() };
    let folder = folder.expect("a temporary folder");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).unwrap();
    folder
}

/// Asks `condition` until it holds; after `limit` fails with what it answered last.
pub fn wait_for(what: &str, limit: Duration, mut condition: impl FnMut() -> Result<(), String>) {
    let began = now();
    loop {
        let Err(why) = condition() else { return };
        assert!(began.elapsed() < limit, "{what}: not within {limit:?}: {why}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The time.
#[expect(clippy::disallowed_methods, reason = "a test of the real thing runs in real time")]
pub fn now() -> Instant {
    Instant::now()
}

/// Processes of the host, namespaces included, whose command line has `mark`.
pub fn processes_with(mark: &str) -> usize {
    let all = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    all.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .filter(|line| String::from_utf8_lossy(line).replace('\0', " ").contains(mark))
        .count()
}
