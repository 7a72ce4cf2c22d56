use serde::{Deserialize, Serialize};

use super::{Record, Versioned};
use crate::protocol::{
    AttemptId, BUILD_FAILED, BuildId, Evidence, Fault, Sha256, UtcMillis, Verdict, WorkerId,
};

/// An accepted report, without its signed bytes (these are under the same sequence number).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportRecord {
    /// The attempt.
    pub attempt: AttemptId,
    /// Who made it.
    pub worker: WorkerId,
    /// When it was accepted.
    pub accepted_at: UtcMillis,
    /// When work began, on the worker's clock.
    pub started_at: UtcMillis,
    /// When it ended, on the worker's clock.
    pub finished_at: UtcMillis,
    /// `None` for a fault.
    pub build: Option<BuildId>,
    /// What it says.
    pub outcome: Outcome,
    /// What it rests on.
    pub evidence: Evidence,
    /// Digest of the log as kept.
    pub log: Sha256,
    /// Bytes of the log as kept; 0: there is none.
    pub log_bytes: u64,
}

/// What an accepted report says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// By file name: the verdict, and the digest of the rebuilt file if there is one.
    Verdicts(Vec<(Box<str>, Verdict, Option<Sha256>)>),
    /// The build's own exit status was a failure.
    BuildFailed {
        /// For people.
        reason: String,
    },
    /// A problem of ours.
    Fault(Fault),
}

impl Outcome {
    /// In one line: `2 reproduced, 1 differs`, `build-failed: …`, or the fault and its detail.
    pub fn in_words(&self) -> String {
        match self {
            Self::Fault(Fault { kind, detail }) => format!("{kind}: {detail}"),
            Self::BuildFailed { reason } => format!("{BUILD_FAILED}: {reason}"),
            Self::Verdicts(rows) => Verdict::counted(
                Verdict::ALL
                    .map(|verdict| rows.iter().filter(|(_, said, _)| *said == verdict).count()),
            ),
        }
    }
}

impl Versioned for ReportRecord {
    const VERSION: u8 = 1;
}

impl Record for ReportRecord {
    const TABLE: u8 = b'r';
    const PLURAL: &'static str = "reports";
    /// Its sequence number: dense, from 1.
    type Key = u64;
}

#[cfg(test)]
mod tests {
    use super::super::record_test as sample;
    use super::*;

    #[test]
    fn the_bytes_stay_as_they_are() {
        let record = ReportRecord {
            attempt: sample::attempt(),
            worker: WorkerId(3),
            accepted_at: UtcMillis(3000),
            started_at: UtcMillis(1000),
            finished_at: UtcMillis(2000),
            build: Some(BuildId(4)),
            outcome: Outcome::Verdicts(vec![(
                "a.deb".into(),
                Verdict::Differs,
                Some(sample::digest(3)),
            )]),
            evidence: sample::evidence(),
            log: sample::digest(4),
            log_bytes: 300,
        };
        super::super::record_test::check(
            &258,
            "720000000000000102",
            &record,
            concat!(
                "01040306f02ed00fa01f0108000105612e646562010120030303030303030303",
                "0303030303030303030303030303030303030303030303000000002004040404",
                "04040404040404040404040404040404040404040404040404040404ac02"
            ),
        );
    }
}
