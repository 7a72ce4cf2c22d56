//! What tests need of the machine, and how they wait.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Says what to do when something is missing.
pub fn require() {
    assert!(
        nix::unistd::geteuid().is_root(),
        "these tests need root: they make network namespaces, and scripts PID namespaces"
    );
    for (tool, package) in [
        ("apt-ftparchive", "apt-utils"),
        ("dpkg-deb", "dpkg"),
        ("gpg", "gnupg"),
        ("gpgv", "gpgv"),
        ("ip", "iproute2"),
        ("nsenter", "util-linux"),
    ] {
        let path = std::env::var("PATH").unwrap_or_default();
        let found = path.split(':').any(|folder| Path::new(folder).join(tool).exists());
        assert!(found, "{tool} is needed: apt-get install {package}");
    }
    let ctl = ctl_program();
    assert!(
        ctl.exists(),
        "{} is needed: run `cargo build -p rebuilder-ctl` with the same profile first",
        ctl.display()
    );
}

/// The node under test.
pub fn node_program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_rebuilder-node"))
}

/// Another crate's program, built into the same folder.
pub fn ctl_program() -> PathBuf {
    node_program().with_file_name("rebuilder-ctl")
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

/// Looks until there is something, at most `secs`; then fails and says what did not happen.
pub fn until<T>(secs: u64, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = utc_ms() + i64::try_from(secs).unwrap() * 1000;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(utc_ms() < end, "not within {secs} s: {what}");
        std::thread::sleep(Duration::from_millis(40));
    }
}

/// [`until`] a condition holds.
pub fn until_true(secs: u64, what: &str, mut holds: impl FnMut() -> bool) {
    until(secs, what, || holds().then_some(()));
}

/// Milliseconds since 1970, as `date +%s%3N` prints them in scripts.
#[expect(clippy::disallowed_methods, reason = "real processes run in real time")]
pub fn utc_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

/// True when some process has this file among its arguments.
pub fn is_run(script: &Path) -> bool {
    let script = script.to_str().unwrap().as_bytes();
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let mut lines = processes.filter_map(|p| std::fs::read(p.path().join("cmdline")).ok());
    lines.any(|line| line.split(|byte| *byte == 0).any(|argument| argument == script))
}
