use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::tools::ctl_program;

/// `rebuilder-ctl` with an endpoint and a key.
#[derive(Clone)]
pub struct Ctl {
    /// Before the program, to run it elsewhere.
    pub prefix: Vec<String>,
    pub endpoint: String,
    pub key: PathBuf,
}

/// How one call ended.
#[derive(Debug)]
pub struct Answer {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ctl {
    fn command(&self, args: &[&str]) -> Command {
        let program = ctl_program().into_os_string();
        let words: Vec<_> =
            self.prefix.iter().map(|word| word.as_str().into()).chain([program]).collect();
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .args(["--endpoint", &self.endpoint, "--timeout", "5", "--key"])
            .arg(&self.key)
            .args(args)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        command
    }

    /// One call, whatever comes of it.
    pub fn call(&self, args: &[&str]) -> Answer {
        let output = self.command(args).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code().expect("ctl ends by itself");
        Answer { code, out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// One call that goes on, with its output to read.
    pub fn start(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).spawn().unwrap()
    }

    /// What a call answers; `None` when it did not succeed.
    pub fn try_ask(&self, args: &[&str]) -> Option<Value> {
        let answer = self.call(&[&["--json"], args].concat());
        (answer.code == 0).then(|| serde_json::from_str(&answer.out).expect("valid JSON"))
    }

    /// What a call that must succeed answers.
    pub fn ask(&self, args: &[&str]) -> Value {
        let answer = self.call(&[&["--json"], args].concat());
        assert_eq!(answer.code, 0, "{args:?}: {}", answer.err);
        serde_json::from_str(&answer.out).expect("valid JSON")
    }

    /// The rows of a call that must succeed.
    pub fn rows(&self, args: &[&str]) -> Vec<Value> {
        match self.ask(args) {
            Value::Array(rows) => rows,
            other => panic!("{args:?}: no array: {other}"),
        }
    }

    /// Packages with a verdict: name, status, build, worker; sorted by name.
    pub fn verdicts(&self) -> Vec<Verdict> {
        let rows = self.rows(&["pkgs", "ls"]);
        let mut found: Vec<Verdict> = rows
            .iter()
            .filter(|row| !row["verdict"].is_null())
            .map(|row| Verdict {
                name: row["name"].as_str().unwrap().to_owned(),
                status: row["status"].as_str().unwrap().to_owned(),
                build: row["build"].as_i64().unwrap(),
                worker: row["worker"].as_i64().unwrap(),
                job: row["job"].as_i64().unwrap(),
            })
            .collect();
        found.sort();
        found
    }

    /// Attempts under way: name, worker, attempt; sorted.
    pub fn running(&self) -> Vec<(String, String, String)> {
        let status = self.ask(&["status"]);
        let rows = status["running"].as_array().unwrap().iter();
        let text = |row: &Value, field: &str| row[field].as_str().unwrap().to_owned();
        let mut rows: Vec<_> = rows
            .map(|row| (text(row, "source"), text(row, "worker_name"), text(row, "attempt")))
            .collect();
        rows.sort();
        rows
    }

    /// The row of the worker with this name; `None`: it was never let in.
    pub fn worker(&self, name: &str) -> Option<Value> {
        self.rows(&["worker", "ls"]).into_iter().find(|row| row["name"] == name)
    }

    /// True while a worker of this name is connected.
    pub fn is_connected(&self, name: &str) -> bool {
        self.worker(name).is_some_and(|row| row["connected"] == true)
    }
}

/// One package with a verdict.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Verdict {
    pub name: String,
    pub status: String,
    pub build: i64,
    pub worker: i64,
    pub job: i64,
}
