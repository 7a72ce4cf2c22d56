//! Base roots beside those that mmdebstrap makes of the same suites: what differs, and how long
//! each takes.

use std::collections::BTreeMap;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;
use std::process::Command;

use rebuilder_actors::port::Clock as _;
use rebuilder_actors::protocol::{Archive, Sha256};

use crate::archive::{Served, run, source};
use crate::harness::{Harness, SystemClock, suite_assignment};
use crate::mirror;

/// Run by hand: `cargo test --test debian -- --ignored --nocapture mmdebstrap`. In turns, each
/// with everything to be downloaded; `REBUILDER_TEST_ROUNDS` says how often (1).
#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures, and needs mmdebstrap"]
async fn a_base_root_is_what_mmdebstrap_makes() {
    let rounds = std::env::var("REBUILDER_TEST_ROUNDS").map_or(1, |n| n.parse().unwrap());
    for round in 1..=rounds {
        let harness = Harness::new(&[]);
        let other = tempfile::tempdir_in(harness.folder.path()).unwrap();
        let began = SystemClock::new();
        mmdebstrap(other.path());
        let theirs = began.monotonic().0.as_secs_f32();
        let served = Served::new(harness.folder.path().join("archive"));
        source(&served.folder, "tiny", "debhelper-compat (= 13)", "");
        let dsc = served.file("tiny_1.0.dsc");
        let assignment = suite_assignment("tiny", "1.0", dsc, mirror::suites(), &[]);
        let log = harness.attempt(assignment).await.progress.log();
        let ours = log.lines().find_map(|line| line.split_once("is ready after ")).expect(&log).1;
        println!("round {round}: mmdebstrap {theirs:.1} s, base root {ours}");
        let bases = harness.bases();
        let made = Tree::of(&bases[0].join("root"), harness.sandbox.root_id());
        let expected = Tree::of(&other.path().join("root"), 0);
        let differences = expected.differences(&made);
        for line in &differences {
            println!("{line}");
        }
        let is_named = |line: &&String| NAMED.iter().any(|path| line.contains(path));
        let unnamed: Vec<&String> = differences.iter().filter(|line| !is_named(line)).collect();
        assert!(unnamed.is_empty(), "not named in ADR 0010: {unnamed:#?}");
        assert!(expected.0.len() > 10_000, "a whole root was compared");
        let states = |root: &Path| sorted(&root.join("var/lib/apt/extended_states"));
        assert_eq!(states(&bases[0].join("root")), states(&other.path().join("root")));
    }
}

/// As base roots were made before, and unpacked like them.
fn mmdebstrap(folder: &Path) {
    let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
    std::fs::copy(keyring, folder.join("keyring.gpg")).unwrap();
    let lines = |keyring: &str| -> String {
        let line = |archive: &Archive| match archive {
            Archive::Suite { url, suite, components } => {
                format!("deb [signed-by={keyring}] {url} {suite} {}\n", components.join(" "))
            }
            Archive::Snapshot { .. } => String::new(),
        };
        mirror::suites().iter().map(line).collect()
    };
    let outside = folder.join("keyring.gpg").display().to_string();
    std::fs::write(folder.join("base.list"), lines(&outside)).unwrap();
    std::fs::write(folder.join("sources.list"), lines("/etc/apt/rebuilder.gpg")).unwrap();
    std::fs::write(folder.join("hook"), HOOK.replace("@FOLDER@", folder.to_str().unwrap()))
        .unwrap();
    run(folder, &["chmod", "-R", "go+rX,+x", "hook", "."]);
    let made = Command::new("unshare")
        .args(["--fork", "--kill-child=KILL", "--pid", "--mount-proc", "mmdebstrap", "--quiet"])
        .args(["--mode=root", "--variant=buildd", "--include=fakeroot,debhelper"])
        .args(["--dpkgopt=force-unsafe-io", "--aptopt=APT::Install-Recommends \"false\""])
        .args(["--aptopt=Acquire::Retries \"3\"", "--skip=cleanup/apt"])
        .args(["--customize-hook=./hook", "--format=tar", "", "root.tar", "base.list"])
        .env("LC_ALL", "C.UTF-8")
        .env("TMPDIR", folder)
        .current_dir(folder)
        .status()
        .expect("mmdebstrap and unshare are needed: apt-get install mmdebstrap util-linux");
    assert!(made.success(), "{made}");
    let unpack = "mkdir root && tar --numeric-owner --exclude='./dev/*' -C root -xpf root.tar";
    run(folder, &["sh", "-ec", unpack]);
}

/// What matters of each file, by path.
struct Tree(BTreeMap<String, String>);

impl Tree {
    fn of(root: &Path, id_base: u32) -> Self {
        let mut tree = Self(BTreeMap::new());
        tree.add(root, root, id_base);
        tree
    }

    fn add(&mut self, root: &Path, folder: &Path, id_base: u32) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let found = std::fs::symlink_metadata(&path).unwrap();
            let kind = found.file_type();
            let content = if kind.is_symlink() {
                std::fs::read_link(&path).unwrap().display().to_string()
            } else if kind.is_file() {
                let digest = Sha256::of(&std::fs::read(&path).unwrap());
                format!("{digest} {} names", found.nlink())
            } else {
                assert!(kind.is_dir() || kind.is_fifo(), "{} in a root", path.display());
                String::new()
            };
            let (user, group) = (found.uid() - id_base, found.gid() - id_base);
            let line = format!("{:o} {user}:{group} {content}", found.mode());
            let inside = path.strip_prefix(root).unwrap().display().to_string();
            self.0.insert(inside, line);
            if kind.is_dir() {
                self.add(root, &path, id_base);
            }
        }
    }

    fn differences(&self, other: &Self) -> Vec<String> {
        let paths = self.0.keys().chain(other.0.keys().filter(|path| !self.0.contains_key(*path)));
        let line = |path: &String| match (self.0.get(path), other.0.get(path)) {
            (theirs, ours) if theirs == ours => None,
            (theirs, ours) => {
                let show = |line: Option<&String>| line.map_or("absent", |line| line).to_owned();
                Some(format!("{path}: {} | {}", show(theirs), show(ours)))
            }
        };
        paths.filter_map(line).collect()
    }
}

fn sorted(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap();
    let mut all: Vec<String> = text.trim().split("\n\n").map(str::to_owned).collect();
    all.sort();
    all
}

/// See ADR 0010.
const NAMED: [&str; 8] = [
    "etc/apt/apt.conf.d/99mmdebstrap: ",
    "etc/dpkg/dpkg.cfg.d/99mmdebstrap: ",
    "etc/dpkg/dpkg.cfg.d/99rebuilder: ",
    "etc/hostname: ",
    "var/cache/apt/pkgcache.bin: ",
    "var/cache/apt/srcpkgcache.bin: ",
    "var/lib/apt/extended_states: ",
    "var/lib/dpkg/status-old: ",
];

/// What was done in a root that mmdebstrap had made.
const HOOK: &str = r#"#!/bin/sh
set -eu
cp @FOLDER@/sources.list "$1/etc/apt/sources.list"
rm -f "$1"/etc/apt/sources.list.d/*
cat >"$1/etc/apt/apt.conf.d/99rebuilder" <<'END'
APT::Install-Recommends "false";
APT::Get::Assume-Yes "true";
APT::Sandbox::User "root";
APT::AutoRemove::RecommendsImportant "false";
APT::AutoRemove::SuggestsImportant "false";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::ForceHash "SHA256";
Dpkg::Use-Pty "false";
DPkg::Options { "--force-unsafe-io"; "--force-confold"; };
END
cp @FOLDER@/keyring.gpg "$1/etc/apt/rebuilder.gpg"
chmod 644 "$1/etc/apt/sources.list" "$1/etc/apt/rebuilder.gpg"
echo 'builder:x:1000:1000::/nonexistent:/bin/sh' >>"$1/etc/passwd"
echo 'builder:x:1000:' >>"$1/etc/group"
echo 'builder:!:1::::::' >>"$1/etc/shadow"
echo 'localhost' >"$1/etc/hostname"
printf '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n' >"$1/etc/hosts"
rm -f "$1/etc/resolv.conf" "$1/var/lib/man-db/auto-update"
mkdir -p "$1/build"
rm -f "$1"/var/cache/apt/archives/*.deb
chroot "$1" apt-cache gencaches
"#;
