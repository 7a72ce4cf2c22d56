use crate::domain::queue::Whereabouts;
use crate::protocol::stored::v1::{Outcome, ReportRecord};
use crate::protocol::wire::v1::ctl::PackageStatus;
use crate::protocol::{EnvironmentKnowledge, Sha256, Verdict};

/// What is shown of one artifact.
pub(super) struct Shown {
    pub(super) status: PackageStatus,
    pub(super) verdict: Option<Verdict>,
    pub(super) rebuilt: Option<Sha256>,
    pub(super) reason: Option<String>,
}

/// From the shown report and the place of the job.
pub(super) fn shown(record: Option<&ReportRecord>, place: &Whereabouts, file: &str) -> Shown {
    let none = |status, reason| Shown { status, verdict: None, rebuilt: None, reason };
    match record.map(|record| &record.outcome) {
        Some(Outcome::Verdicts(rows)) => match rows.iter().find(|(name, ..)| **name == *file) {
            Some((_, verdict, rebuilt)) => Shown {
                status: match verdict {
                    Verdict::Reproduced => PackageStatus::Reproduced,
                    Verdict::Differs => PackageStatus::Differs,
                    Verdict::Missing => PackageStatus::Missing,
                },
                verdict: Some(*verdict),
                rebuilt: *rebuilt,
                reason: None,
            },
            None => none(PackageStatus::Unknown, None),
        },
        Some(Outcome::BuildFailed { reason }) => {
            none(PackageStatus::BuildFailed, Some(reason.clone()))
        }
        Some(Outcome::Fault(_)) | None => match place {
            Whereabouts::Parked(fault) => none(PackageStatus::Parked, Some(fault.detail.clone())),
            _ => none(PackageStatus::Unknown, None),
        },
    }
}

/// How good an environment is: smaller is better (DESIGN §7: recorded before suite).
pub(super) fn rank(environment: EnvironmentKnowledge) -> u8 {
    match environment {
        EnvironmentKnowledge::Recorded => 0,
        EnvironmentKnowledge::Suite => 1,
        EnvironmentKnowledge::Opaque => 2,
    }
}

/// True when two reports say different things about one artifact.
pub(super) fn contradict(a: &ReportRecord, b: &ReportRecord) -> bool {
    match (&a.outcome, &b.outcome) {
        (Outcome::Verdicts(a), Outcome::Verdicts(b)) => a.iter().any(|(file, verdict, _)| {
            b.iter().any(|(other, found, _)| file == other && verdict != found)
        }),
        (Outcome::Verdicts(_), Outcome::BuildFailed { .. })
        | (Outcome::BuildFailed { .. }, Outcome::Verdicts(_)) => true,
        _ => false,
    }
}
