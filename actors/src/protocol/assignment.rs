use serde::{Deserialize, Serialize};

use super::{Archive, Artifact, AttemptId, BuildInput, JobKey, RemoteFile, Sha256};

/// Everything that a worker is told about one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Which attempt.
    pub attempt: AttemptId,
    /// What is built.
    pub key: JobKey,
    /// How the published files were built.
    pub input: BuildInput,
    /// The source as the signed index names it (Debian: the `.dsc`); `None` where the input
    /// itself leads to it.
    pub source: Option<RemoteFile>,
    /// Where packages of the environment come from, in order of preference.
    pub archives: Vec<Archive>,
    /// What is compared: all artifacts of all memberships, sorted by file name.
    pub artifacts: Vec<Artifact>,
    /// How far the index was trusted that named them.
    pub index: IndexTrust,
    /// Digest of the index that named the artifacts; `None` where it has none.
    pub index_sha256: Option<Sha256>,
    /// Published files are fetched and compared with the index also where the rebuild is what the
    /// index names.
    pub check_published: bool,
    /// Bounds of the attempt.
    pub limits: AttemptLimits,
}

impl Assignment {
    /// Digest of the set of artifacts, which a report names: SHA-256 over one line
    /// `{file}\0{sha256 or -}\n` each, in order of file name.
    pub fn artifact_set(&self) -> Sha256 {
        artifact_set_digest(&self.artifacts)
    }
}

/// See [`Assignment::artifact_set`].
pub fn artifact_set_digest(artifacts: &[Artifact]) -> Sha256 {
    let mut lines: Vec<String> = artifacts
        .iter()
        .map(|a| match &a.sha256 {
            Some(digest) => format!("{}\0{digest}\n", a.file),
            None => format!("{}\0-\n", a.file),
        })
        .collect();
    lines.sort_unstable();
    Sha256::of(lines.concat().as_bytes())
}

/// Bounds that the coordinator sets for an attempt; a worker may have narrower ones of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptLimits {
    /// Seconds for the build stage.
    pub build_secs_max: u32,
    /// Seconds for every other stage, each.
    pub stage_secs_max: u32,
    /// Bytes of log that are kept.
    pub log_bytes_max: u64,
}

impl Default for AttemptLimits {
    /// A day for the build as the peer has it, an hour for each other stage, 10 MiB of log.
    fn default() -> Self {
        Self { build_secs_max: 86_400, stage_secs_max: 3_600, log_bytes_max: 10 << 20 }
    }
}

/// How far the index was trusted that named an artifact's digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IndexTrust {
    /// The index's own signature was checked against the distribution's keyring.
    Signed,
    /// The package's own signature was checked.
    PackageSignature,
    /// A digest was named, by an index that nobody vouches for.
    HashOnly,
    /// No digest was known: the published file itself was fetched and compared.
    None,
}
