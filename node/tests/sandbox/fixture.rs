use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use rebuilder_node::sandbox::{
    Exit, Limits, Network, Output, Personality, Root, Run, Sandbox, SandboxError, Settings, Spec,
    User, Wall,
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// A root file system, a place for layers, and what every run of a test starts from.
pub struct Fixture {
    pub folder: TempDir,
    pub spec: Spec,
    pub sandbox: Sandbox,
}

impl Fixture {
    /// `None`, with a loud message: the test cannot run here.
    pub async fn new() -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED: the sandbox needs root, and so do its tests");
            return None;
        }
        let sandbox = sandbox();
        let folder = tempfile::tempdir().unwrap();
        let lower = folder.path().join("lower");
        lay_busybox(&lower);
        sandbox.chown_into(&lower, User::Root).await.unwrap();
        let spec = Spec {
            root: Root {
                lowers: vec![lower],
                upper: folder.path().join("upper"),
                work: folder.path().join("work"),
            },
            binds: Vec::new(),
            network: Network::Loopback,
            user: User::Builder,
            command: Vec::new(),
            environment: BTreeMap::from([("PATH".to_owned(), "/bin".to_owned())]),
            directory: PathBuf::from("/"),
            limits: Limits {
                wall: Duration::from_secs(120),
                memory_bytes: None,
                processes: 200,
                file_bytes: None,
                disk_bytes: None,
                output_bytes_per_sec: None,
            },
            wall: Wall::default(),
            personality: Personality::Native,
        };
        // Nobody else may look in: the sandbox must do with the rights of root alone.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        Some(Self { folder, spec, sandbox })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a shell script to its end; how it ended and what it may have been short of.
    pub async fn observe(&self, script: &str) -> Run {
        let mut spec = self.spec.clone();
        spec.command = ["sh", "-c", script].map(str::to_owned).to_vec();
        self.sandbox.run(&spec, &mut Kept::default(), &CancellationToken::new()).await.unwrap()
    }

    /// Runs a shell script to its end.
    pub async fn sh(&self, script: &str) -> (Exit, String) {
        self.try_sh(script, &CancellationToken::new()).await.unwrap()
    }

    pub async fn try_sh(
        &self,
        script: &str,
        cancel: &CancellationToken,
    ) -> Result<(Exit, String), SandboxError> {
        let mut spec = self.spec.clone();
        spec.command = ["sh", "-c", script].map(str::to_owned).to_vec();
        let mut kept = Kept::default();
        let Run { exit, .. } = self.sandbox.run(&spec, &mut kept, cancel).await?;
        Ok((exit, String::from_utf8_lossy(&kept.0).into_owned()))
    }
}

/// Everything that was printed.
#[derive(Default)]
pub struct Kept(pub Vec<u8>);

impl Output for Kept {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}

/// Test programs are not the node: it is started as the monitor instead. One for all tests of a
/// process, which the kernel may have to move into a group of its own: once.
pub fn sandbox() -> Sandbox {
    static FOUND: OnceLock<Sandbox> = OnceLock::new();
    let init_program = || PathBuf::from(env!("CARGO_BIN_EXE_rebuilder-node"));
    let detect =
        || Sandbox::detect(Settings { init_program: init_program(), ..Settings::default() });
    FOUND.get_or_init(detect).clone()
}

fn lay_busybox(root: &Path) {
    for folder in ["bin", "dev", "etc", "proc", "sys", "tmp", "usr"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    let Some(busybox) = ["/bin/busybox", "/usr/bin/busybox"].iter().find(|p| Path::new(p).exists())
    else {
        panic!("no busybox here: apt-get install busybox-static");
    };
    fs::copy(busybox, root.join("bin/busybox")).unwrap();
    for applet in APPLETS.split_whitespace() {
        symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0::/:/bin/sh\nbuilder:x:1000:1000::/:/bin/sh\n")
        .unwrap();
}

const APPLETS: &str = "sh cat chmod chown dd echo env fallocate false find grep head hostname id \
    ip kill ln ls mkdir mknod mount mv nc ps pwd readlink rm seq setsid sleep sort stat sync tail \
    tee test touch true truncate tty umount uname unshare wc wget yes";

/// Host processes whose command line has `mark`, other than this one.
pub fn processes_with(mark: &str) -> usize {
    let own = std::process::id().to_string();
    let all = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    all.filter(|entry| entry.file_name().to_str() != Some(&own))
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .filter(|line| String::from_utf8_lossy(line).contains(mark))
        .count()
}
