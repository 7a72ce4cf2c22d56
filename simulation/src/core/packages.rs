use std::sync::Arc;

use rebuilder_actors::port::Group;
use rebuilder_actors::protocol::{
    Artifact, Assignment, BuildInput, Ending, Fault, FaultKind, FileDigest, IndexTrust, JobKey,
    Rebuilt, Sha256, Sha512, Stage,
};

use super::world::GIB;
use crate::observation::job_key;
use crate::random::Random;

/// Names of the profiles: each follows some of the packages, most packages by several.
pub(super) const PROFILES: [&str; 3] = ["stable", "testing", "mirror"];

/// What honest builds of a package come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Truth {
    Reproducible,
    Differs,
    Fails,
    Flaky,
}

/// A package as the index of a profile has it.
#[derive(Clone, Debug)]
pub(super) struct Published {
    pub(super) key: Arc<JobKey>,
    pub(super) group: Group,
}

/// One package of the archive.
#[derive(Clone, Debug)]
pub(super) struct Package {
    name: String,
    version: u32,
    files: u32,
    truth: Truth,
    architecture: &'static str,
    /// Bytes of memory that its build needs.
    pub(super) memory: u64,
    /// Profiles that follow it.
    pub(super) profiles: [bool; PROFILES.len()],
    /// Profiles that follow its first file only.
    narrow: [bool; PROFILES.len()],
    /// As the index of each profile has it.
    published: Vec<Arc<Published>>,
}

impl Package {
    pub(super) fn draw(random: &mut Random, number: usize, hungry: bool) -> Self {
        let truth = match random.of(0..10) {
            0..6 => Truth::Reproducible,
            6 | 7 => Truth::Differs,
            8 => Truth::Fails,
            _ => Truth::Flaky,
        };
        let large = random.of(1..48) * GIB;
        let mut package = Self {
            name: format!("package-{number}"),
            version: 1,
            files: if random.percent(30) { 2 } else { 1 },
            truth,
            architecture: if random.percent(20) { "arm64" } else { "amd64" },
            memory: if hungry && random.percent(40) { large } else { GIB / 2 },
            profiles: [random.percent(70), random.percent(50), random.percent(30)],
            narrow: [false, random.percent(40), false],
            published: Vec::new(),
        };
        package.publish();
        package
    }

    /// The distribution publishes something.
    pub(super) fn change(&mut self, random: &mut Random) {
        match random.of(0..7) {
            0 => self.version += 1,
            1..4 => self.files = (self.files + 1).min(6),
            n => {
                let profile = usize::try_from(n - 4).unwrap_or(0);
                self.profiles[profile] = !self.profiles[profile];
            }
        }
        self.publish();
    }

    fn publish(&mut self) {
        let published = (0..PROFILES.len()).map(|profile| {
            let group = self.group(profile);
            Arc::new(Published { key: Arc::new(job_key(&group)), group })
        });
        self.published = published.collect();
    }

    /// As the index of a profile has it now.
    pub(super) fn published(&self, profile: usize) -> Arc<Published> {
        self.published[profile].clone()
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn group(&self, profile: usize) -> Group {
        let files = if self.narrow[profile] { 1 } else { self.files };
        let artifacts = (0..files).map(|n| {
            let file = format!("{}-{n}_{}.deb", self.name, self.version);
            Artifact {
                name: format!("{}-{n}", self.name).into(),
                version: self.version.to_string().into(),
                component: None,
                architecture: self.architecture.into(),
                url: format!("https://mirror.example.org/{file}").into(),
                size: None,
                sha256: Some(Sha256::of(file.as_bytes())),
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

    /// What an honest build of the assignment comes to.
    pub(super) fn build(&self, random: &mut Random, assignment: &Assignment) -> Ending {
        let same = match self.truth {
            Truth::Reproducible => true,
            Truth::Differs => false,
            Truth::Flaky => random.percent(50),
            Truth::Fails => return Ending::BuildFailed { reason: "exit status 2".into() },
        };
        let forgets = !same && random.percent(20);
        let files = assignment.artifacts.iter().enumerate().map(|(n, artifact)| {
            let content: &[u8] = if same { artifact.file.as_bytes() } else { b"other" };
            let output = (!forgets || n > 0).then(|| digest(content));
            Rebuilt { file: artifact.file.clone(), output, published: None }
        });
        Ending::Built(files.collect())
    }
}

/// Every artifact as it was published, whatever the build came to.
pub(super) fn flawless(assignment: &Assignment) -> Ending {
    let files = assignment.artifacts.iter().map(|artifact| Rebuilt {
        file: artifact.file.clone(),
        output: Some(digest(artifact.file.as_bytes())),
        published: None,
    });
    Ending::Built(files.collect())
}

/// A problem of ours.
pub(super) fn fault(kind: FaultKind) -> Ending {
    Ending::Fault(Fault { kind, detail: "simulated".into() })
}

/// Any problem of ours.
pub(super) fn any_fault(random: &mut Random) -> Ending {
    fault(match random.of(0..12) {
        0 => FaultKind::InputsUnavailable,
        1 => FaultKind::OutOfMemory,
        2 => FaultKind::DiskFull,
        3 => FaultKind::TimedOut(Stage::Build),
        4 | 5 => FaultKind::Cancelled,
        6 => FaultKind::WorkerFailed,
        7 => FaultKind::BackendMissing,
        _ => FaultKind::FetchFailed,
    })
}

fn digest(content: &[u8]) -> FileDigest {
    FileDigest {
        size: content.len() as u64,
        sha256: Sha256::of(content),
        sha512: Sha512::of(content),
    }
}
