//! Whether this machine has what a rebuild of a Debian package needs.

use std::path::PathBuf;

use super::settings::DebianSettings;
use super::tools;
use crate::backend::BuildError;
use crate::environment::probe;
use crate::health::room;
use crate::sandbox::{self, Sandbox};

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
    let tried = probe(sandbox, &folder, |lower| tools::lay(lower, "all", b"")).await;
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
