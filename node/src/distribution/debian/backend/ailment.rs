//! Whether this machine has what a rebuild of a Debian package needs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::settings::DebianSettings;
use super::tools;
use crate::backend::BuildError;
use crate::health::room;
use crate::sandbox::{
    self, Exit, Limits, Network, Output, Personality, Root, Sandbox, Spec, User, Wall,
};

/// Time for a command that does nothing: more than a busy machine takes to make a sandbox.
const PROBE_TIME: Duration = Duration::from_secs(60);

/// What is missing, and what to do; `None`: nothing. `keyring` is how reading the keyrings went.
pub(super) async fn ailment(
    settings: &DebianSettings,
    sandbox: &Sandbox,
    keyring: Result<PathBuf, BuildError>,
) -> Option<String> {
    if let Some(reason) = tools::missing_tool() {
        return Some(reason);
    }
    // First the disk: keyrings are gathered into a file.
    if let Some(reason) =
        room(&settings.folders.work_dir).or_else(|| room(&settings.folders.cache_dir))
    {
        return Some(reason);
    }
    if let Err(BuildError::Fault(fault)) = keyring {
        return Some(fault.detail);
    }
    let folder = settings.folders.work_dir.join("probe");
    let tried = try_in(sandbox, &folder).await;
    if let Err(error) = sandbox::remove_tree(&folder).await {
        return Some(error.to_string());
    }
    tried.err().map(|reason| {
        format!(
            "{reason}: the backend `debian` needs root, and namespaces of users and mounts, which \
             the kernel refuses inside a chroot"
        )
    })
}

/// Runs a command of the host that does nothing, as every step of a rebuild is run.
async fn try_in(sandbox: &Sandbox, folder: &Path) -> Result<(), String> {
    let text = |error: &dyn core::fmt::Display| format!("no sandbox can be made: {error}");
    // A process that was killed may have left one.
    sandbox::remove_tree(folder).await.map_err(|e| text(&e))?;
    let lower = folder.join("lower");
    let binds = tools::lay(&lower, "all", b"").map_err(|e| text(&e))?;
    sandbox.chown_into(&lower, User::Root).await.map_err(|e| text(&e))?;
    let spec = Spec {
        root: Root { lowers: vec![lower], upper: folder.join("upper"), work: folder.join("work") },
        binds,
        network: Network::Loopback,
        user: User::Builder,
        command: vec!["true".into()],
        environment: BTreeMap::new(),
        directory: "/".into(),
        limits: Limits {
            wall: PROBE_TIME,
            memory_bytes: None,
            processes: u32::MAX,
            file_bytes: None,
            disk_bytes: None,
            output_bytes_per_sec: None,
        },
        wall: Wall::default(),
        personality: Personality::Native,
    };
    let mut said = Said::default();
    let run =
        sandbox.run(&spec, &mut said, &CancellationToken::new()).await.map_err(|e| text(&e))?;
    match run.exit {
        Exit::Status(0) => Ok(()),
        exit => {
            let said = String::from_utf8_lossy(&said.0);
            Err(text(&format!("`true` ended with {exit:?}: {}", said.trim())))
        }
    }
}

/// The first words of a command.
#[derive(Default)]
struct Said(Vec<u8>);

impl Output for Said {
    fn write(&mut self, bytes: &[u8]) {
        let room = SAID_MAX.saturating_sub(self.0.len());
        self.0.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

/// Bytes of a command's output that are worth a line.
const SAID_MAX: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let sandbox = Sandbox::detect(sandbox::Settings::default());
        let settings = |work: PathBuf, cache: PathBuf| DebianSettings::new(work, cache);
        let there = || Ok(PathBuf::from("/keyring"));
        let full = settings(file.join("work"), folder.path().join("cache"));
        assert!(ailment(&full, &sandbox, there()).await.unwrap().contains("file/work"));
        let full = settings(folder.path().join("work"), file.join("cache"));
        assert!(ailment(&full, &sandbox, there()).await.unwrap().contains("file/cache"));
        let good = settings(folder.path().join("work"), folder.path().join("cache"));
        let kind = rebuilder_actors::protocol::FaultKind::BackendMissing;
        let missing = Err(BuildError::fault(kind, "keyring x cannot be read"));
        assert_eq!(ailment(&good, &sandbox, missing).await.unwrap(), "keyring x cannot be read");
    }
}
