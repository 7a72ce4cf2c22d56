//! `rebuilder-node` and `rebuilder-ctl` as programs.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::tools::{self, now, wait_for};

/// A coordinator and a worker with folders and an address of their own.
pub struct Node {
    pub folder: PathBuf,
    /// Where the coordinator listens.
    pub address: String,
    /// A variable of its environment that nobody else knows.
    pub secret: String,
}

/// How a run ended.
pub struct ProcessEnd {
    pub status: ExitStatus,
    /// Standard output.
    pub table: String,
    /// Standard error.
    pub log: String,
    pub time: Duration,
}

impl Node {
    /// Reserves a folder and an address; `configure` says the rest.
    pub fn new(folder: PathBuf) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        std::fs::create_dir_all(&folder).unwrap();
        let (process, number) = (std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        // Nobody else uses these addresses, from which nothing is sent by itself.
        let host = format!("127.{}.{}.{number}", 2 + process % 250, process / 250 % 250);
        let secret = format!("secret-of-{process}-{number}");
        Self { folder, address: format!("{host}:8485"), secret }
    }

    /// Writes the configuration: what every test has, and `more` sections.
    pub fn configure(&self, more: &str) {
        let address = &self.address;
        let (data, work) = (quoted(&self.data_dir()), quoted(&self.work_dir()));
        let text = format!(
            "[coordinator]\nlisten = \"{address}\"\ndata_dir = {data}\n\
             [limits]\nbuild_secs_max = 120\nstage_secs_max = 400\n\
             [worker]\nname = \"e2e\"\nslots = 2\nwork_dir = {work}\n{more}"
        );
        std::fs::write(self.folder.join("node.toml"), text).unwrap();
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder.join("coordinator")
    }

    pub fn work_dir(&self) -> PathBuf {
        self.folder.join("worker")
    }

    /// Runs until idle, at most for `limit`; `watch` is called again and again meanwhile.
    pub fn until_idle(&self, limit: Duration, mut watch: impl FnMut()) -> ProcessEnd {
        let began = now();
        let mut running = self.start("standalone", &["--until-idle"]);
        let status = loop {
            if let Some(status) = running.child.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < limit, "not idle after {limit:?}: {}", running.log());
            watch();
            std::thread::sleep(Duration::from_millis(50));
        };
        let table = std::fs::read_to_string(self.folder.join("stdout")).unwrap();
        ProcessEnd { status, table, log: running.log(), time: began.elapsed() }
    }

    /// Starts it.
    pub fn start(&self, role: &str, options: &[&str]) -> Running {
        let file = |name: &str| File::create(self.folder.join(name)).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_rebuilder-node"))
            .args(["--role", role, "--config"])
            .arg(self.folder.join("node.toml"))
            .args(options)
            .env("E2E_SECRET", &self.secret)
            .env_remove("RUST_LOG")
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .expect("the node starts");
        Running { child, log: self.folder.join("stderr") }
    }

    /// Starts the coordinator alone and waits until it answers.
    pub fn serve(&self) -> Running {
        let running = self.start("coordinator", &[]);
        self.wait_until_it_answers();
        running
    }

    pub fn wait_until_it_answers(&self) {
        wait_for("an answer of the coordinator", Duration::from_secs(30), || {
            self.try_ctl(&["status"]).map(|_| ())
        });
    }

    /// What `rebuilder-ctl` prints, which must succeed.
    pub fn ctl(&self, arguments: &[&str]) -> String {
        self.try_ctl(arguments).unwrap_or_else(|why| panic!("{why}"))
    }

    /// The same with `--json`, read.
    pub fn ctl_json(&self, arguments: &[&str]) -> Value {
        let text = self.ctl(&[&["--json"], arguments].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
    }

    /// The row of the one package of that name.
    pub fn package(&self, name: &str) -> Value {
        let rows = self.ctl_json(&["pkgs", "ls", "--name", name]);
        let rows = rows.as_array().unwrap();
        assert_eq!(rows.len(), 1, "{name}: {rows:?}");
        rows[0].clone()
    }

    pub fn try_ctl(&self, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new("timeout")
            .arg("60")
            .arg(tools::ctl())
            .args(["--endpoint", &self.address, "--key"])
            .arg(self.data_dir().join("ctl.key"))
            .args(arguments)
            .output()
            .expect("timeout runs");
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let complaints = String::from_utf8_lossy(&output.stderr);
        Err(format!("ctl {arguments:?}: {}: {complaints}", output.status))
    }
}

/// A node that runs; it is told to stop when this is dropped, and then killed.
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        let id = nix::unistd::Pid::from_raw(i32::try_from(self.id()).unwrap());
        let _ = nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM);
        let began = now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if began.elapsed() > Duration::from_secs(20) {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A path as the configuration has it, whatever characters it is of.
pub fn quoted(path: &Path) -> String {
    toml::Value::String(path.to_str().unwrap().to_owned()).to_string()
}

/// Fails unless the row says so; `evidence` is index/environment/isolation.
pub fn expect(row: &Value, status: &str, evidence: &str, is_gate_grade: bool) {
    assert_eq!(row["status"], status, "{row:#}");
    let part = |name: &str| row["evidence"][name].as_str().unwrap_or("-").to_owned();
    let found = [part("index"), part("environment"), part("isolation")].join("/");
    assert_eq!(found, evidence, "{row:#}");
    assert_eq!(row["evidence"]["signer"], "worker-key", "{row:#}");
    assert_eq!(row["gate_grade"], is_gate_grade, "{row:#}");
    assert!(row["first_seen_at"].is_string() && row["first_built_at"].is_string(), "{row:#}");
    assert!(status != "differs" || row["first_differed_at"].is_string(), "{row:#}");
}

/// Digest of a file, by another program than ours.
pub fn sha256sum(path: &Path) -> String {
    let printed = tools::run(Path::new("/"), &["sha256sum", path.to_str().unwrap()]);
    printed.split_whitespace().next().unwrap().to_owned()
}
