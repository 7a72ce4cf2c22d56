//! The Debian mirror of this machine, as its own apt is configured.

use std::process::Command;

use rebuilder_actors::protocol::{Archive, RemoteFile};

/// What a test needs of the machine; says what to do when something is missing.
pub fn require_tools() {
    for (tool, package) in [
        ("apt-get", "apt"),
        ("ar", "binutils"),
        ("dpkg-deb", "dpkg-dev"),
        ("dpkg-source", "dpkg-dev"),
        ("apt-ftparchive", "apt-utils"),
        ("gpg", "gnupg"),
    ] {
        let found = std::env::var("PATH")
            .unwrap_or_default()
            .split(':')
            .any(|folder| std::path::Path::new(folder).join(tool).exists());
        assert!(found, "{tool} is needed: apt-get install {package}");
    }
    let id = Command::new("id").arg("-u").output().expect("id runs");
    assert_eq!(id.stdout, b"0\n", "these tests need root: they mount and make namespaces");
}

/// The suites of `debian-archive-keyring` that this machine uses, in the order of its sources.
pub fn suites() -> Vec<Archive> {
    let format = "$(SITE)|$(REPO_URI)|$(CODENAME)|$(SUITE)|$(COMPONENT)|$(CREATED_BY)|$(ORIGIN)";
    let printed = Command::new("apt-get")
        .args(["indextargets", "--format", format])
        .output()
        .expect("apt-get runs");
    let mut all: Vec<Archive> = Vec::new();
    for line in String::from_utf8_lossy(&printed.stdout).lines() {
        let words: Vec<&str> = line.split('|').collect();
        let [_, url, codename, _, component, "Packages", "Debian"] = words[..] else { continue };
        let archive = Archive::Suite {
            url: url.trim_end_matches('/').into(),
            suite: codename.into(),
            components: vec![component.into()],
        };
        if !all.contains(&archive) {
            all.push(archive);
        }
    }
    assert!(!all.is_empty(), "no Debian mirror is configured: run apt-get update");
    all.sort_by_key(|archive| match archive {
        Archive::Suite { suite, .. } => suite.len(),
        Archive::Snapshot { .. } => 0,
    });
    all
}

/// The newest `.dsc` of a source in the main suite of the mirror, and the binaries of it that
/// `apt-cache` knows: file name, architecture, SHA-256.
pub struct Published {
    pub version: String,
    pub dsc: RemoteFile,
    pub binaries: Vec<(String, String, String)>,
}

/// Looks a source up by the binaries of this machine's package lists.
pub fn published(binary: &str, source: &str) -> Published {
    let show = Command::new("apt-cache").args(["show", binary]).output().expect("apt-cache runs");
    let show = String::from_utf8_lossy(&show.stdout).into_owned();
    let first = show.split("\n\n").next().expect("a paragraph").to_owned();
    let field = |name: &str| {
        first
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            .unwrap_or_else(|| panic!("{binary} has no {name}"))
            .to_owned()
    };
    let version = field("Version");
    let path = field("Filename");
    let file = path.rsplit('/').next().expect("a path").to_owned();
    let folder = path.rsplit_once('/').expect("a path").0.to_owned();
    let main = suites().into_iter().next().expect("at least one");
    let Archive::Suite { url, .. } = main else { panic!("a suite") };
    let bare = version.split_once(':').map_or(&*version, |(_, rest)| rest);
    let dsc = format!("{url}/{folder}/{source}_{bare}.dsc");
    Published {
        version,
        dsc: RemoteFile { url: dsc.into(), size: None, sha256: None },
        binaries: vec![(file, field("Architecture"), field("SHA256"))],
    }
}
