use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rebuilder_transport::Identity;
use rebuilder_transport::key_file::{self, Access};

use crate::archive::ARCHIVE;
use crate::ctl::Ctl;
use crate::namespaces::{Namespaces, address};
use crate::node::{Node, NodeCommand};
use crate::tools::{until, until_true};

/// What a test wants its harness to be like.
pub struct HarnessSettings {
    /// Packages that are followed.
    pub packages: Vec<String>,
    /// Workers that have keys which are listed.
    pub listed: &'static [&'static str],
    /// More lines for the coordinator's table.
    pub coordinator: &'static str,
    /// More tables for the coordinator.
    pub tables: &'static str,
    /// Each node in a network namespace of its own; else all on the loopback.
    pub namespaces: bool,
}

impl Default for HarnessSettings {
    fn default() -> Self {
        Self {
            packages: names(1),
            listed: &["w1", "w2", "w3"],
            coordinator: "",
            tables: "",
            namespaces: false,
        }
    }
}

/// The first `count` packages of the archive.
pub fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("p{n:02}")).collect()
}

/// A folder with the data of one coordinator and its workers, and the script that builds.
pub struct Harness {
    pub namespaces: Option<Namespaces>,
    /// `host:port` of the coordinator.
    pub address: String,
    folder: tempfile::TempDir,
    settings: HarnessSettings,
}

/// A line that the script wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub is_end: bool,
    pub name: String,
    pub worker: String,
    pub at_ms: i64,
}

impl Harness {
    pub fn new(settings: HarnessSettings) -> Self {
        // First of all, because it says what is missing.
        let archive = ARCHIVE.base();
        let folder = tempfile::Builder::new().prefix("rebuilder-cluster-").tempdir().unwrap();
        let nodes = [&["c"], settings.listed].concat();
        let namespaces = settings.namespaces.then(|| Namespaces::new(&nodes));
        let host = if settings.namespaces { address(0) } else { loopback() };
        let address = format!("{host}:8485");
        let harness = Self { namespaces, address, folder, settings };
        for name in ["go", "hooks"] {
            std::fs::create_dir(harness.join(name)).unwrap();
        }
        let script = SCRIPT
            .replace("@FOLDER@", harness.folder.path().to_str().unwrap())
            .replace("@ARCHIVE@", archive.to_str().unwrap());
        let path = harness.join("script");
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        harness.write_coordinator();
        for name in harness.settings.listed {
            let key = harness.coordinator_key().public_key();
            harness.write_worker(name, &format!("coordinator_key = \"{key}\"\n"));
        }
        harness
    }

    /// How many packages are followed.
    pub fn packages(&self) -> usize {
        self.settings.packages.len()
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The key of a worker, made when there is none.
    pub fn key(&self, worker: &str) -> Identity {
        let folder = self.join(worker);
        std::fs::create_dir_all(&folder).unwrap();
        key_file::load_or_create(&folder.join("worker.key"), Access::Owner).unwrap()
    }

    /// The coordinator's key, made when there is none.
    pub fn coordinator_key(&self) -> Identity {
        let folder = self.join("c");
        std::fs::create_dir_all(&folder).unwrap();
        key_file::load_or_create(&folder.join("coordinator.key"), Access::Owner).unwrap()
    }

    fn write_coordinator(&self) {
        let listed = self.settings.listed.iter();
        let keys: Vec<String> = listed.map(|w| self.key(w).public_key().to_string()).collect();
        let text = format!(
            "[coordinator]\nlisten = \"{}\"\ndata_dir = {:?}\nauthorized_workers = {keys:?}\n{}\n\
             [schedule]\nlease_secs = {LEASE_SECS}\n{}\n\
             [profile.\"cluster\"]\ndistribution = \"cluster\"\nindex = \"debian\"\nsource = {:?}\n\
             releases = [\"test\"]\ncomponents = [\"main\"]\narchitectures = [\"amd64\"]\n\
             buildinfos = {:?}\nkeyring = {:?}\npkgs = {:?}\n",
            self.address,
            self.join("c"),
            self.settings.coordinator,
            self.settings.tables,
            ARCHIVE.base(),
            ARCHIVE.buildinfos(),
            ARCHIVE.keyring(),
            self.settings.packages,
        );
        std::fs::write(self.join("c.toml"), text).unwrap();
    }

    /// Writes the configuration of a worker with 2 slots; `enrolment` are more lines for its table.
    pub fn write_worker(&self, name: &str, enrolment: &str) {
        self.key(name);
        let mut text = String::new();
        write!(
            text,
            "[worker]\nname = \"{name}\"\ncoordinator = \"{}\"\nwork_dir = {:?}\nslots = 2\n\
             architectures = [\"*\"]\n{enrolment}\n[debian]\nenabled = false\n[diffoscope]\n\
             enabled = false\n[backend.\"cluster\"]\npath = {:?}\n\
             pass = [\"REBUILDER_TEST_WORKER\"]\n",
            self.address,
            self.join(name),
            self.join("script"),
        )
        .unwrap();
        std::fs::write(self.join(&format!("{name}.toml")), text).unwrap();
    }

    fn start(&self, name: &str, role: &'static str) -> Node {
        let prefix = self.namespaces.as_ref().map_or_else(Vec::new, |n| n.on(name));
        let config = self.join(&format!("{name}.toml"));
        Node::start(&NodeCommand { name: name.into(), prefix, role, config })
    }

    /// Starts the coordinator and waits until it answers and knows all packages.
    pub fn coordinator(&self) -> Node {
        let mut node = self.start("c", "coordinator");
        let ctl = self.ctl();
        let wanted = self.settings.packages.len();
        until_true(30, "the coordinator knows its packages", || {
            assert!(node.is_alive(), "the coordinator ended: {}", node.said());
            let rows = ctl.try_ask(&["pkgs", "ls"]);
            rows.is_some_and(|rows| rows.as_array().is_some_and(|rows| rows.len() == wanted))
        });
        node
    }

    /// Starts a worker.
    pub fn worker(&self, name: &str) -> Node {
        self.start(name, "worker")
    }

    /// Starts a worker with words before its program.
    pub fn worker_with(&self, name: &str, prefix: Vec<String>) -> Node {
        let config = self.join(&format!("{name}.toml"));
        Node::start(&NodeCommand { name: name.into(), prefix, role: "worker", config })
    }

    /// Starts a worker and waits until it is let in.
    pub fn joined_worker(&self, name: &str) -> Node {
        let node = self.worker(name);
        let ctl = self.ctl();
        until_true(30, &format!("{name} is connected"), || ctl.is_connected(name));
        node
    }

    /// ctl with the admin key, on the coordinator's machine.
    pub fn ctl(&self) -> Ctl {
        let prefix = self.namespaces.as_ref().map_or_else(Vec::new, |n| n.on("c"));
        Ctl { prefix, endpoint: self.address.clone(), key: self.join("c/ctl.key") }
    }

    /// Lets builds end: `all`, those of a package, or `PACKAGE@WORKER`.
    pub fn go(&self, which: &str) {
        std::fs::write(self.join("go").join(which), "").unwrap();
    }

    /// Shell commands that the build of a package runs first.
    pub fn hook(&self, package: &str, commands: &str) {
        std::fs::write(self.join("hooks").join(package), commands).unwrap();
    }

    /// What scripts wrote.
    pub fn runs(&self) -> Vec<Run> {
        let text = std::fs::read_to_string(self.join("runs")).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let run = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            let [kind, name, worker, at] = words[..] else { panic!("{line}") };
            let (name, worker) = (name.to_owned(), worker.to_owned());
            Run { is_end: kind == "end", name, worker, at_ms: at.parse().unwrap() }
        };
        whole.lines().map(run).collect()
    }

    /// Builds of a package that began.
    pub fn begun(&self, name: &str) -> Vec<Run> {
        self.runs().into_iter().filter(|run| !run.is_end && run.name == name).collect()
    }

    /// Waits until a build of a package has begun that is not among the first `known`.
    pub fn until_begun(&self, secs: u64, name: &str, known: usize) -> Run {
        let what = format!("build {} of {name} begins", known + 1);
        until(secs, &what, || self.begun(name).get(known).cloned())
    }

    /// Each package was built once, from begin to end.
    pub fn assert_built_once(&self) {
        let runs = self.runs();
        for name in &self.settings.packages {
            let count =
                |is_end| runs.iter().filter(|r| r.name == *name && r.is_end == is_end).count();
            assert_eq!((count(false), count(true)), (1, 1), "builds of {name} begun and ended");
        }
    }

    /// Waits until no package is without the verdict `reproduced`.
    pub fn until_reproduced(&self, secs: u64) {
        let (ctl, wanted) = (self.ctl(), self.settings.packages.len());
        let mut seen = Vec::new();
        let what = "all packages are reproduced";
        until_true(secs, what, || {
            let Some(status) = ctl.try_ask(&["status"]) else { return false };
            if seen.last() != Some(&status["jobs"]) {
                seen.push(status["jobs"].clone());
            }
            status["artifacts"]["reproduced"] == wanted
        });
    }

    /// Reports that wait in a worker's spool.
    pub fn spooled(&self, worker: &str) -> usize {
        let entries = std::fs::read_dir(self.join(worker).join("spool/entries"));
        entries.map_or(0, Iterator::count)
    }

    /// Waits until all reports of these workers have their final answer.
    pub fn until_spools_empty(&self, workers: &[&str]) {
        until_true(30, "the spools are empty", || workers.iter().all(|w| self.spooled(w) == 0));
    }
}

/// The shortest that the configuration takes.
pub const LEASE_SECS: u64 = 30;

/// An address that no other test uses: of this process and this harness.
fn loopback() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(1);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let process = std::process::id();
    format!("127.{}.{}.{}", 2 + process % 250, process / 250 % 250, number)
}

/// Contents of a key file for a ctl that may only read.
pub fn stranger_key(folder: &Path) -> PathBuf {
    let path = folder.join("stranger.key");
    key_file::load_or_create(&path, Access::Owner).unwrap();
    path
}

const SCRIPT: &str = r#"#!/bin/sh
set -eu
file=${1##*/}
name=${file%%_*}
worker=$REBUILDER_TEST_WORKER
folder='@FOLDER@'
echo "begin $name $worker $(date +%s%3N)" >>"$folder/runs"
echo "building $name"
if [ -e "$folder/hooks/$name" ]; then . "$folder/hooks/$name"; fi
until [ -e "$folder/go/all" ] || [ -e "$folder/go/$name" ] || [ -e "$folder/go/$name@$worker" ]; do
    sleep 0.05
done
cp "@ARCHIVE@/pool/main/${name}_1.0_amd64.deb" "$REBUILDERD_OUTDIR/"
echo "end $name $worker $(date +%s%3N)" >>"$folder/runs"
"#;
