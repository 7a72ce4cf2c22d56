use std::sync::Arc;

use rebuilder_actors::port::Group;
use rebuilder_actors::protocol::{
    Artifact, Assignment, BuildInput, Ending, Fault, FaultKind, FileDigest, IndexTrust, Rebuilt,
    Sha256, Sha512, Stage,
};

use super::random::Random;

/// What honest builds of a package come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Truth {
    Reproducible,
    Differs,
    Fails,
    Flaky,
}

/// One package of the archive.
#[derive(Clone, Debug)]
pub(super) struct Package {
    name: String,
    version: u32,
    files: u32,
    truth: Truth,
    architecture: &'static str,
    /// Profiles that follow it.
    pub(super) profiles: [bool; 2],
}

impl Package {
    pub(super) fn draw(random: &mut Random, number: usize) -> Self {
        let truth = match random.of(0..10) {
            0..6 => Truth::Reproducible,
            6 | 7 => Truth::Differs,
            8 => Truth::Fails,
            _ => Truth::Flaky,
        };
        Self {
            name: format!("package-{number}"),
            version: 1,
            files: 1,
            truth,
            architecture: if random.percent(20) { "arm64" } else { "amd64" },
            profiles: [random.percent(70), random.percent(40)],
        }
    }

    /// The distribution publishes something.
    pub(super) fn change(&mut self, random: &mut Random) {
        match random.of(0..4) {
            0 => self.version += 1,
            1 => self.files += 1,
            2 => self.profiles[0] = !self.profiles[0],
            _ => self.profiles[1] = !self.profiles[1],
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn group(&self) -> Group {
        let artifacts = (0..self.files).map(|n| {
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
        let files = assignment.artifacts.iter().map(|artifact| {
            let content: &[u8] = if same { artifact.file.as_bytes() } else { b"other" };
            let output = FileDigest {
                size: content.len() as u64,
                sha256: Sha256::of(content),
                sha512: Sha512::of(content),
            };
            Rebuilt { file: artifact.file.clone(), output: Some(output), published: None }
        });
        Ending::Built(files.collect())
    }
}

/// A problem of ours.
pub(super) fn fault(random: &mut Random) -> Ending {
    let kind = match random.of(0..12) {
        0 | 1 => FaultKind::InputsUnavailable,
        2 | 3 => FaultKind::OutOfMemory,
        4 => FaultKind::DiskFull,
        5 => FaultKind::TimedOut(Stage::Build),
        6 => FaultKind::Cancelled,
        7 => FaultKind::WorkerFailed,
        8 => FaultKind::BackendMissing,
        _ => FaultKind::FetchFailed,
    };
    Ending::Fault(Fault { kind, detail: "simulated".into() })
}
