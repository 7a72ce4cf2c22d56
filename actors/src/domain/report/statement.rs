use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::predicate::{AttemptPredicate, Outcome};
use super::{AttemptReport, ReportError};
use crate::protocol::{Artifact, Ending, Sha256, Sha512};

/// Type of the payload: in-toto Statement, version 1.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// Type of the predicate. A URN, because it names a format and no place: it stays the same
/// wherever the project lives. A change of the format is a new number.
pub const PREDICATE_TYPE: &str = "urn:rebuilder:attempt:v1";

/// Type of the predicate of a report that says what held the build in.
pub const PREDICATE_TYPE_SANDBOX: &str = "urn:rebuilder:attempt:v2";

/// Type of the predicate of a report that rests on an index which breaks rules.
pub const PREDICATE_TYPE_WAIVED: &str = "urn:rebuilder:attempt:v3";

/// Most artifacts that one report is about; the largest source packages make some hundreds.
pub const ARTIFACTS_MAX: usize = 4_096;

/// Longest file name, in bytes, as file systems have it.
pub const FILE_BYTES_MAX: usize = 255;

/// Longest text for people (reason, detail, version), in bytes.
pub const TEXT_BYTES_MAX: usize = 1_024;

/// Most capabilities of a sandbox; there are twelve.
const CAPABILITIES_MAX: usize = 64;

/// Name of the only subject where no artifact has a known digest.
const ARTIFACT_SET: &str = "artifact-set";

/// In-toto Statement v1. Names are borrowed from the payload where they have no escapes.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Statement<'a> {
    #[serde(rename = "_type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    subject: Vec<Subject<'a>>,
    #[serde(rename = "predicateType")]
    predicate_type: Cow<'a, str>,
    predicate: AttemptPredicate,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subject<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    digest: DigestSet,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DigestSet {
    sha256: Sha256,
    /// Absent for a published file, of which an index names SHA-256 only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha512: Option<Sha512>,
}

/// What a statement says, read.
pub(super) struct Content {
    pub report: AttemptReport,
    /// Name of the build input's file; `None` where there is none.
    pub input_file: Option<Box<str>>,
    /// Subjects of a report without any output; empty where there are outputs.
    pub stand_ins: Vec<(Box<str>, Sha256)>,
}

/// The payload for `report`, whose texts are within their limits and whose files are unique.
pub(super) fn encode(
    report: &AttemptReport,
    artifacts: &[Artifact],
    input_file: Option<&str>,
) -> Vec<u8> {
    let mut subject: Vec<Subject<'_>> = outputs(report)
        .map(|(name, sha256, sha512)| Subject {
            name: name.into(),
            digest: DigestSet { sha256: *sha256, sha512: Some(*sha512) },
        })
        .collect();
    if subject.is_empty() {
        subject = stand_ins(report, artifacts)
            .into_iter()
            .map(|(name, sha256)| Subject {
                name: name.into(),
                digest: DigestSet { sha256, sha512: None },
            })
            .collect();
    }
    let predicate = AttemptPredicate::of(report, input_file);
    let predicate_type = type_of(&predicate).into();
    let statement = Statement { kind: STATEMENT_TYPE.into(), subject, predicate_type, predicate };
    serde_json::to_vec(&statement).expect("a statement has text keys and no floats")
}

/// Reads a payload strictly: one form, known fields only, nothing twice.
pub(super) fn decode(payload: &[u8]) -> Result<Content, ReportError> {
    let statement: Statement<'_> =
        serde_json::from_slice(payload).map_err(|e| ReportError::malformed("statement", &e))?;
    if statement.kind != STATEMENT_TYPE {
        return Err(ReportError::wrong_type("_type", &statement.kind, STATEMENT_TYPE));
    }
    let expected = type_of(&statement.predicate);
    if statement.predicate_type != expected {
        let found = &statement.predicate_type;
        return Err(ReportError::wrong_type("predicateType", found, expected));
    }
    check_limits(&statement)?;
    let subject = statement.subject;
    let mut names = BTreeSet::new();
    if let Some(twice) = subject.iter().find(|s| !names.insert(&*s.name)) {
        return Err(ReportError::DuplicateFile { file: twice.name.as_ref().into() });
    }
    let has_outputs = match_outputs(&statement.predicate.outcome, &subject)?;
    let digests = subject.iter().filter(|_| has_outputs);
    let digests = digests.filter_map(|s| Some((s.digest.sha256, s.digest.sha512?)));
    let (report, input_file) = statement
        .predicate
        .into_report(digests)
        .ok_or(ReportError::Subjects { name: ARTIFACT_SET.into() })?;
    let stand_ins = if has_outputs {
        Vec::new()
    } else {
        subject.into_iter().map(|s| (s.name.into(), s.digest.sha256)).collect()
    };
    Ok(Content { report, input_file, stand_ins })
}

fn type_of(predicate: &AttemptPredicate) -> &'static str {
    match (&predicate.index.waived, &predicate.sandbox) {
        (Some(_), _) => PREDICATE_TYPE_WAIVED,
        (None, Some(_)) => PREDICATE_TYPE_SANDBOX,
        (None, None) => PREDICATE_TYPE,
    }
}

/// Name and digests of every file that was rebuilt, in the report's order.
fn outputs(report: &AttemptReport) -> impl Iterator<Item = (&str, &Sha256, &Sha512)> {
    let files = match &report.attempted.ending {
        Ending::Built(files) => files.as_slice(),
        Ending::BuildFailed { .. } | Ending::Fault(_) => &[],
    };
    files.iter().filter_map(|rebuilt| {
        let output = rebuilt.output.as_ref()?;
        Some((&*rebuilt.file, &output.sha256, &output.sha512))
    })
}

/// Subjects of a report without any output, of which a Statement needs at least one: the
/// published files that were to be rebuilt, with the digest that the index names. A file whose
/// digest is not known cannot be a subject; where that leaves none, it is the set of artifacts.
pub(super) fn stand_ins<'a>(
    report: &AttemptReport,
    artifacts: &'a [Artifact],
) -> Vec<(&'a str, Sha256)> {
    let mut names = BTreeSet::new();
    let mut subjects: Vec<(&str, Sha256)> = artifacts
        .iter()
        .filter_map(|artifact| Some((&*artifact.file, artifact.sha256?)))
        .filter(|(name, _)| names.insert(*name))
        .collect();
    if subjects.is_empty() {
        subjects.push((ARTIFACT_SET, report.artifact_set));
    }
    subjects
}

fn check_limits(statement: &Statement<'_>) -> Result<(), ReportError> {
    ReportError::limit("statement's subjects", statement.subject.len(), ARTIFACTS_MAX)?;
    for subject in &statement.subject {
        ReportError::limit("subject's name in bytes", subject.name.len(), FILE_BYTES_MAX)?;
    }
    let predicate = &statement.predicate;
    if !predicate.index.is_as_written() {
        return Err(ReportError::malformed(
            "index",
            &"its waived rules are not as they are written",
        ));
    }
    if let Some(sandbox) = &predicate.sandbox {
        let count = sandbox.capabilities.len();
        ReportError::limit("sandbox's capabilities", count, CAPABILITIES_MAX)?;
        if !predicate.is_isolated_as_said() {
            let reason = "its capabilities are not those of `isolation: full`";
            return Err(ReportError::malformed("sandbox", &reason));
        }
    }
    let text = match &predicate.outcome {
        Outcome::Built(files) => {
            ReportError::limit("report's files", files.len(), ARTIFACTS_MAX)?;
            for rebuilt in files {
                ReportError::limit("file name in bytes", rebuilt.file.len(), FILE_BYTES_MAX)?;
            }
            ""
        }
        Outcome::BuildFailed(failure) => &failure.reason,
        Outcome::Fault(fault) => &fault.detail,
    };
    ReportError::limit("reason in bytes", text.len(), TEXT_BYTES_MAX)?;
    let version = &predicate.worker_version;
    ReportError::limit("worker version in bytes", version.len(), TEXT_BYTES_MAX)?;
    let input = predicate.input.file.as_deref().unwrap_or_default();
    ReportError::limit("input's name in bytes", input.len(), FILE_BYTES_MAX)
}

/// Checks that the subjects are the outputs, each with both digests, in the predicate's order, and
/// that no file is reported twice. True when there are outputs; without any, the subjects stand in
/// for them and are compared with the artifacts when the report is judged.
fn match_outputs(outcome: &Outcome, subject: &[Subject<'_>]) -> Result<bool, ReportError> {
    let files = match outcome {
        Outcome::Built(files) => files.as_slice(),
        Outcome::BuildFailed(_) | Outcome::Fault(_) => &[],
    };
    let mut names = BTreeSet::new();
    if let Some(twice) = files.iter().find(|f| !names.insert(&*f.file)) {
        return Err(ReportError::DuplicateFile { file: twice.file.as_ref().into() });
    }
    let mut outputs = files.iter().filter(|f| f.output_size.is_some()).peekable();
    let has_outputs = outputs.peek().is_some();
    let mut subjects = subject.iter();
    if !has_outputs {
        return match subjects.find(|s| s.digest.sha512.is_some()) {
            Some(odd) => Err(ReportError::Subjects { name: odd.name.as_ref().into() }),
            None if subject.is_empty() => Err(ReportError::Subjects { name: ARTIFACT_SET.into() }),
            None => Ok(false),
        };
    }
    for output in outputs {
        let fits =
            subjects.next().is_some_and(|s| *s.name == *output.file && s.digest.sha512.is_some());
        if !fits {
            return Err(ReportError::Subjects { name: output.file.as_ref().into() });
        }
    }
    match subjects.next() {
        Some(extra) => Err(ReportError::Subjects { name: extra.name.as_ref().into() }),
        None => Ok(true),
    }
}
