use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::tools::{node_program, until, until_true};

/// A process of `rebuilder-node`; killed with this value, and its last words shown if the test
/// failed.
pub struct Node {
    name: String,
    child: Child,
    log: PathBuf,
}

/// How to start one.
pub struct NodeCommand {
    /// Whose file of words `NAME.log` is, in the folder of the configuration.
    pub name: String,
    /// Before the program, to run it elsewhere.
    pub prefix: Vec<String>,
    /// `coordinator` or `worker`.
    pub role: &'static str,
    /// The configuration file.
    pub config: PathBuf,
}

impl Node {
    /// Starts the program; what it says is added to what the last one of its name said.
    pub fn start(command: &NodeCommand) -> Self {
        let log = command.config.with_file_name(format!("{}.log", command.name));
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let program = node_program().into_os_string();
        let words: Vec<_> =
            command.prefix.iter().map(|word| word.as_str().into()).chain([program]).collect();
        let child = Command::new(&words[0])
            .args(&words[1..])
            .args(["--role", command.role, "--config"])
            .arg(&command.config)
            .env("REBUILDER_TEST_WORKER", &command.name)
            .env_remove("RUST_LOG")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .unwrap();
        Self { name: command.name.clone(), child, log }
    }

    /// All that processes of this name said.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until it said `text` at least `times`.
    pub fn until_said(&self, secs: u64, times: usize, text: &str) {
        let what = format!("{} says `{text}` {times} times", self.name);
        until_true(secs, &what, || self.said().matches(text).count() >= times);
    }

    /// As a crash of the machine would, without a last word.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// As the service manager does.
    pub fn stop(mut self) {
        self.signal(Signal::SIGTERM);
        assert_eq!(self.until_ended(20), 0, "{} ends when it is asked to", self.name);
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Waits until it ends by itself: its exit code.
    pub fn until_ended(&mut self, secs: u64) -> i32 {
        let what = format!("{} ends", self.name);
        let status = until(secs, &what, || self.child.try_wait().unwrap());
        status.code().unwrap_or_else(|| panic!("{} was killed: {status}", self.name))
    }

    /// True while the process runs.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Resident memory, KiB.
    pub fn memory_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let said = std::fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<&str> = said.lines().collect();
            let last = lines[lines.len().saturating_sub(60)..].join("\n");
            eprintln!("---- {}:\n{last}", self.name);
        }
    }
}
