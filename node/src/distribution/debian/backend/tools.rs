//! The host's own package tools, each run in a sandbox with a root of its own that has nothing but
//! these tools.
//!
//! Two things have to be done with tools that no package brought: package lists are fetched and
//! checked, which needs the network, and the first packages of a root are unpacked, which has no
//! tools yet.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rebuilder_actors::protocol::FaultKind;

use super::archives::Suite;
use super::step;
use crate::backend::BuildError;
use crate::environment::{Chroot, Step};
use crate::sandbox::{Bind, Network, Root, Sandbox, User};

/// The host's tools, and what they are told to trust.
pub(super) struct Tools {
    folder: PathBuf,
    /// Folders of the host that are visible, read-only.
    binds: Vec<Bind>,
    layers: AtomicU32,
}

impl Tools {
    /// Makes the root of the tools in `folder`, which is the caller's to remove. They work for
    /// packages of `architecture` and trust what `keyring` signs.
    ///
    /// # Errors
    /// `BackendMissing` when the host lacks a tool.
    pub(super) async fn new(
        sandbox: &Sandbox,
        folder: PathBuf,
        architecture: &str,
        keyring: &Path,
    ) -> Result<Self, BuildError> {
        if let Some(detail) = missing_tool() {
            return Err(BuildError::fault(FaultKind::BackendMissing, detail));
        }
        let lower = folder.join("lower");
        let keyring =
            std::fs::read(keyring).map_err(|error| BuildError::io("read", keyring, &error))?;
        let binds = lay(&lower, architecture, &keyring)
            .map_err(|error| BuildError::io("fill", &lower, &error))?;
        sandbox.chown_into(&lower, User::Root).await?;
        Ok(Self { folder, binds, layers: AtomicU32::new(0) })
    }

    /// Where one command of the tools runs, with these folders besides. Its writable layer is new
    /// every time: whatever a package made one of the tools write is not there when the next one
    /// runs, least of all with the network.
    pub(super) fn chroot<'a>(&self, of: &Chroot<'a>, binds: Vec<Bind>) -> Chroot<'a> {
        let number = self.layers.fetch_add(1, Ordering::Relaxed);
        let root = Root {
            lowers: vec![self.folder.join("lower")],
            upper: self.folder.join(format!("upper-{number}")),
            work: self.folder.join(format!("work-{number}")),
        };
        of.elsewhere(root, self.binds.iter().cloned().chain(binds).collect())
    }

    /// The same with the host's network, and with what is needed to find and to trust the servers
    /// of `suites`; folders of the host among them are visible.
    pub(super) fn online<'a>(
        &self,
        of: &Chroot<'a>,
        suites: &[Suite],
        binds: Vec<Bind>,
    ) -> Chroot<'a> {
        let names = ["/etc/hosts", "/etc/ssl/certs"].into_iter().map(PathBuf::from);
        let local = suites.iter().filter_map(Suite::local);
        let visible = names.chain(local).filter(|path| path.exists()).map(read_only);
        self.chroot(of, visible.chain(binds).collect())
    }
}

/// One command of the tools.
pub(super) fn step<'a>(network: Network, command: impl IntoIterator<Item = &'a str>) -> Step<'a> {
    let mut step = step::root("/", command);
    step.network = network;
    step.environment.insert("APT_CONFIG".to_owned(), APT_CONF_PATH.to_owned());
    step
}

/// A bind at the same place.
pub(super) fn read_only(path: PathBuf) -> Bind {
    Bind { source: path.clone(), target: path, read_only: true }
}

/// Which tool this host lacks, and what to do; `None`: it has all.
pub(super) fn missing_tool() -> Option<String> {
    let (tool, package) = missing(Path::new("/"))?;
    Some(format!(
        "{tool} is not installed on this worker: install the package {package} (on Debian: \
         apt-get install {package})"
    ))
}

/// The first tool that is not on a system, with the package that has it on Debian.
fn missing(root: &Path) -> Option<(&'static str, &'static str)> {
    NEEDED.into_iter().find(|(tool, _)| {
        !["usr/bin", "bin"].iter().any(|folder| root.join(folder).join(tool).exists())
    })
}

/// Fills the lower layer; answers what of the host has to be bound on it.
pub(super) fn lay(lower: &Path, architecture: &str, keyring: &[u8]) -> std::io::Result<Vec<Bind>> {
    let apt_conf = APT_CONF.replace("ARCHITECTURE", architecture);
    let folder = |name: &str, mode: u32| {
        let path = lower.join(name);
        std::fs::create_dir_all(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))
    };
    for name in ["", "usr", "usr/share", "etc", "etc/apt", "var", "var/lib", "proc", "dev", "srv"] {
        folder(name, 0o755)?;
    }
    folder("tmp", 0o1777)?;
    for (name, text) in [
        ("etc/passwd", PASSWD.as_bytes()),
        ("etc/group", GROUP.as_bytes()),
        ("etc/nsswitch.conf", NSSWITCH.as_bytes()),
        (&APT_CONF_PATH[1..], apt_conf.as_bytes()),
        (&KEYRING_INSIDE[1..], keyring),
    ] {
        let path = lower.join(name);
        std::fs::write(&path, text)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644))?;
    }
    let mut binds = Vec::new();
    for path in VISIBLE {
        match std::fs::symlink_metadata(path) {
            // Systems differ in which of these are links to others.
            Ok(found) if found.is_symlink() => {
                std::os::unix::fs::symlink(std::fs::read_link(path)?, lower.join(&path[1..]))?;
            }
            Ok(found) if found.is_dir() => binds.push(read_only(path.into())),
            _ => {}
        }
    }
    Ok(binds)
}

/// Where the root is that the tools work on.
pub(super) const TARGET: &str = "/target";

/// Where every root of ours has the keyring.
pub(super) const KEYRING_INSIDE: &str = "/etc/apt/rebuilder.gpg";

/// Programs, libraries and the tables that they need: nothing that a host has for itself, such as
/// its configuration, its accounts, its keys.
const VISIBLE: [&str; 15] = [
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/usr/bin",
    "/usr/sbin",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/libx32",
    "/usr/share/apt",
    "/usr/share/ca-certificates",
    "/usr/share/dpkg",
];

const NEEDED: [(&str, &str); 5] = [
    ("apt-get", "apt"),
    ("dpkg-deb", "dpkg"),
    ("tar", "tar"),
    ("sh", "dash"),
    ("mkdir", "coreutils"),
];

/// `_apt` is whom apt's own downloads run as; it has the number that Debian gives to it.
const PASSWD: &str = "root:x:0:0::/nonexistent:/bin/sh\n\
                      _apt:x:42:65534::/nonexistent:/usr/sbin/nologin\n\
                      nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n";
const GROUP: &str = "root:x:0:\nnogroup:x:65534:\n";
const NSSWITCH: &str = "passwd: files\ngroup: files\nhosts: files dns\n";

const APT_CONF_PATH: &str = "/etc/apt/tools.conf";

/// What apt has besides the configuration of the root at [`TARGET`]. `ForceEssential`: apt holds
/// itself essential otherwise. An index that cannot be read is an error.
const APT_CONF: &str = r#"APT::Architecture "ARCHITECTURE";
APT::Architectures { "ARCHITECTURE"; };
Dir "/target";
Dir::State::Status "/target/var/lib/dpkg/status";
Dir::Etc::Trusted "/dev/null";
Dir::Etc::TrustedParts "/dev/null";
pkgCacheGen::ForceEssential ",";
APT::Install-Recommends "false";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::ForceHash "SHA256";
Dpkg::Use-Pty "false";
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_missing_tool_is_named_with_its_package() {
        let host = tempfile::tempdir().unwrap();
        assert_eq!(missing(host.path()), Some(("apt-get", "apt")));
        for folder in ["bin", "usr/bin"] {
            std::fs::create_dir_all(host.path().join(folder)).unwrap();
        }
        for (tool, _) in NEEDED {
            std::fs::write(host.path().join("usr/bin").join(tool), "").unwrap();
        }
        assert_eq!(missing(host.path()), None);
        std::fs::remove_file(host.path().join("usr/bin/tar")).unwrap();
        assert_eq!(missing(host.path()), Some(("tar", "tar")));
        // Systems differ in where it is.
        std::fs::write(host.path().join("bin/tar"), "").unwrap();
        assert_eq!(missing(host.path()), None);
    }

    #[test]
    fn the_tools_see_programs_and_what_is_written_for_them() {
        let folder = tempfile::tempdir().unwrap();
        let lower = folder.path().join("lower");
        let binds = lay(&lower, "i386", b"keys").unwrap();
        assert!(binds.iter().all(|bind| bind.read_only && bind.source == bind.target));
        let visible = |path: &str| binds.iter().any(|bind| bind.target == Path::new(path));
        assert!(visible("/usr/bin") && visible("/usr/lib"));
        for path in ["/", "/etc", "/var", "/home", "/root", "/usr", "/run", "/tmp"] {
            assert!(!visible(path), "{path}");
        }
        assert_eq!(std::fs::read(lower.join(&KEYRING_INSIDE[1..])).unwrap(), b"keys");
        let conf = std::fs::read_to_string(lower.join(&APT_CONF_PATH[1..])).unwrap();
        assert!(conf.starts_with("APT::Architecture \"i386\";\n"), "{conf}");
    }
}
