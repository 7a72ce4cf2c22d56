use serde::{Deserialize, Serialize};

use super::{Record, Versioned};
use crate::protocol::{
    Artifact, ArtifactId, BuildInput, IndexTrust, InputId, JobKey, RemoteFile, SourceId,
};

/// What is built, and who wants it. Written by a sync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRecord {
    /// Identity.
    pub key: JobKey,
    /// Sorted by profile, then release; empty once nobody wants it.
    pub memberships: Vec<Membership>,
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
    const VERSION: u8 = 1;
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

    #[test]
    fn the_bytes_stay_as_they_are() {
        let record = JobRecord {
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
        };
        super::super::record_test::check(
            &InputId(258),
            "6a00000102",
            &record,
            concat!(
                "010664656269616e0664656269616e017305312e302d3105616d643634016901",
                "01700108626f6f6b776f726d0a00017501200101010101010101010101010101",
                "01010101010101010101010101010101010101017301ac020004000110016e05",
                "312e302d3101046d61696e05616d643634116e5f312e302d315f616d6436342e",
                "646562017501ac02012006060606060606060606060606060606060606060606",
                "06060606060606060606"
            ),
        );
    }
}
