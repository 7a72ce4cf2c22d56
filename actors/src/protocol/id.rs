use core::fmt;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($name:ident, $doc:literal) => {
        #[doc = $doc]
        /// Positive, only growing, never reused; an i32 because clients of the peer read it as one.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        pub struct $name(pub i32);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(SourceId, "One source package of one version in one release of one distribution.");
id!(InputId, "One build input: the number of a job for its whole life.");
id!(ArtifactId, "One artifact of one membership.");
id!(BuildId, "One accepted attempt that ended in a verdict.");
id!(QueueId, "One stay of a job in the queue.");
id!(WorkerId, "One worker key.");

/// Numbers the attempts at one job; the first is 1 and each grant adds 1.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Epoch(pub u32);

/// One attempt at one job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptId {
    /// The job.
    pub job: InputId,
    /// Which attempt at it.
    pub epoch: Epoch,
}

impl fmt::Display for AttemptId {
    /// As it stands in log lines and file names: `job-epoch`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.job, self.epoch.0)
    }
}

/// Numbers the grants of a coordinator over its whole life, restarts included.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct GrantNumber(pub u64);
