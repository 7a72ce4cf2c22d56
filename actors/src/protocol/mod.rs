//! Identities and value types, the messages sent between nodes and the records that are stored.

mod assignment;
mod attempt;
mod digest;
mod id;
mod index_state;
mod key;
mod package;
mod signed_report;
pub mod stored;
pub mod text;
mod time;
mod verdict;
pub mod wire;

pub use assignment::{Assignment, AttemptLimits, IndexTrust, Waived, artifact_set_digest};
pub use attempt::{
    Attempted, Capability, Ending, EnvironmentKnowledge, Evidence, Fault, FaultKind, FileDigest,
    Isolation, Rebuilt, Sandbox, SignerKind, Stage,
};
pub use digest::{ParseDigestError, Sha256, Sha512};
pub use id::{
    ArtifactId, AttemptId, BuildId, Epoch, GrantNumber, InputId, QueueId, SourceId, WorkerId,
};
pub use index_state::{IndexState, ReleaseState};
pub use key::{ParseKeyError, PublicKey, Signature, Verifier};
pub use package::{Archive, Artifact, BuildInput, JobKey, RemoteFile};
pub use signed_report::{SignedLink, SignedReport};
pub use time::UtcMillis;
pub use verdict::{BUILD_FAILED, Verdict};
