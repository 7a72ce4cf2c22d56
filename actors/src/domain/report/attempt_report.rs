use crate::protocol::{AttemptId, Attempted, Evidence, IndexTrust, JobKey, Sha256, SignerKind};

/// Everything that a worker says about one attempt.
///
/// It has no serialized form of its own: what is sent and stored is the [`SignedReport`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptReport {
    /// Which attempt.
    pub attempt: AttemptId,
    /// What was built.
    pub key: JobKey,
    /// Digest of the set of artifacts that was asked for (`Assignment::artifact_set`).
    pub artifact_set: Sha256,
    /// How far the index was trusted, as the assignment says.
    pub index: IndexTrust,
    /// Digest of the index that named the artifacts; `None` where it has none.
    pub index_sha256: Option<Sha256>,
    /// What the backend found out.
    pub attempted: Attempted,
    /// The log as the worker keeps it.
    pub log: LogDigest,
    /// Version of the worker's software, at most 1,024 bytes.
    pub worker_version: String,
    /// What kind of key signs.
    pub signer: SignerKind,
}

impl AttemptReport {
    /// What a verdict of this report rests on.
    pub fn evidence(&self) -> Evidence {
        Evidence {
            index: self.index,
            environment: self.attempted.environment,
            isolation: self.attempted.isolation,
            signer: self.signer,
        }
    }
}

/// Names a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogDigest {
    /// Digest of the log as kept, after truncation.
    pub sha256: Sha256,
    /// Bytes as kept.
    pub size: u64,
    /// True when the build wrote more than is kept.
    pub truncated: bool,
}
