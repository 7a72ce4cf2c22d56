//! A node under measurement, in a process of its own.

use core::fmt;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rebuilder_actors::port::Clock as _;
use rebuilder_transport::key_file::{self, Access};
use rebuilder_transport::{Limits, Quic, system};
use tokio::process::{Child, Command};

use super::ctl::Ctl;
use crate::clock::SystemClock;

/// A child process of this same program; killed when it is dropped.
pub(super) struct Node {
    child: Child,
    pid: u32,
}

/// What a process used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Time of processors, in user and system mode.
    pub cpu: Duration,
    /// Resident now, bytes.
    pub resident: u64,
    /// Of that, what no file is behind, bytes.
    pub anonymous: u64,
    /// The most that was ever resident, bytes.
    pub resident_max: u64,
    /// Bytes that were sent to storage.
    pub written: u64,
}

impl Node {
    /// Starts `rebuilder-node --role ROLE` with this configuration; its messages go to
    /// `ROLE.log` beside it. `log` is what `RUST_LOG` is to be.
    pub(super) fn start(role: &str, dir: &Path, config: &str, log: &str) -> Result<Self, String> {
        let file = dir.join(format!("{role}.toml"));
        std::fs::write(&file, config).map_err(|e| format!("write {}: {e}", file.display()))?;
        let log_file = log_path(dir, role);
        let failed = |e: std::io::Error| format!("start a {role}: {e}");
        let errors = std::fs::OpenOptions::new().create(true).append(true).open(&log_file);
        let child = Command::new(std::env::current_exe().map_err(failed)?)
            .args(["--role", role, "--config"])
            .arg(&file)
            .env("RUST_LOG", log)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors.map_err(failed)?)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let pid = child.id().ok_or_else(|| format!("the {role} ended at once"))?;
        Ok(Self { child, pid })
    }

    /// What it used so far.
    pub(super) fn used(&self) -> Used {
        used(&self.pid.to_string())
    }

    /// Ends it as a service manager does, and waits.
    pub(super) async fn stop(mut self) -> Result<(), String> {
        let pid = nix::unistd::Pid::from_raw(self.pid.cast_signed());
        let failed = |e: &dyn fmt::Display| format!("stop process {}: {e}", self.pid);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).map_err(|e| failed(&e))?;
        let status = self.child.wait().await.map_err(|e| failed(&e))?;
        if status.success() { Ok(()) } else { Err(failed(&status)) }
    }
}

/// Where a node writes its messages.
pub(super) fn log_path(dir: &Path, role: &str) -> PathBuf {
    dir.join(format!("{role}.log"))
}

/// A coordinator and a way to ask it.
pub(super) struct Coordinator {
    pub(super) node: Node,
    pub(super) ctl: Ctl,
    pub(super) address: String,
}

impl Coordinator {
    /// Starts one with its data in `dir`/data, on a free port of the loopback; `more` is added to
    /// its configuration.
    pub(super) async fn start(dir: &Path, more: &Settings, log: &str) -> Result<Self, String> {
        let address = free_address()?;
        let data = dir.join("data");
        let config = format!(
            "[coordinator]\nlisten = \"{address}\"\ndata_dir = \"{}\"\n{}\n\
             \n{}",
            data.display(),
            more.coordinator,
            more.profile
        );
        let clock = SystemClock::new();
        let node = Node::start("coordinator", dir, &config, log)?;
        let ctl = loop {
            if clock.monotonic().0 > START {
                let log = log_path(dir, "coordinator");
                return Err(format!("no coordinator after {START:?}: see {}", log.display()));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
            // The keys are there before it listens.
            let Ok(identity) = key_file::load(&data.join("ctl.key"), Access::Group) else {
                continue;
            };
            // Nothing is asked while a measurement runs.
            let limits = Limits { keep_alive: Some(KEEP_ALIVE), ..Limits::default() };
            let quic: Quic = system::client(identity, limits).map_err(|e| e.to_string())?;
            let opened =
                tokio::time::timeout(Duration::from_millis(250), Ctl::open(quic, &address));
            if let Ok(Ok(ctl)) = opened.await {
                break ctl;
            }
        };
        Ok(Self { node, ctl, address })
    }
}

/// What differs between the coordinators that are measured, as text of their configuration.
#[derive(Default)]
pub(super) struct Settings {
    /// In the table `[coordinator]`.
    pub(super) coordinator: String,
    /// Tables of profiles.
    pub(super) profile: String,
}

/// Longest wait for a coordinator's first answer.
const START: Duration = Duration::from_secs(60);

const KEEP_ALIVE: Duration = Duration::from_secs(5);

fn free_address() -> Result<String, String> {
    let socket = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    socket.map(|address| address.to_string()).map_err(|e| format!("find a free port: {e}"))
}

/// What this process used so far.
pub(super) fn used_here() -> Used {
    used("self")
}

fn used(pid: &str) -> Used {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}"));
    let (stat, status) = (read("stat").unwrap_or_default(), read("status").unwrap_or_default());
    let io = read("io").unwrap_or_default();
    // The name in parentheses may have spaces; then the fields from the third on.
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let ticks: u64 =
        fields.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<u64>().ok()).sum();
    let number = |text: &str, field: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(field));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    Used {
        // Linux counts in hundredths of a second on every architecture that we build for.
        cpu: Duration::from_millis(10 * ticks),
        resident: 1024 * number(&status, "VmRSS:"),
        anonymous: 1024 * number(&status, "RssAnon:"),
        resident_max: 1024 * number(&status, "VmHWM:"),
        written: number(&io, "write_bytes:"),
    }
}

/// Bytes that the files below `folder` occupy.
pub(super) fn disk_bytes(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => disk_bytes(&entry.path()),
        Ok(meta) => 512 * meta.blocks(),
        Err(_) => 0,
    });
    sizes.sum()
}

/// The value below which `percent` of `sorted` lie; zero of none.
pub(super) fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_measured() {
        let used = used_here();
        assert!(used.resident > 1 << 20 && used.resident_max >= used.resident, "{used:?}");
        assert!(used.anonymous > 0 && used.anonymous <= used.resident, "{used:?}");
    }

    #[test]
    fn percentiles_of_few_and_none() {
        let of = |n: u64| (1..=n).map(Duration::from_millis).collect::<Vec<_>>();
        assert_eq!(percentile(&of(100), 99), Duration::from_millis(100));
        assert_eq!(percentile(&of(100), 50), Duration::from_millis(51));
        assert_eq!(percentile(&of(1), 99), Duration::from_millis(1));
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }
}
