use std::collections::BTreeMap;

use super::{AttemptReport, ReportError};
use crate::protocol::{Artifact, Ending, Fault, Rebuilt, Verdict, artifact_set_digest};

/// What a report means, once its digests are compared with those of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// File name and verdict of each artifact, in the order of the artifacts.
    Verdicts(Vec<(Box<str>, Verdict)>),
    /// The build failed: a verdict about the whole attempt.
    BuildFailed {
        /// One line for people.
        reason: String,
    },
    /// A problem of ours: no verdict.
    Fault(Fault),
}

/// Compares what was rebuilt with what is published.
///
/// The digest of the index decides; only where it names none does that of the published file as
/// the worker fetched it. The report must be about exactly `artifacts`: same set, and one entry
/// for each file name, nothing more. Where several memberships publish different bytes under one
/// name, the one entry is compared with each of them. Which files have links is checked by
/// [`VerifiedReport::judge`](super::VerifiedReport::judge), which is what acceptance calls.
pub fn judge(report: &AttemptReport, artifacts: &[Artifact]) -> Result<Judgement, ReportError> {
    let expected = artifact_set_digest(artifacts);
    if report.artifact_set != expected {
        return Err(ReportError::ArtifactSet { reported: report.artifact_set, expected });
    }
    let files = match &report.attempted.ending {
        Ending::BuildFailed { reason } => {
            return Ok(Judgement::BuildFailed { reason: reason.clone() });
        }
        Ending::Fault(fault) => return Ok(Judgement::Fault(fault.clone())),
        Ending::Built(files) => files,
    };
    // True once an artifact asked for it.
    let mut rebuilt = BTreeMap::new();
    for entry in files {
        if rebuilt.insert(&*entry.file, (entry, false)).is_some() {
            return Err(ReportError::DuplicateFile { file: entry.file.as_ref().into() });
        }
    }
    let mut verdicts = Vec::with_capacity(artifacts.len());
    for artifact in artifacts {
        let Some((entry, asked)) = rebuilt.get_mut(&*artifact.file) else {
            return Err(ReportError::Unreported { file: artifact.file.as_ref().into() });
        };
        *asked = true;
        verdicts.push((artifact.file.clone(), verdict(artifact, entry)?));
    }
    match rebuilt.into_iter().find(|(_, (_, asked))| !asked) {
        Some((file, _)) => Err(ReportError::NotAsked { file: file.into() }),
        None => Ok(Judgement::Verdicts(verdicts)),
    }
}

/// The verdict about one artifact.
pub(super) fn verdict(artifact: &Artifact, rebuilt: &Rebuilt) -> Result<Verdict, ReportError> {
    let Some(output) = &rebuilt.output else { return Ok(Verdict::Missing) };
    let published = artifact
        .sha256
        .or(rebuilt.published.map(|published| published.sha256))
        .ok_or_else(|| ReportError::PublishedUnknown { file: artifact.file.as_ref().into() })?;
    Ok(if output.sha256 == published { Verdict::Reproduced } else { Verdict::Differs })
}
