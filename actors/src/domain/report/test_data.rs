//! One report of each kind, the same in all tests.

use ed25519_dalek::SigningKey;

use super::{AttemptReport, LogDigest};
use crate::protocol::{
    Artifact, AttemptId, Attempted, Ending, EnvironmentKnowledge, Epoch, FileDigest, IndexTrust,
    InputId, Isolation, JobKey, Rebuilt, Sha256, Sha512, SignerKind, UtcMillis,
    artifact_set_digest,
};

pub(super) const INPUT: &str = "hello_1_amd64.buildinfo";

pub(super) fn worker() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

pub(super) fn coordinator() -> SigningKey {
    SigningKey::from_bytes(&[9; 32])
}

pub(super) fn file(content: &[u8]) -> FileDigest {
    FileDigest {
        size: content.len() as u64,
        sha256: Sha256::of(content),
        sha512: Sha512::of(content),
    }
}

pub(super) fn artifact(name: &str, content: Option<&[u8]>) -> Artifact {
    Artifact {
        name: name.into(),
        version: "1".into(),
        component: Some("main".into()),
        architecture: "amd64".into(),
        file: format!("{name}_1_amd64.deb").into(),
        url: format!("https://mirror.example.org/{name}_1_amd64.deb").into(),
        size: None,
        sha256: content.map(Sha256::of),
    }
}

pub(super) fn rebuilt(name: &str, output: Option<&[u8]>, published: Option<&[u8]>) -> Rebuilt {
    Rebuilt {
        file: format!("{name}_1_amd64.deb").into(),
        output: output.map(file),
        published: published.map(file),
    }
}

/// `hello` is reproduced, `hello-dbg` differs, `hello-doc` is missing.
pub(super) fn artifacts() -> Vec<Artifact> {
    vec![
        artifact("hello", Some(b"hello")),
        artifact("hello-dbg", Some(b"published")),
        artifact("hello-doc", Some(b"doc")),
    ]
}

pub(super) fn built() -> Ending {
    Ending::Built(vec![
        rebuilt("hello", Some(b"hello"), None),
        rebuilt("hello-dbg", Some(b"other"), Some(b"published")),
        rebuilt("hello-doc", None, None),
    ])
}

pub(super) fn report(ending: Ending, artifacts: &[Artifact]) -> AttemptReport {
    AttemptReport {
        attempt: AttemptId { job: InputId(12), epoch: Epoch(3) },
        key: JobKey {
            distribution: "debian".into(),
            backend: "debian".into(),
            source: "hello".into(),
            version: "1".into(),
            architecture: "amd64".into(),
            input: INPUT.into(),
        },
        artifact_set: artifact_set_digest(artifacts),
        index: IndexTrust::Signed,
        index_sha256: Some(Sha256::of(b"index")),
        attempted: Attempted {
            ending,
            environment: EnvironmentKnowledge::Recorded,
            isolation: Isolation::Full,
            sandbox: None,
            input_sha256: Some(Sha256::of(b"input")),
            input_sha512: Some(Sha512::of(b"input")),
            source_sha256: Some(Sha256::of(b"source")),
            environment_sha256: None,
            started_at: UtcMillis(1_700_000_000_000),
            finished_at: UtcMillis(1_700_000_060_000),
        },
        log: LogDigest { sha256: Sha256::of(b"log"), size: 3, truncated: false },
        worker_version: "0.1.0".into(),
        signer: SignerKind::WorkerKey,
    }
}
