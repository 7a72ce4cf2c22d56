//! Runs a child under `strace` and keeps what it did to its files.

use std::fs;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::disk::{Disk, Medium};
use super::image::Node;
use super::order;
use super::trace::{self, CALLS, Event, TOLD};

/// The folder where the children of a recording find their files.
pub const TOP: &str = "POWER_CUT_TOP";
/// As many orders of calls that ran together are played when the lengths of files fit.
const PLAYED: usize = 1000;

/// A folder with what was there first (`start`), what is there now (`top`), and one trace for each
/// process that changed it.
#[derive(Debug)]
pub struct Recording {
    dir: PathBuf,
    /// What is there now by the model; made when first asked for.
    now: Option<Disk>,
}

impl Recording {
    /// A new one in the new folder `dir`, that begins with `start`, of which `told` is known.
    pub fn new(dir: &Path, start: &Node, told: &[String]) -> Self {
        fs::create_dir(dir).unwrap();
        let recording = Self { dir: dir.canonicalize().unwrap(), now: None };
        fs::write(recording.dir.join("told"), told.join("\n")).unwrap();
        for name in ["start", "top"] {
            start.write(&recording.dir.join(name)).unwrap();
        }
        recording
    }

    /// One that is there.
    pub fn open(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), now: None }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn disk(&self, medium: Medium, deaf_to: Option<String>) -> Disk {
        let start = Node::read(&self.dir.join("start")).unwrap();
        let root = self.dir.join("top");
        Disk::new(root.to_str().expect("the folder's path is text"), &start, medium, deaf_to)
    }

    /// What was acknowledged before it began.
    pub fn told(&self) -> Vec<String> {
        let text = fs::read_to_string(self.dir.join("told")).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// What the processes did, one after the other.
    pub fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        for number in 0.. {
            let Ok(text) = fs::read_to_string(self.trace(number)) else { break };
            events.push(Event::Started);
            events.extend(text.lines().flat_map(trace::events));
        }
        events
    }

    fn trace(&self, number: usize) -> PathBuf {
        self.dir.join(format!("trace-{number}"))
    }

    /// Runs the test `child` of this program, which finds its files with [`Recording::top`]. It
    /// may end itself by a kill. Checks that the model of the disk shows what the disk shows.
    ///
    /// `kill`: the process is killed at this call, as `strace -e inject` counts them in one
    /// thread (`fsync:when=7`); `None` lets it end.
    pub fn run(&mut self, child: &str, environment: &[(&str, String)], kill: Option<&str>) {
        let number = (0..).find(|n| !self.trace(*n).exists()).expect("numbers do not end");
        let trace = self.trace(number);
        let mut command = strace();
        match kill {
            Some(call) => command.args(["-e", &format!("inject={call}:signal=KILL")]),
            // Faster, but nothing is injected then.
            None => command.arg("--seccomp-bpf"),
        };
        let output = command
            .args(["-f", "-y", "-xx", "-s", "1048576", "-e", "signal=none"])
            .args(["-e", &format!("trace={CALLS}"), "-o"])
            .arg(&trace)
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", child, "--nocapture"])
            .env(TOP, self.dir.join("top"))
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .output()
            .unwrap();
        let (status, killed) = (output.status, output.status.signal() == Some(9));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            if kill.is_some() { killed } else { status.success() },
            "{child}: {status}: {said}"
        );

        self.follow(&trace);
    }

    /// Plays the new trace onto the model, which must then show what the disk shows; the trace is
    /// put into an order in which it does, and completed by what it does not say and the disk does.
    fn follow(&mut self, trace: &Path) {
        let before = self.now.take().unwrap_or_else(|| self.disk(Medium::Cached, None));
        let text = fs::read_to_string(trace).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let events: Vec<Vec<Event>> = lines.iter().map(|line| trace::events(line)).collect();
        let top = self.dir.join("top");
        let real = Node::read(&top).unwrap();
        let length = |path: &str| match real.find(path.strip_prefix(top.to_str()?)?)? {
            Node::File(bytes) => Some(bytes.len() as u64),
            Node::Folder(_) => None,
        };
        let mut found = vec!["no order of calls gives the files their lengths".to_owned()];
        for order in order::possible(&events, &length).take(PLAYED) {
            let mut disk = before.clone();
            disk.play(&Event::Started);
            order.iter().flat_map(|line| &events[*line]).for_each(|event| disk.play(event));
            // What a kill interrupted happened as far as the files show it.
            let ends = disk.ends_of_running(&real);
            ends.iter().flat_map(|line| trace::events(line)).for_each(|event| disk.play(&event));
            found = disk.live().differences(&real, "");
            if found.is_empty() {
                let ends = ends.iter().map(String::as_str);
                let all: Vec<&str> = order.iter().map(|line| lines[*line]).chain(ends).collect();
                fs::write(trace, all.join("\n") + "\n").unwrap();
                self.now = Some(disk);
                return;
            }
        }
        panic!("model and disk disagree after {}: {found:?}", trace.display());
    }

    /// The folder of a child of a recording; `None` in any other process.
    pub fn top() -> Option<PathBuf> {
        std::env::var_os(TOP).map(PathBuf::from)
    }
}

/// A folder on a real disk, which stays when the test fails.
pub fn folder() -> PathBuf {
    // Beside the program: the system's temporary files may lie in memory.
    let program = std::env::current_exe().unwrap();
    let beside = program.parent().expect("a file has a folder");
    tempfile::Builder::new().prefix("power-cut-").tempdir_in(beside).unwrap().keep()
}

/// Acknowledges `what` to the recording.
pub fn tell(what: &str) {
    let line = format!("\n{TOLD}{what}\n");
    std::io::stdout().write_all(line.as_bytes()).unwrap();
}

/// `strace`, which must be installed.
pub fn strace() -> Command {
    let command = Command::new("strace");
    let there = Command::new("strace").arg("-V").output();
    assert!(
        there.is_ok_and(|output| output.status.success()),
        "this test needs strace: install it with `apt-get install strace`"
    );
    command
}
