use std::path::PathBuf;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::sleep;

use super::spec::Spec;

/// Returns once the command has more on disk than it may; never without a limit.
pub(super) async fn exceeded(spec: &Spec) {
    let Some(limit) = spec.limits.disk_bytes else { return std::future::pending().await };
    let writable = spec.binds.iter().filter(|bind| !bind.read_only).map(|bind| bind.source.clone());
    let folders: Vec<PathBuf> = writable.chain([spec.root.upper.clone()]).collect();
    let mut pause = PAUSE_MIN;
    loop {
        sleep(pause).await;
        let started = now();
        match bytes_on_disk(&folders).await {
            Some(bytes) if bytes > limit => return,
            Some(_) => {}
            None => tracing::warn!(folder = ?spec.root.upper, "cannot tell how much is on disk"),
        }
        // A tree of very many files costs more to look at: at most a twentieth of the time.
        pause = PAUSE_MIN.max(started.elapsed() * 20);
    }
}

/// What files take on disk, those with several names once. Files that come and go meanwhile do not
/// matter. `None`: `du` does not run.
async fn bytes_on_disk(folders: &[PathBuf]) -> Option<u64> {
    let mut command = Command::new("du");
    // The host's du walks trees of any depth without following links.
    command.args(["-scx", "--block-size=1", "--"]).args(folders);
    let output = command.env("LC_ALL", "C").kill_on_drop(true).output().await.ok()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    printed.lines().last()?.split_whitespace().next()?.parse().ok()
}

#[expect(clippy::disallowed_methods, reason = "measures what our own look costs, decides nothing")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

const PAUSE_MIN: Duration = Duration::from_secs(2);
