//! A real archive in a folder, made with the tools that archives are made with.

use std::path::{Path, PathBuf};
use std::process::Command;

use rebuilder_actors::domain::sync::{Filter, FilterSpec};
use rebuilder_actors::port::{Group, IndexError, IndexRead, IndexReader};
use rebuilder_actors::protocol::{IndexState, UtcMillis};

use super::*;
use crate::fetch::{FetchLimits, Fetcher};

/// 2026-01-10 12:00 UTC, the tests' present.
pub(super) const NOW: UtcMillis = UtcMillis(1_768_046_400_000);
pub(super) const DATE: &str = "Sat, 10 Jan 2026 10:00:00 UTC";
pub(super) const LATER: &str = "Sat, 10 Jan 2026 11:00:00 UTC";

pub(super) struct Mirror {
    pub(super) root: tempfile::TempDir,
}

impl Mirror {
    pub(super) fn new() -> Self {
        let mirror = Self { root: tempfile::tempdir().unwrap() };
        mirror.make_key("signer");
        mirror
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    pub(super) fn base(&self) -> String {
        self.path("archive").to_str().unwrap().to_owned()
    }

    /// A signing key with a keyring of its own, `{name}.gpg`.
    pub(super) fn make_key(&self, name: &str) {
        use std::os::unix::fs::PermissionsExt as _;

        let home = self.path(name);
        std::fs::create_dir_all(&home).unwrap();
        std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o700)).unwrap();
        let user = format!("{name}@example.org");
        self.gpg(name, &["--passphrase", "", "--quick-gen-key", &user, "ed25519", "sign", "never"]);
        let keyring = self.path(&format!("{name}.gpg"));
        self.gpg(name, &["--yes", "--output", keyring.to_str().unwrap(), "--export"]);
    }

    pub(super) fn gpg(&self, home: &str, args: &[&str]) {
        let mut gpg = Command::new("gpg");
        gpg.arg("--homedir").arg(self.path(home)).args(["--batch", "--quiet", "--pinentry-mode"]);
        run(gpg.arg("loopback").args(args));
    }

    /// Builds a real package into `archive/pool/{component}`; `extra` is more control text.
    pub(super) fn deb(&self, component: &str, file: &str, extra: &str) {
        let (stem, kind) = file.rsplit_once('.').unwrap();
        let mut parts = stem.split('_');
        let (name, version, architecture) =
            (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
        let tree = self.path(&format!("tree/{file}"));
        std::fs::create_dir_all(tree.join("DEBIAN")).unwrap();
        std::fs::write(tree.join("content"), file).unwrap();
        let control = format!(
            "Package: {name}\nVersion: {}\nArchitecture: {architecture}\n\
             Maintainer: Jo Doe <jo@example.org>\nDescription: x\n{extra}",
            version.replace("%3a", ":")
        );
        std::fs::write(tree.join("DEBIAN/control"), control).unwrap();
        let pool = self.path(&format!("archive/pool/{component}"));
        std::fs::create_dir_all(&pool).unwrap();
        let to = pool.join(format!("{}.{kind}", stem.replace("%3a", "_").replace('/', "")));
        run(Command::new("dpkg-deb").args(["--nocheck", "--build"]).arg(&tree).arg(to));
    }

    /// A source package in `archive/pool/main`.
    pub(super) fn source(&self, name: &str, version: &str) {
        let pool = self.path("archive/pool/main");
        std::fs::create_dir_all(&pool).unwrap();
        let file = format!("{name}_{version}.tar.gz");
        std::fs::write(pool.join(&file), "x").unwrap();
        let md5 = "9dd4e461268c8034f5c8564e155c67a6";
        let sha256 = rebuilder_actors::protocol::Sha256::of(b"x");
        let dsc = format!(
            "Format: 3.0 (native)\nSource: {name}\nBinary: {name}\nArchitecture: any\n\
             Version: {version}\nMaintainer: Jo Doe <jo@example.org>\n\
             Uploaders: Up Loader <up@example.org>\n\
             Checksums-Sha256:\n {sha256} 1 {file}\nFiles:\n {md5} 1 {file}\n"
        );
        std::fs::write(pool.join(format!("{name}_{version}.dsc")), dsc).unwrap();
    }

    /// Indexes and signs everything in the pool as `suite`.
    pub(super) fn publish(&self, suite: &str, date: &str, packing: &str) {
        self.index(suite, packing);
        self.release(suite, date, &format!("Suite: {suite}\nCodename: {suite}\n"));
        self.sign(suite, "signer");
    }

    pub(super) fn index(&self, suite: &str, packing: &str) {
        let archive = self.path("archive");
        let components: Vec<_> = std::fs::read_dir(archive.join("pool"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        for pool in components {
            let component = pool.replace('+', "/");
            for architecture in ["amd64", "arm64", "all"] {
                let folder = format!("dists/{suite}/{component}/binary-{architecture}");
                let mut tool = Command::new("apt-ftparchive");
                tool.args(["--arch", architecture, "packages", &format!("pool/{pool}")]);
                let text = run(tool.current_dir(&archive));
                pack(&archive.join(folder).join("Packages"), &text, packing);
            }
            let mut tool = Command::new("apt-ftparchive");
            tool.args(["sources", &format!("pool/{pool}")]);
            let text = run(tool.current_dir(&archive));
            let folder = archive.join(format!("dists/{suite}/{component}/source"));
            pack(&folder.join("Sources"), &text, packing);
        }
    }

    pub(super) fn release(&self, suite: &str, date: &str, fields: &str) {
        let folder = self.path(&format!("archive/dists/{suite}"));
        for old in ["Release", "InRelease", "Release.gpg"] {
            let _ = std::fs::remove_file(folder.join(old));
        }
        let mut tool = Command::new("apt-ftparchive");
        let text = run(tool.args(["release", "."]).current_dir(&folder));
        let listed: String = text
            .lines()
            .filter(|line| !line.starts_with("Date:") && !line.ends_with("Release"))
            .flat_map(|line| [line, "\n"])
            .collect();
        let text = format!("Origin: Debian\nDate: {date}\n{fields}{listed}");
        std::fs::write(folder.join("Release"), text).unwrap();
    }

    pub(super) fn sign(&self, suite: &str, key: &str) {
        let folder = self.path(&format!("archive/dists/{suite}"));
        let (to, from) = (folder.join("InRelease"), folder.join("Release"));
        let to = to.to_str().unwrap();
        self.gpg(key, &["--yes", "--output", to, "--clearsign", from.to_str().unwrap()]);
    }

    pub(super) fn edit(&self, path: &str, edit: impl FnOnce(String) -> String) {
        let path = self.path("archive").join(path);
        let text = std::fs::read_to_string(&path).unwrap();
        let edited = edit(text.clone());
        assert_ne!(text, edited, "the edit must change something");
        std::fs::write(path, edited).unwrap();
    }

    pub(super) fn settings(&self, releases: &[&str]) -> DebianSettings {
        DebianSettings {
            profile: "test".to_owned(),
            distribution: "debian".to_owned(),
            source: self.base(),
            releases: releases
                .iter()
                .map(|&name| Release { name: name.to_owned(), source: None, pin: None })
                .collect(),
            components: vec!["main".to_owned()],
            architectures: vec!["amd64".to_owned(), "all".to_owned()],
            filter: Filter::default(),
            environment: Environment::Suite,
            keyring: Some(self.path("signer.gpg")),
            check_signature: true,
            snapshots: Vec::new(),
            archives: Vec::new(),
            shrink_guard: 50,
            unreadable_guard: 50,
            check_valid_until: true,
            accept_suite: Vec::new(),
            packages_max: 300_000,
        }
    }

    pub(super) fn apt(&self) -> AptPaths {
        AptPaths {
            folder: self.path("etc"),
            os_release: self.path("os-release"),
            keyrings: self.path("."),
        }
    }

    pub(super) fn reader(&self, settings: DebianSettings) -> DebianReader {
        let fetcher = Fetcher::new(FetchLimits::default()).unwrap();
        DebianReader::new(settings, fetcher, &self.path("cache"), self.apt())
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        for home in ["signer", "other"] {
            if self.path(home).is_dir() {
                let mut tool = Command::new("gpgconf");
                let _ = tool.arg("--homedir").arg(self.path(home)).args(["--kill", "all"]).status();
            }
        }
    }
}

pub(super) async fn read(
    reader: &DebianReader,
    since: Option<&IndexState>,
) -> Result<(IndexRead, Vec<Group>), IndexError> {
    let mut groups = Vec::new();
    let read = reader.read(since, NOW, &mut |group| groups.push(group)).await?;
    Ok((read, groups))
}

pub(super) async fn read_new(reader: &DebianReader) -> (IndexState, Vec<Group>) {
    match read(reader, None).await.unwrap() {
        (IndexRead::Changed(state), groups) => (state, groups),
        (IndexRead::Unchanged, _) => panic!("nothing was known"),
    }
}

/// `source version architecture input: file file`, a line each.
pub(super) fn lines(groups: &[Group]) -> Vec<String> {
    let line = |group: &Group| {
        let files: Vec<_> = group.artifacts.iter().map(|artifact| &*artifact.file).collect();
        let Group { source, version, architecture, input_name, .. } = group;
        format!("{source} {version} {architecture} {input_name}: {}", files.join(" "))
    };
    groups.iter().map(line).collect()
}

pub(super) fn filter(spec: &FilterSpec) -> Filter {
    Filter::new(spec).unwrap()
}

fn pack(path: &Path, text: &str, packing: &str) {
    let folder = path.parent().unwrap();
    std::fs::create_dir_all(folder).unwrap();
    for old in std::fs::read_dir(folder).unwrap() {
        std::fs::remove_file(old.unwrap().path()).unwrap();
    }
    std::fs::write(path, text).unwrap();
    let tool = match packing {
        "" => return,
        ".xz" => vec!["xz", "--keep"],
        ".gz" => vec!["gzip", "--keep"],
        ".zst" => vec!["zstd", "--quiet"],
        other => panic!("no packing {other}"),
    };
    if tool[0] == "zstd" {
        let packed = zstd::encode_all(text.as_bytes(), 3).unwrap();
        std::fs::write(path.with_extension("zst"), packed).unwrap();
    } else {
        run(Command::new(tool[0]).args(&tool[1..]).arg(path));
    }
}

fn run(command: &mut Command) -> String {
    let done = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?}: {said}");
    String::from_utf8(done.stdout).unwrap()
}
