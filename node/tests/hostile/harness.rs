//! A coordinator and a worker with one slot, and what a machine must look like after a trial.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::archive::{Archive, architecture};
use crate::node::{Node, Running, quoted};
use crate::packages::{self, HONEST};
use crate::reference::suites;
use crate::tools::{self, now, run};
use crate::trial::{Place, Trial};

/// One archive with the packages of some trials, and a node that follows it.
pub struct Harness {
    // In this order they end: the node, what it fetches from, the disk.
    running: Option<Running>,
    node: Node,
    _archive: Archive,
    disk: Disk,
    before: Traces,
}

/// A folder that is a file system of its own.
struct Disk(tempfile::TempDir);

impl Disk {
    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a trial that failed may have left something that still has files open.
        run(Path::new("/"), &["umount", "-l", self.path().to_str().unwrap()]);
    }
}

/// What of a run can be seen on the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Traces {
    /// Those that descend from the node.
    processes: BTreeSet<String>,
    mounts: BTreeSet<String>,
    groups: BTreeSet<String>,
    /// What is in the folders of attempts.
    files: BTreeSet<String>,
}

impl Harness {
    pub fn new(trials: &[Trial]) -> Self {
        let folder = disk();
        let archive = Archive::new(folder.path());
        // Trees that do not fit on the small disk are made elsewhere.
        let making = tempfile::tempdir().unwrap();
        packages::publish_honest(&archive, making.path());
        for trial in trials {
            packages::publish(&archive, making.path(), trial);
        }
        archive.publish();
        let odd = folder.path().join(ODD);
        std::fs::create_dir(&odd).unwrap();
        let keyring = odd.join("own keyring.gpg");
        std::fs::copy(&archive.keyring, &keyring).unwrap();
        let node = Node::new(odd.join("node"));
        node.configure(&sections(&odd, &keyring, &archive.server.url()));
        limit_worker(&node, if trials[0].place == Place::Base { 900 } else { 400 });
        // What a worker does not have yet it cannot build: all jobs wait to be asked for.
        let serving = node.serve();
        tools::wait_for("the index", Duration::from_secs(60), || {
            let found = node.try_ctl(&["pkgs", "ls", "--name", HONEST]);
            found.map(|_| ()).map_err(|why| format!("{why}{}", serving.log()))
        });
        node.ctl(&["queue", "drop", "--all"]);
        drop(serving);
        let running = Some(node.start("standalone", &[]));
        node.wait_until_it_answers();
        let mut harness =
            Self { running, node, _archive: archive, disk: folder, before: Traces::default() };
        // The base root and the processes that stay are there afterwards.
        if trials[0].place != Place::Base {
            let end = harness.rebuild(HONEST);
            assert_eq!(end, "reproduced", "{}", harness.log());
        }
        harness.before = harness.traces();
        harness
    }

    /// Rebuilds the package of a trial and an honest one; what is wrong.
    pub fn try_one(&mut self, trial: &Trial) -> Vec<String> {
        let began = now();
        let mut complaints = Vec::new();
        let end = self.rebuild(trial.name);
        let secs = began.elapsed().as_secs_f32();
        let is_right = trial.ends.iter().any(|right| match right.split_once(':') {
            Some((kind, words)) => end.starts_with(&format!("{kind}:")) && end.contains(words),
            None => end == *right || end.starts_with(&format!("{right}:")),
        });
        if !is_right {
            let log = self.node.try_ctl(&["pkgs", "log", "--name", trial.name]);
            let log = log.unwrap_or_else(|why| why);
            let last: Vec<&str> = log.lines().rev().take(40).collect();
            complaints.push(format!(
                "{}: ended as {end}, not {:?}; the log backwards: {last:#?}",
                trial.name, trial.ends
            ));
        }
        if let Err(why) = self.wait_until_clean() {
            complaints.push(format!("{}: left behind: {why}", trial.name));
            self.before = self.traces();
        }
        if trial.place != Place::Base {
            let honest = self.rebuild(HONEST);
            if honest != "reproduced" {
                complaints.push(format!("{}: an honest package then: {honest}", trial.name));
            }
        }
        let word = if complaints.is_empty() { "ok" } else { "WRONG" };
        println!("trial {} ... {end} ... {word} ({secs:.1} s)", trial.name);
        complaints
    }

    /// Stops the node in order.
    pub fn close(mut self) -> Vec<String> {
        let log = self.log();
        drop(self.running.take());
        if log.contains("panicked") {
            vec![format!("the node panicked: {log}")]
        } else {
            Vec::new()
        }
    }

    fn log(&self) -> String {
        self.running.as_ref().map(Running::log).unwrap_or_default()
    }

    /// Queues a package and waits for the end of that attempt: a status or `fault:LINE`.
    fn rebuild(&self, name: &str) -> String {
        let (said, built) = (self.faults(name).len(), self.built(name));
        self.node.ctl(&["queue", "push", "--name", name]);
        let mut end = String::new();
        tools::wait_for(name, TRIAL_TIME_MAX, || {
            if let Some(line) = self.faults(name).get(said) {
                end = format!("fault:{line}");
                return Ok(());
            }
            let now = self.built(name);
            if now == built {
                return Err(self.log());
            }
            end = self.node.package(name)["status"].as_str().unwrap_or("?").to_owned();
            Ok(())
        });
        // A retry is of no interest. What is decided is not in the queue: no error here.
        let _ = self.node.try_ctl(&["queue", "drop", "--name", name]);
        end
    }

    /// The newest build of a package.
    fn built(&self, name: &str) -> Value {
        self.node.package(name)["build"].clone()
    }

    /// The coordinator's lines about faults of a job.
    fn faults(&self, name: &str) -> Vec<String> {
        let log = self.log();
        let end = "ended in a fault of ours: ";
        log.lines()
            .filter(|line| line.contains(&format!(" {name} ")))
            .filter_map(|line| line.split_once(end).map(|(_, fault)| fault.to_owned()))
            .collect()
    }

    fn wait_until_clean(&self) -> Result<(), String> {
        let began = now();
        loop {
            let traces = self.traces();
            let more = traces.more_than(&self.before);
            if more.is_empty() {
                return Ok(());
            }
            if began.elapsed() > CLEAN_TIME_MAX {
                return Err(more.join("; "));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn traces(&self) -> Traces {
        let lines = |text: String| text.lines().map(str::to_owned).collect();
        let attempts = self.node.work_dir().join("attempts");
        let node = self.running.as_ref().map_or(0, Running::id).to_string();
        let folder = self.disk.path().to_str().unwrap();
        let files = "ls -A \"$1\" 2>/dev/null || true";
        // Whatever runs in a sandbox descends from the node: orphans have the first process of
        // their namespaces as parent.
        let processes = "below() { for p in $(cat /proc/$1/task/*/children 2>/dev/null); do \
             echo \"$p $(tr '\\0' ' ' <\"/proc/$p/cmdline\" 2>/dev/null | head -n 1)\"; below $p; \
             done; }; below \"$1\"";
        let mounts = "cut -d' ' -f5 /proc/self/mountinfo | grep -F \"$1/\" || true";
        // The name of a group has the process that made it and removes it.
        let groups = "find /sys/fs/cgroup -type d -name 'rebuilder-[0-9]*' 2>/dev/null | \
             while read -r g; do n=${g##*/rebuilder-}; [ -d \"/proc/${n%%-*}\" ] || echo \"$g\"; \
             done; true";
        let root = Path::new("/");
        Traces {
            processes: lines(run(root, &["sh", "-c", processes, "sh", &node])),
            mounts: lines(run(root, &["sh", "-c", mounts, "sh", folder])),
            groups: lines(run(root, &["sh", "-c", groups])),
            files: lines(run(root, &["sh", "-c", files, "sh", attempts.to_str().unwrap()])),
        }
    }
}

impl Traces {
    fn more_than(&self, before: &Self) -> Vec<String> {
        let mut more = Vec::new();
        for (what, now, then) in [
            ("process", &self.processes, &before.processes),
            ("mount", &self.mounts, &before.mounts),
            ("control group", &self.groups, &before.groups),
            ("file", &self.files, &before.files),
        ] {
            more.extend(now.difference(then).take(5).map(|one| format!("{what} {one}")));
        }
        more
    }
}

/// A folder on a disk of its own with few bytes and inodes: to fill the machine's own would need
/// more time than a trial has.
fn disk() -> Disk {
    let folder = tempfile::Builder::new().prefix("rebuilder-hostile-").tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let image = PathBuf::from(format!("{path}.img"));
    let script = "truncate -s \"$3\" \"$1\" && mkfs.ext4 -q -F -N \"$4\" \"$1\" && \
                  mount -o loop \"$1\" \"$2\" && chmod 755 \"$2\" && rm \"$1\"";
    let image = image.to_str().unwrap();
    run(Path::new("/"), &["sh", "-ec", script, "sh", image, path, DISK_SIZE, DISK_INODES]);
    Disk(folder)
}

/// `odd`: where everything is that can be configured.
fn sections(odd: &Path, keyring: &Path, url: &str) -> String {
    let items: Vec<String> = suites()
        .iter()
        .map(|(url, suite, component)| {
            format!("{{ url = \"{url}\", suite = \"{suite}\", components = [\"{component}\"] }}")
        })
        .collect();
    let (cache, keyring) = (quoted(&odd.join("cache")), quoted(keyring));
    format!(
        "memory_bytes_max = \"700 MiB\"\nprocesses_max = 400\ndisk_bytes_max = \"1500 MiB\"\n\
         [debian]\ncache_dir = {cache}\nkeyrings = [\n\
         \"/usr/share/keyrings/debian-archive-keyring.gpg\", {keyring}]\n\
         [diffoscope]\nenabled = true\ntimeout = 60\n\
         [profile.\"own\"]\ndistribution = \"debian\"\nindex = \"debian\"\nsource = \"{url}/own\"\n\
         releases = [\"test\"]\ncomponents = [\"main\"]\narchitectures = [\"{native}\"]\n\
         environment = \"suite\"\nkeyring = {keyring}\narchives = [{archives}]\n",
        native = architecture(),
        archives = items.join(", "),
    )
}

/// One slot, and less time than the other tests give; a base root takes minutes on a busy machine.
fn limit_worker(node: &Node, stage_secs_max: u32) {
    let file = node.folder.join("node.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text
        .replace("slots = 2", "slots = 1")
        .replace("build_secs_max = 120", "build_secs_max = 60")
        .replace("stage_secs_max = 400", &format!("stage_secs_max = {stage_secs_max}"));
    std::fs::write(file, text).unwrap();
}

/// A folder that means something to shells, to mount options, to lists of apt and to URLs: all
/// trials run in it.
const ODD: &str = "a b'c\"d[e]{f}\u{e9},g:h\\i%20#j?k\n-l $(m) `n`;&*";
/// From the order to the end of the attempt, which has limits of its own.
const TRIAL_TIME_MAX: Duration = Duration::from_secs(1200);
/// How long removal may take: a million of small files in a deep folder.
const CLEAN_TIME_MAX: Duration = Duration::from_secs(60);
const DISK_SIZE: &str = "8G";
const DISK_INODES: &str = "400000";
