use std::fmt::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Stdio;

use rebuilder_actors::port::Progress;
use rebuilder_actors::protocol::FaultKind;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use super::archives::Archives;
use super::chroot::{PATH, say};
use super::settings::DebianSettings;
use crate::backend::Ended;
use crate::sandbox;

/// Makes a base root with mmdebstrap, which runs in a user namespace of its own where the folders
/// on the way let it, with an empty environment, in process and mount namespaces that end with it.
pub(super) struct Bootstrap<'a> {
    pub(super) settings: &'a DebianSettings,
    pub(super) architecture: &'a str,
    pub(super) archives: &'a Archives,
    pub(super) keyring: &'a Path,
}

impl Bootstrap<'_> {
    /// For the log.
    pub(super) fn summary(&self) -> String {
        let suites: Vec<String> = self.archives.suites.iter().map(|suite| suite.name()).collect();
        format!("mmdebstrap {} of {}", self.architecture, suites.join(", "))
    }

    /// Makes `making/root`.
    pub(super) async fn run(&self, making: &Path, progress: &dyn Progress) -> Result<(), Ended> {
        let scratch = making.join("scratch");
        self.write_files(&scratch)?;
        let tar = scratch.join("root.tar");
        self.mmdebstrap(&scratch, &tar, progress).await?;
        let root = making.join("root");
        sandbox::import_tar(&tar, &root).await.map_err(|e| super::chroot::failed(&e))?;
        sandbox::remove_tree(&scratch).await.map_err(|e| super::chroot::failed(&e))
    }

    /// What mmdebstrap and its hook read; readable by the ids of the user namespace.
    fn write_files(&self, scratch: &Path) -> Result<(), Ended> {
        let failed = |error: std::io::Error| Ended::io("write", scratch, &error);
        let write = |name: &str, bytes: &[u8], mode: u32| {
            let path = scratch.join(name);
            std::fs::write(&path, bytes)?;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))
        };
        std::fs::create_dir_all(scratch).map_err(failed)?;
        std::fs::set_permissions(scratch, std::fs::Permissions::from_mode(0o755))
            .map_err(failed)?;
        let keyring =
            std::fs::read(self.keyring).map_err(|error| Ended::io("read", self.keyring, &error))?;
        let outside = scratch.join("keyring.gpg").display().to_string();
        write("keyring.gpg", &keyring, 0o644)
            .and_then(|()| write("base.list", self.archives.base_lines(&outside).as_bytes(), 0o644))
            .and_then(|()| {
                let inside = self.archives.base_lines(KEYRING_INSIDE);
                write("sources.list", inside.as_bytes(), 0o644)
            })
            .and_then(|()| write("apt.conf", APT_CONF.as_bytes(), 0o644))
            .and_then(|()| write("hook", hook(scratch).as_bytes(), 0o755))
            .map_err(failed)
    }

    async fn mmdebstrap(
        &self,
        scratch: &Path,
        tar: &Path,
        progress: &dyn Progress,
    ) -> Result<(), Ended> {
        let mode = if is_searchable(scratch) { "unshare" } else { "root" };
        let mut command = Command::new("unshare");
        command
            .args(["--fork", "--kill-child=KILL", "--pid", "--mount-proc", "mmdebstrap"])
            .arg(format!("--mode={mode}"))
            .arg("--variant=buildd")
            .arg(format!("--architectures={}", self.architecture))
            .arg(format!("--include={}", self.settings.base_include.join(",")))
            .arg("--dpkgopt=force-unsafe-io")
            .arg("--aptopt=APT::Install-Recommends \"false\"")
            .arg("--aptopt=Acquire::Retries \"3\"")
            .arg("--skip=cleanup/apt")
            .arg(format!("--customize-hook={}", scratch.join("hook").display()))
            .arg("--format=tar")
            // Which suite has the essential packages is not said: an archive of somebody's own,
            // which may well be the first one, has none.
            .arg("")
            .arg(tar)
            .arg(scratch.join("base.list"))
            .env_clear()
            .env("PATH", PATH)
            .env("LC_ALL", "C.UTF-8")
            .env("TMPDIR", scratch)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let wrong = |error: std::io::Error| {
            let detail = format!("cannot run unshare (package util-linux): {error}");
            Ended::fault(FaultKind::BackendMissing, detail)
        };
        let mut child = command.spawn().map_err(wrong)?;
        let stderr = child.stderr.take().expect("piped above");
        let told = follow(stderr, progress).await;
        let status = child.wait().await.map_err(wrong)?;
        if status.success() { Ok(()) } else { Err(why(&told, status.code())) }
    }
}

/// Logs what mmdebstrap says, and keeps its complaints.
async fn follow(stderr: tokio::process::ChildStderr, progress: &dyn Progress) -> String {
    use tokio::io::AsyncReadExt as _;

    let mut reader = BufReader::new(stderr.take(OUTPUT_BYTES_MAX));
    let (mut line, mut told) = (Vec::new(), String::new());
    while reader.read_until(b'\n', &mut line).await.is_ok_and(|n| n > 0) {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        line.clear();
        // Progress bars come as carriage returns.
        let text = text.rsplit('\r').next().unwrap_or_default();
        if !text.is_empty() {
            say(progress, format!("base root: {text}"));
            let _infallible = writeln!(told, "{text}");
        }
    }
    told
}

/// Which fault a failed mmdebstrap is.
fn why(told: &str, status: Option<i32>) -> Ended {
    let mentions = |needles: &[&str]| needles.iter().any(|needle| told.contains(needle));
    let errors: Vec<&str> =
        told.lines().filter(|line| line.contains("E: ") || line.contains("Err:")).take(3).collect();
    let line = if errors.is_empty() {
        told.lines().last().unwrap_or("it said nothing").to_owned()
    } else {
        errors.join("; ")
    };
    let kind = if mentions(&["failed to execute mmdebstrap", "mmdebstrap: No such file"]) {
        let detail = "mmdebstrap is not installed: apt-get install mmdebstrap";
        return Ended::fault(FaultKind::BackendMissing, detail);
    } else if mentions(&["No space left on device"]) {
        FaultKind::DiskFull
    } else if mentions(&[
        "Could not connect",
        "Temporary failure",
        "Could not resolve",
        "Connection failed",
        "Connection timed out",
        "503 ",
        "502 ",
    ]) {
        FaultKind::FetchFailed
    } else if mentions(&["NO_PUBKEY", "BADSIG", "EXPKEYSIG", "is not signed", "404 "]) {
        FaultKind::InputsUnavailable
    } else {
        FaultKind::WorkerFailed
    };
    let status = status.map_or_else(|| "killed".to_owned(), |status| format!("status {status}"));
    Ended::fault(kind, format!("mmdebstrap failed ({status}): {line}"))
}

/// Whether ids other than the owner's may pass through all folders to `path`.
fn is_searchable(path: &Path) -> bool {
    path.ancestors()
        .all(|folder| std::fs::metadata(folder).is_ok_and(|found| found.mode() & 0o001 != 0))
}

/// Runs with the new root as its argument. Everything an attempt would otherwise do again and
/// again is done here once: the sources, the builder's account, apt's cache of package lists.
fn hook(scratch: &Path) -> String {
    format!(
        r#"#!/bin/sh
set -eu
cp {scratch}/sources.list "$1/etc/apt/sources.list"
rm -f "$1"/etc/apt/sources.list.d/*
cp {scratch}/apt.conf "$1/etc/apt/apt.conf.d/99rebuilder"
cp {scratch}/keyring.gpg "$1{KEYRING_INSIDE}"
chmod 644 "$1/etc/apt/sources.list" "$1/etc/apt/apt.conf.d/99rebuilder" "$1{KEYRING_INSIDE}"
echo 'builder:x:1000:1000::/nonexistent:/bin/sh' >>"$1/etc/passwd"
echo 'builder:x:1000:' >>"$1/etc/group"
echo 'builder:!:1::::::' >>"$1/etc/shadow"
echo 'localhost' >"$1/etc/hostname"
printf '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n' >"$1/etc/hosts"
rm -f "$1/etc/resolv.conf" "$1/var/lib/man-db/auto-update"
printf '#!/bin/sh\nexit 101\n' >"$1/usr/sbin/policy-rc.d"
chmod 755 "$1/usr/sbin/policy-rc.d"
mkdir -p "$1/build"
rm -f "$1"/var/cache/apt/archives/*.deb "$1/etc/apt/apt.conf.d/00mmdebstrap.tmp"
chroot "$1" apt-cache gencaches
"#,
        scratch = scratch.display()
    )
}

/// Where a base root has the keyring.
pub(super) const KEYRING_INSIDE: &str = "/etc/apt/rebuilder.gpg";

/// The apt of a base root. It runs as root of the sandbox all the time: there is nobody else to
/// protect, and the ids of `_apt` may not read what is bound in.
const APT_CONF: &str = r#"APT::Install-Recommends "false";
APT::Get::Assume-Yes "true";
APT::Sandbox::User "root";
APT::AutoRemove::RecommendsImportant "false";
APT::AutoRemove::SuggestsImportant "false";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::ForceHash "SHA256";
Dpkg::Use-Pty "false";
DPkg::Options { "--force-unsafe-io"; "--force-confold"; };
"#;

/// mmdebstrap says a few kilobytes; a hostile mirror could make apt say more.
const OUTPUT_BYTES_MAX: u64 = 4 << 20;
