use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rebuilder_actors::port::{BoxFuture, Clock, Progress};
use rebuilder_actors::protocol::{Assignment, FaultKind, Isolation, Sha256, Stage};
use tokio_util::sync::CancellationToken;

use super::ailment;
use super::attempt::Attempt;
use super::settings::DebianSettings;
use crate::backend::{BuildError, BuildFacts, Rebuild};
use crate::environment::{Bases, Chroot, PackageCache, Renewal};
use crate::fetch::Fetcher;
use crate::sandbox::{Personality, Root, Sandbox, Wall};

/// Rebuilds Debian packages in sandboxes, from a `.buildinfo` or with today's suite. Needs root,
/// apt, dpkg and the distribution's keyring on the host; everything else is in the base roots.
pub struct DebianBackend {
    pub(super) settings: DebianSettings,
    /// Runs all of it.
    pub(super) sandbox: Sandbox,
    pub(super) fetcher: Fetcher,
    pub(super) bases: Bases,
    pub(super) packages: PackageCache,
    clock: Arc<dyn Clock>,
}

impl DebianBackend {
    /// Makes the folders of the settings, takes over complete base roots of an earlier process,
    /// and removes what it left unfinished. One process at a time may use them.
    ///
    /// # Errors
    /// When a folder cannot be made, read or emptied.
    pub fn new(
        settings: DebianSettings,
        sandbox: Sandbox,
        fetcher: Fetcher,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<Self> {
        settings.folders.open()?;
        if settings.nested_namespaces {
            tracing::warn!(
                "builds may make user namespaces, so that their verdicts do not say `isolation: \
                 full`: remove `nested_namespaces` from [debian] where no package needs it"
            );
        }
        let usual = sandbox.evidence(Wall::default(), Personality::Native);
        tracing::info!(sandbox = ?usual, "builds are held in");
        let packages = PackageCache::open(
            settings.folders.cache_dir.join("packages"),
            "deb",
            settings.package_cache_bytes_max,
            fetcher.clone(),
        )?;
        let renewal =
            Renewal { age_max: settings.base_max_age, check_every: settings.release_check_every };
        let bases = Bases::open(settings.folders.clone(), renewal, Arc::clone(&clock))?;
        Ok(Self { settings, sandbox, fetcher, bases, packages, clock })
    }

    /// What a build for this architecture may ask the kernel for.
    pub(super) fn wall(&self, architecture: &str) -> Wall {
        Wall {
            nested_namespaces: self.settings.nested_namespaces,
            mounts: false,
            // apt is such a program there, and so is all that a build runs.
            socketcall: architecture == "i386",
        }
    }

    /// All keyrings in one file, which is what apt is told to trust.
    pub(super) fn keyring(&self) -> Result<PathBuf, BuildError> {
        let mut all = Vec::new();
        for path in &self.settings.keyrings {
            let bytes = std::fs::read(path).map_err(|error| {
                let detail = format!(
                    "keyring {} cannot be read ({error}): install debian-archive-keyring, or \
                     configure where it is",
                    path.display()
                );
                BuildError::fault(FaultKind::BackendMissing, detail)
            })?;
            all.extend(bytes);
        }
        let digest = Sha256::of(&all).to_string();
        let path = self.settings.folders.cache_dir.join(format!("keyring-{}.gpg", &digest[..16]));
        let is_there = std::fs::metadata(&path).is_ok_and(|found| found.len() == all.len() as u64);
        if !is_there {
            std::fs::write(&path, &all).map_err(|error| BuildError::io("write", &path, &error))?;
        }
        Ok(path)
    }

    async fn attempt(
        &self,
        assignment: &Assignment,
        folder: &Path,
        facts: &mut BuildFacts,
        progress: &dyn Progress,
    ) -> Result<PathBuf, BuildError> {
        let home = self.settings.folders.layer_home();
        let layer = home.join(assignment.attempt.to_string());
        Chroot::remove_layer(&layer).await?;
        std::fs::create_dir_all(&layer).map_err(|error| BuildError::io("make", &layer, &error))?;
        let (cancel, observed) = (CancellationToken::new(), Mutex::default());
        let chroot = Chroot {
            root: Root { lowers: Vec::new(), upper: layer.join("upper"), work: layer.join("work") },
            limits: &self.settings.limits,
            proxies: &self.settings.proxies,
            sandbox: &self.sandbox,
            clock: &*self.clock,
            progress,
            cancel: &cancel,
            binds: Vec::new(),
            wall: Wall::default(),
            personality: Personality::Native,
            urls: Vec::new(),
            stage: Stage::Fetch,
            deadline: self.clock.monotonic(),
            observed: &observed,
        };
        let mut attempt = Attempt { backend: self, assignment, folder, facts, chroot };
        let ended = {
            let work = attempt.run();
            tokio::pin!(work);
            tokio::select! {
                biased;
                () = progress.cancelled() => {
                    cancel.cancel();
                    // The sandbox ends what it runs, and only then does this.
                    work.await
                }
                ended = &mut work => ended,
            }
        };
        attempt.facts.observed = attempt.chroot.observed();
        drop(attempt);
        let removed = Chroot::remove_layer(&layer).await;
        self.bases.sweep().await;
        if let Err(error) = self.packages.prune(&*self.clock) {
            tracing::warn!(%error, "fetched packages cannot be pruned");
        }
        if let Err(error) = removed {
            // What was built counts, whatever stays of the place where it was built.
            tracing::warn!(target: "rebuilder", "the layer of an attempt stays: {error:?}");
        }
        ended
    }
}

impl Rebuild for DebianBackend {
    fn isolation(&self) -> Isolation {
        // Before it is known what is built.
        self.sandbox.evidence(self.wall(""), Personality::Native).isolation()
    }

    fn ailment(&self) -> BoxFuture<'_, Option<String>> {
        Box::pin(ailment::ailment(&self.settings, &self.sandbox, self.keyring()))
    }

    fn build<'a>(
        &'a self,
        assignment: &'a Assignment,
        folder: &'a Path,
        facts: &'a mut BuildFacts,
        progress: &'a dyn Progress,
    ) -> BoxFuture<'a, Result<PathBuf, BuildError>> {
        Box::pin(self.attempt(assignment, folder, facts, progress))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::testing;
    use crate::clock::SystemClock;
    use crate::sandbox::{Capabilities, Kernel};

    #[tokio::test]
    async fn isolation_is_what_the_machine_has() {
        let own = testing::sandbox();
        let folder = tempfile::tempdir().unwrap();
        let isolation = |seccomp: bool, nested: bool| {
            let kernel = Kernel { seccomp, listens: seccomp, landlock_abi: None };
            let machine = Capabilities { kernel, ..own.capabilities().clone() };
            let sandbox = Sandbox::with(own.settings().clone(), machine);
            let (work, cache) = (folder.path().join("work"), folder.path().join("cache"));
            let mut settings = DebianSettings::new(work, cache);
            settings.nested_namespaces = nested;
            let clock = Arc::new(SystemClock::new());
            let fetcher = testing::fetcher();
            DebianBackend::new(settings, sandbox, fetcher, clock).unwrap().isolation()
        };
        assert_eq!(isolation(true, false), Isolation::Full);
        assert_eq!(isolation(true, true), Isolation::Network);
        assert_eq!(isolation(false, false), Isolation::Network);
    }
}
