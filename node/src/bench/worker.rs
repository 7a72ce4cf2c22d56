//! What a job costs besides its build: one real worker with its spool on disk and a script that is
//! done at once, from the assignment until the report is acknowledged.

use core::fmt;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::mirror;
use super::process::{Coordinator, Node, Settings, Used, log_path, percentile};
use super::queue::{fresh, profile};

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
pub struct WorkerPlan {
    /// Folder on the disk to measure; what is made there stays
    #[arg(long)]
    pub dir: PathBuf,
    /// Jobs, one after the other
    #[arg(long, default_value_t = 300)]
    pub jobs: usize,
    /// Slots of the worker
    #[arg(long, default_value_t = 1)]
    pub slots: u16,
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct WorkerFigures {
    /// From a job's assignment until its report was acknowledged, ascending.
    pub times: Vec<Duration>,
    /// What the worker used for all of them.
    pub worker: Used,
    /// What the coordinator used for all of them.
    pub coordinator: Used,
}

/// The whole of every file that is published.
const CONTENT: &[u8] = b"bench\n";

/// The build: the file that is asked for, named after the build input.
const SCRIPT: &[u8] = b"#!/bin/sh\nname=${1##*/}\n\
    echo bench > \"$REBUILDERD_OUTDIR/${name%.buildinfo}.deb\"\n";

const SECRET: &str = "measured-on-loopback-only";

/// Runs one measurement in a fresh folder below `plan.dir`.
///
/// # Errors
/// What could not be measured, in words: also when a job was not reproduced.
pub async fn run(plan: &WorkerPlan) -> Result<WorkerFigures, String> {
    let dir = fresh(&plan.dir, "worker")?;
    let archive = dir.join("mirror");
    mirror::write(&archive, plan.jobs, Some(CONTENT))?;
    for job in 0..plan.jobs {
        let name = format!("package{job:05}_1.2.{job}-1_amd64.buildinfo");
        mirror::put(&dir.join("inputs").join(name), b"Format: 1.0\n")?;
    }
    let script = dir.join("script");
    mirror::put(&script, SCRIPT)?;
    executable(&script)?;
    let inputs = format!("buildinfos = \"{}/{{file}}\"", dir.join("inputs").display());
    let settings = Settings {
        coordinator: format!("signup_secret = \"{SECRET}\""),
        profile: profile(&archive, "bench", &inputs),
    };
    let log = "warn,rebuilder=info";
    let coordinator = Coordinator::start(&dir, &settings, log).await?;
    coordinator.ctl.synced().await?;
    let before = coordinator.node.used();
    let config = format!(
        "[worker]\ncoordinator = \"{}\"\nname = \"bench\"\nslots = {}\nwork_dir = \"{}\"\n\
         signup_secret = \"{SECRET}\"\n\n[debian]\nenabled = false\n\n[diffoscope]\n\
         enabled = false\n\n[backend.\"bench\"]\npath = \"{}\"\n",
        coordinator.address,
        plan.slots,
        dir.join("worker").display(),
        script.display()
    );
    let worker = Node::start("worker", &dir, &config, log)?;
    while (coordinator.ctl.status().await?.jobs.decided as usize) < plan.jobs {
        if coordinator.ctl.status().await?.jobs.parked > 0 {
            return Err(format!("a job was parked: see {}", dir.display()));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let (used, mut after) = (worker.used(), coordinator.node.used());
    worker.stop().await?;
    coordinator.node.stop().await?;
    after.cpu -= before.cpu;
    let text = std::fs::read_to_string(log_path(&dir, "coordinator"));
    let times = times(&text.map_err(|e| format!("read the log: {e}"))?);
    if times.len() != plan.jobs {
        let log = log_path(&dir, "coordinator");
        return Err(format!("{} of {} jobs: see {}", times.len(), plan.jobs, log.display()));
    }
    Ok(WorkerFigures { times, worker: used, coordinator: after })
}

fn executable(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(path, mode).map_err(|e| format!("{}: {e}", path.display()))
}

/// From each line of an assignment to that of the same attempt's verdict. A line is written when
/// what it says is durable, just before the message leaves.
fn times(log: &str) -> Vec<Duration> {
    let mut began = BTreeMap::new();
    let mut times = Vec::new();
    for line in log.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some(at) = words.iter().position(|word| *word == "attempt") else { continue };
        let (Some(attempt), Some(next)) = (words.get(at + 1), words.get(at + 2)) else { continue };
        let Some(time) = words.first().and_then(|t| t.parse::<jiff::Timestamp>().ok()) else {
            continue;
        };
        if *next == "to" {
            began.insert(*attempt, time);
        } else if line.to_ascii_lowercase().contains(" reproduced")
            && let Some(start) = began.remove(attempt.trim_end_matches(':'))
        {
            times.push(Duration::try_from(time.duration_since(start)).unwrap_or_default());
        }
    }
    times.sort_unstable();
    times
}

impl fmt::Display for WorkerFigures {
    #[expect(clippy::cast_precision_loss, reason = "some hundreds")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |percent| percentile(&self.times, percent).as_secs_f64() * 1e3;
        let each = |cpu: Duration| cpu.as_secs_f64() * 1e3 / self.times.len().max(1) as f64;
        writeln!(
            f,
            "{} jobs, from assignment to acknowledged report: median {:.1} ms, p90 {:.1} ms, p99 \
             {:.1} ms",
            self.times.len(),
            ms(50),
            ms(90),
            ms(99)
        )?;
        write!(
            f,
            "processor a job: worker {:.2} ms, coordinator {:.2} ms",
            each(self.worker.cpu),
            each(self.coordinator.cpu)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_from_the_log() {
        let log = "2026-01-10T10:00:00.000100Z  INFO p 1-1 (amd64) attempt 7-1 to worker 1 (b)\n\
                   2026-01-10T10:00:00.000200Z  INFO p 2-1 (amd64) attempt 8-1 to worker 1 (b)\n\
                   2026-01-10T10:00:00.020100Z  INFO p 1-1 (amd64) attempt 7-1: 1 reproduced\n";
        assert_eq!(times(log), [Duration::from_millis(20)]);
    }
}
