//! An unsigned archive whose files are written as they are, without any tool.

use std::path::PathBuf;

use rebuilder_actors::domain::sync::Filter;
use rebuilder_actors::port::IndexReader as _;
use rebuilder_actors::port::{Group, IndexError, IndexRead};
use rebuilder_actors::protocol::{IndexState, Sha256};

use super::mirror_test::NOW;
use super::{AptPaths, DebianReader, DebianSettings, Environment, Release};
use crate::fetch::{FetchLimits, Fetcher};

/// One suite `test` with one component `main`.
pub(super) struct Bare {
    pub(super) root: tempfile::TempDir,
    /// Fields before the list of files.
    pub(super) fields: String,
    /// Settings of the reader.
    pub(super) settings: DebianSettings,
}

impl Bare {
    /// With this `Packages` of amd64.
    pub(super) fn new(packages: impl AsRef<[u8]>) -> Self {
        let root = tempfile::tempdir().unwrap();
        let settings = DebianSettings {
            profile: "test".to_owned(),
            distribution: "debian".to_owned(),
            source: root.path().join("archive").to_str().unwrap().to_owned(),
            releases: vec![Release { name: "test".to_owned(), source: None, pin: None }],
            components: vec!["main".to_owned()],
            architectures: vec!["amd64".to_owned(), "all".to_owned()],
            filter: Filter::default(),
            environment: Environment::Suite,
            keyring: None,
            check_signature: false,
            snapshots: Vec::new(),
            archives: Vec::new(),
            shrink_guard: 50,
            unreadable_guard: 50,
            check_valid_until: true,
            accept_suite: Vec::new(),
            packages_max: 300_000,
        };
        let fields = "Origin: Debian\nSuite: test\nCodename: test\n\
                      Date: Sat, 01 Mar 2025 10:00:00 UTC\nArchitectures: amd64\n\
                      Components: main\n";
        let bare = Self { root, fields: fields.to_owned(), settings };
        bare.write("main/binary-amd64/Packages", packages);
        bare
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.root.path().join("archive/dists/test")
    }

    /// Writes a file below the suite's folder.
    pub(super) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.folder().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// Names all files in `Release`.
    pub(super) fn publish(&self) {
        self.publish_by("SHA256", |bytes| Sha256::of(bytes).to_string());
    }

    /// As [`Bare::publish`], with digests of this kind.
    pub(super) fn publish_by(&self, kind: &str, digest: fn(&[u8]) -> String) {
        let mut text = format!("{}{kind}:\n", self.fields);
        let folder = self.folder().join("main/binary-amd64");
        let mut files: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for path in files {
            let bytes = std::fs::read(&path).unwrap();
            let name = path.file_name().unwrap().to_str().unwrap();
            let (digest, size) = (digest(&bytes), bytes.len());
            text.push_str(&format!(" {digest} {size} main/binary-amd64/{name}\n"));
        }
        self.write("Release", text);
    }

    pub(super) fn reader(&self) -> DebianReader {
        let fetcher = Fetcher::new(FetchLimits::default()).unwrap();
        let apt = AptPaths {
            folder: self.root.path().join("etc"),
            os_release: self.root.path().join("os-release"),
            keyrings: self.root.path().join("keyrings"),
        };
        DebianReader::new(self.settings.clone(), fetcher, &self.root.path().join("cache"), apt)
    }

    pub(super) async fn read(
        &self,
        since: Option<&IndexState>,
    ) -> Result<(IndexRead, Vec<Group>), IndexError> {
        let mut groups = Vec::new();
        let read = self.reader().read(since, NOW, &mut |group| groups.push(group)).await?;
        Ok((read, groups))
    }

    /// What a first read follows: `name version file`, sorted.
    pub(super) async fn followed(&self) -> Vec<String> {
        self.publish();
        let (_, groups) = self.read(None).await.unwrap_or_else(|error| panic!("{error}"));
        let artifacts = groups.iter().flat_map(|group| &group.artifacts);
        let mut lines: Vec<String> =
            artifacts.map(|a| format!("{} {} {}", a.name, a.version, a.file)).collect();
        lines.sort();
        lines
    }
}

/// A stanza of `Packages`, with a digest of its own.
pub(super) fn stanza(name: &str, path: &str) -> String {
    let digest = Sha256::of(path.as_bytes());
    format!(
        "Package: {name}\nVersion: 1\nArchitecture: amd64\nMaintainer: Jo Doe <jo@example.org>\n\
         Filename: {path}\nSize: 9\nSHA256: {digest}\nDescription: x\n"
    )
}
