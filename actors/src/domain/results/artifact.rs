use std::collections::BTreeSet;

use crate::domain::queue::JobPlace;
use crate::protocol::stored::{Outcome, ReportRecord};
use crate::protocol::wire::v1::ctl::PackageStatus;
use crate::protocol::{Artifact, EnvironmentKnowledge, Sha256, Verdict};

/// What is shown of one artifact.
pub(super) struct Shown {
    pub(super) status: PackageStatus,
    pub(super) verdict: Option<Verdict>,
    pub(super) rebuilt: Option<Sha256>,
    pub(super) reason: Option<String>,
}

/// From the shown report and the place of the job.
pub(super) fn shown(record: Option<&ReportRecord>, place: &JobPlace, artifact: &Artifact) -> Shown {
    let none = |status, reason| Shown { status, verdict: None, rebuilt: None, reason };
    match record.map(|record| &record.outcome) {
        Some(Outcome::Verdicts(rows)) => match rows.iter().find(|row| is_about(row, artifact)) {
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
            JobPlace::Parked(fault) => none(PackageStatus::Parked, Some(fault.detail.clone())),
            JobPlace::Dropped => none(PackageStatus::Dropped, None),
            _ => none(PackageStatus::Unknown, None),
        },
    }
}

/// What an accepted report says of an artifact; `None`: nothing.
pub fn verdict_in(record: &ReportRecord, artifact: &Artifact) -> Option<Verdict> {
    shown(Some(record), &JobPlace::Decided, artifact).verdict
}

/// Whether this is the verdict about `artifact`: archives publish different files under one name,
/// of which at most one can have been reproduced.
fn is_about(row: &(Box<str>, Verdict, Option<Sha256>), artifact: &Artifact) -> bool {
    let (file, verdict, rebuilt) = row;
    let fits = match (artifact.sha256, rebuilt) {
        (Some(published), Some(rebuilt)) => {
            (*verdict == Verdict::Reproduced) == (published == *rebuilt)
        }
        _ => true,
    };
    *file == artifact.file && fits
}

/// How good an environment is: smaller is better (DESIGN §7: recorded before partial before suite).
pub(super) fn rank(environment: EnvironmentKnowledge) -> u8 {
    match environment {
        EnvironmentKnowledge::Recorded => 0,
        EnvironmentKnowledge::Partial => 1,
        EnvironmentKnowledge::Suite => 2,
        EnvironmentKnowledge::Opaque => 3,
    }
}

/// True when two reports say different things about one artifact.
pub(super) fn contradict(a: &ReportRecord, b: &ReportRecord) -> bool {
    match (&a.outcome, &b.outcome) {
        // Of several published files of one name each has its verdict: all of them are compared.
        (Outcome::Verdicts(a), Outcome::Verdicts(b)) => a.iter().any(|(file, ..)| {
            let verdicts = |rows: &[(Box<str>, Verdict, Option<Sha256>)]| -> BTreeSet<Verdict> {
                rows.iter()
                    .filter(|(name, ..)| name == file)
                    .map(|(_, verdict, _)| *verdict)
                    .collect()
            };
            let (one, other) = (verdicts(a), verdicts(b));
            !other.is_empty() && one != other
        }),
        (Outcome::Verdicts(_), Outcome::BuildFailed { .. })
        | (Outcome::BuildFailed { .. }, Outcome::Verdicts(_)) => true,
        _ => false,
    }
}
