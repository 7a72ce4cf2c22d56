use serde::{Deserialize, Serialize};

use super::{Record, RecordError, Versioned, body_of};
use crate::protocol::{
    Artifact, ArtifactId, BuildInput, IndexTrust, InputId, JobKey, RemoteFile, SourceId, UtcMillis,
};

/// What is built, and who wants it. Written by a sync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRecord {
    /// Identity.
    pub key: JobKey,
    /// Sorted by profile, then release; empty once nobody wants it.
    pub memberships: Vec<Membership>,
    /// When a sync first named it; `None`: a release that did not note it wrote the record first.
    pub first_seen: Option<UtcMillis>,
}

/// As releases before [`JobRecord::first_seen`] wrote it.
#[derive(Deserialize)]
struct First {
    key: JobKey,
    memberships: Vec<Membership>,
}

/// A profile's interest in a job, for one release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The profile.
    pub profile: Box<str>,
    /// `None` where the distribution has no releases.
    pub release: Option<Box<str>>,
    /// The source package in this release.
    pub source: SourceId,
    /// How the artifacts were built.
    pub input: BuildInput,
    /// The source as the index names it.
    pub source_file: Option<RemoteFile>,
    /// Number of the set of archives that the environment comes from.
    pub archives: i32,
    /// How far the index was trusted.
    pub index: IndexTrust,
    /// Sorted by file name.
    pub artifacts: Vec<(ArtifactId, Artifact)>,
}

impl Versioned for JobRecord {
    const VERSION: u8 = 2;

    fn upgrade(version: u8, body: &[u8]) -> Result<Self, RecordError> {
        if version != 1 {
            return Err(RecordError::Version(version));
        }
        let First { key, memberships } = body_of(body)?;
        Ok(Self { key, memberships, first_seen: None })
    }
}

impl Record for JobRecord {
    const TABLE: u8 = b'j';
    const PLURAL: &'static str = "jobs";
    /// The job.
    type Key = InputId;
}

#[cfg(test)]
mod tests {
    use super::super::record_test as sample;
    use super::*;

    /// What comes between the version and the time of the first sync.
    const BODY: &str = concat!(
        "0664656269616e0664656269616e017305312e302d3105616d64363401690101",
        "700108626f6f6b776f726d0a0001750120010101010101010101010101010101",
        "010101010101010101010101010101010101017301ac020004000110016e0531",
        "2e302d3101046d61696e05616d643634116e5f312e302d315f616d6436342e64",
        "6562017501ac0201200606060606060606060606060606060606060606060606",
        "060606060606060606"
    );

    fn record(first_seen: Option<UtcMillis>) -> JobRecord {
        JobRecord {
            key: sample::job_key(),
            memberships: vec![Membership {
                profile: "p".into(),
                release: Some("bookworm".into()),
                source: SourceId(5),
                input: BuildInput::Recorded { url: "u".into(), sha256: Some(sample::digest(1)) },
                source_file: Some(RemoteFile { url: "s".into(), size: Some(300), sha256: None }),
                archives: 2,
                index: IndexTrust::Signed,
                artifacts: vec![(ArtifactId(8), sample::artifact())],
            }],
            first_seen,
        }
    }

    #[test]
    fn the_bytes_stay_as_they_are() {
        let bytes = format!("02{BODY}01d00f");
        sample::check(&InputId(258), "6a00000102", &record(Some(UtcMillis(1000))), &bytes);
    }

    #[test]
    fn what_earlier_releases_wrote_is_read() {
        let read = |bytes: String| super::super::read::<JobRecord>(&hex::decode(bytes).unwrap());
        assert_eq!(read(format!("01{BODY}")), Ok(record(None)));
        assert_eq!(read(format!("01{BODY}00")), Err(RecordError::Remainder(1)));
    }
}
