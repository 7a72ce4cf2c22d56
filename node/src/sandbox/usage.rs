use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::sleep;

use super::spec::{Spec, User};

/// Looks at what a command has on disk.
pub(super) struct Usage {
    folders: Vec<PathBuf>,
    bytes_max: u64,
    /// Whether a run that succeeded is looked at when it has ended: the package's own commands,
    /// whose files may differ for what they missed.
    pub(super) looks_at_end: bool,
}

impl Usage {
    /// `None`: there is no limit.
    pub(super) fn new(spec: &Spec) -> Option<Self> {
        let bytes_max = spec.limits.disk_bytes?;
        let folders = spec.writable().map(PathBuf::from).collect();
        Some(Self { folders, bytes_max, looks_at_end: spec.user == User::Builder })
    }

    /// Returns once the command has more on disk than it may. The largest file that was over the
    /// limit at a look, however few of its bytes are on disk, is kept in `large`.
    pub(super) async fn exceeded(&self, large: &mut Option<u64>) {
        let mut pause = PAUSE_MIN;
        loop {
            sleep(pause).await;
            let started = now();
            *large = (*large).max(self.large_file().await);
            match self.bytes_on_disk().await {
                Some(bytes) if bytes > self.bytes_max => return,
                Some(_) => {}
                None => tracing::warn!(folder = ?self.folders, "cannot tell how much is on disk"),
            }
            // A tree of very many files costs more to look at: at most a twentieth of the time.
            pause = PAUSE_MIN.max(started.elapsed() * 20);
        }
    }

    /// The length of a file that is larger than all files together may be on disk, as sparse files
    /// are; `None`: there is none, or it cannot be told.
    pub(super) async fn large_file(&self) -> Option<u64> {
        let mut command = Command::new("find");
        command.args(&self.folders).args(["-xdev", "-type", "f", "-size"]);
        command.arg(format!("+{}c", self.bytes_max)).args(["-printf", "%s\\n", "-quit"]);
        last_number(command).await
    }

    /// What files take on disk, those with several names once. Files that come and go meanwhile do
    /// not matter. `None`: `du` does not run.
    async fn bytes_on_disk(&self) -> Option<u64> {
        let mut command = Command::new("du");
        // The host's du walks trees of any depth without following links.
        command.args(["-scx", "--block-size=1", "--"]).args(&self.folders);
        // The total is on the last line.
        last_number(command).await
    }
}

/// The number with which the last line of the output begins.
async fn last_number(mut command: Command) -> Option<u64> {
    let command = command.env("LC_ALL", "C").stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.ok()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    printed.lines().last()?.split_whitespace().next()?.parse().ok()
}

#[expect(clippy::disallowed_methods, reason = "measures what our own look costs, decides nothing")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

const PAUSE_MIN: Duration = Duration::from_secs(2);
