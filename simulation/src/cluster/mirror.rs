//! The distribution: what it publishes, and the mirror that tells of it.

use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use rebuilder_actors::port::{BoxFuture, Group, IndexError, IndexRead, IndexReader, KeptRelease};
use rebuilder_actors::protocol::{
    Artifact, BuildInput, IndexState, IndexTrust, JobKey, Sha256, UtcMillis,
};

use super::random_stream::RandomStream;
use super::trouble::Trouble;
use super::world::{Cluster, ProcessScope, lock};
use crate::observation::job_key;

/// Profiles that follow the distribution.
pub(super) const PROFILES: [&str; 2] = ["p", "q"];

/// What honest builds of a package come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Truth {
    /// The published files.
    Reproducible,
    /// Other files.
    Differs,
    /// No files.
    Fails,
    /// Now these, now those.
    Flaky,
}

/// What honest builds of this source come to, in this world.
pub(super) fn truth(seed: u64, source: &str) -> Truth {
    match RandomStream::new(seed, &format!("truth of {source}")).of(0..10) {
        0..6 => Truth::Reproducible,
        6 | 7 => Truth::Differs,
        8 => Truth::Fails,
        _ => Truth::Flaky,
    }
}

/// The published file's content.
pub(super) fn content(file: &str) -> Vec<u8> {
    format!("content of {file}").into_bytes()
}

#[derive(Clone, Debug)]
struct Package {
    name: String,
    version: u32,
    files: u32,
    architecture: &'static str,
    profiles: [bool; PROFILES.len()],
}

impl Package {
    fn group(&self) -> Group {
        let artifacts = (0..self.files).map(|n| {
            let file = format!("{}-{n}_{}.deb", self.name, self.version);
            Artifact {
                name: format!("{}-{n}", self.name).into(),
                version: self.version.to_string().into(),
                component: None,
                architecture: self.architecture.into(),
                url: format!("https://mirror.example.org/{file}").into(),
                size: None,
                sha256: Some(Sha256::of(&content(&file))),
                file: file.into(),
            }
        });
        Group {
            distribution: "debian".into(),
            release: None,
            source: self.name.as_str().into(),
            version: self.version.to_string().into(),
            architecture: self.architecture.into(),
            input_name: "suite".into(),
            input: BuildInput::Suite,
            source_file: None,
            archives: Arc::new(Vec::new()),
            artifacts: artifacts.collect(),
            index: IndexTrust::Signed,
            index_sha256: None,
        }
    }
}

/// The archive as it is now.
pub(super) struct Distribution {
    packages: Mutex<Vec<Package>>,
}

impl Distribution {
    pub(super) fn new(world: &Cluster) -> Arc<Self> {
        let mut random = world.random("packages");
        let package = |number| Package {
            name: format!("package-{number}"),
            version: 1,
            files: u32::try_from(random.of(1..3)).unwrap_or(1),
            architecture: if random.percent(20) { "arm64" } else { "amd64" },
            profiles: [random.percent(80), random.percent(30)],
        };
        let packages = (0..world.options.packages).map(package).collect();
        Arc::new(Self { packages: Mutex::new(packages) })
    }

    /// Something is published or withdrawn.
    pub(super) fn change(&self, random: &mut RandomStream) {
        let mut packages = lock(&self.packages);
        let which = random.count(0..packages.len());
        let package = &mut packages[which];
        match random.of(0..4) {
            0 | 1 => package.version += 1,
            2 => package.files = package.files % 3 + 1,
            _ => {
                let profile = random.count(0..PROFILES.len());
                package.profiles[profile] = !package.profiles[profile];
            }
        }
    }

    /// Names of source packages.
    pub(super) fn names(&self) -> Vec<String> {
        lock(&self.packages).iter().map(|package| package.name.clone()).collect()
    }

    fn groups(&self, profile: usize) -> Vec<Group> {
        let packages = lock(&self.packages);
        packages.iter().filter(|p| p.profiles[profile]).map(Package::group).collect()
    }

    /// Every job that some index names.
    pub(super) fn wanted(&self) -> BTreeSet<JobKey> {
        let groups = (0..PROFILES.len()).flat_map(|profile| self.groups(profile));
        groups.map(|group| job_key(&group)).collect()
    }
}

/// One profile's reader in one process of the coordinator.
pub(super) struct Mirror {
    pub(super) world: Arc<Cluster>,
    pub(super) scope: Arc<ProcessScope>,
    pub(super) distribution: Arc<Distribution>,
    pub(super) profile: usize,
    pub(super) random: Mutex<RandomStream>,
}

impl Mirror {
    async fn look(
        &self,
        since: Option<&IndexState>,
        sink: &mut (dyn FnMut(Group) + Send),
    ) -> Result<IndexRead, IndexError> {
        let (outage, half, delay) = {
            let mut random = lock(&self.random);
            let bad = self.world.has(Trouble::MirrorOutages);
            let delay = random.of(50..if bad { 60_000 } else { 2000 });
            (bad && random.percent(50), random.percent(50), delay)
        };
        tokio::time::sleep(Duration::from_millis(delay)).await;
        let groups = self.distribution.groups(self.profile);
        if outage {
            if half {
                groups.into_iter().take(3).for_each(&mut *sink);
            }
            let url = "https://mirror.example.org/InRelease".into();
            return Err(IndexError::Fetch { url, reason: "connection reset".into() });
        }
        let settings = Sha256::of(format!("{groups:?}").as_bytes());
        if since.is_some_and(|since| since.settings == settings) {
            return Ok(IndexRead::Unchanged);
        }
        groups.into_iter().for_each(sink);
        Ok(IndexRead::Changed(IndexState { releases: Vec::new(), settings }))
    }
}

impl IndexReader for Mirror {
    fn read<'a>(
        &'a self,
        since: Option<&'a IndexState>,
        _: UtcMillis,
        sink: &'a mut (dyn FnMut(Group) + Send),
    ) -> BoxFuture<'a, Result<IndexRead, IndexError>> {
        Box::pin(async move {
            let over = || IndexError::Fetch {
                url: "https://mirror.example.org/".into(),
                reason: "the process is over".into(),
            };
            self.scope.run(self.look(since, sink)).await.unwrap_or_else(|| Err(over()))
        })
    }

    fn kept(&self) -> Vec<KeptRelease> {
        Vec::new()
    }
}
