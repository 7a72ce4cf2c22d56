use std::collections::{BTreeMap, BTreeSet};

use super::error::cut;
use super::judge::verdict;
use super::link::{self, LinkContent};
use super::statement::{self, TEXT_BYTES_MAX};
use super::verify::VerifiedReport;
use super::{AttemptReport, ReportError, envelope};
use crate::port::Signer;
use crate::protocol::{
    Artifact, Attempted, Ending, Rebuilt, Sha256, Sha512, SignedLink, SignedReport, Verdict,
};

/// Signs `report`: the statement, and one link for each file that was reproduced.
///
/// `artifacts` are those of the assignment; `input_file` is the name of the build input's file,
/// `None` where there is none. Texts for people are cut to 1,024 bytes, so that a talkative tool
/// cannot make a report that nobody accepts, and of several entries for one file the first counts.
///
/// Subjects of the statement are the rebuilt files with SHA-256 and SHA-512. A Statement needs at
/// least one, so a report without any output has the published files instead, with the SHA-256
/// that the index names, and where it names none the single subject `artifact-set` with that
/// digest. The predicate's outcome tells which: such subjects carry no SHA-512.
pub fn sign(
    report: &AttemptReport,
    artifacts: &[Artifact],
    input_file: Option<&str>,
    signer: &dyn Signer,
) -> SignedReport {
    let report = &bounded(report);
    let payload = statement::encode(report, artifacts, input_file);
    seal(report, &payload, artifacts, input_file, signer)
}

/// Signs as [`sign`] does, and returns what [`verify`](super::verify) would make of the result. The
/// signatures are not verified: they were made here. All else is checked in the same way, so a
/// report over the limits of a statement is refused.
pub fn sign_verified(
    report: &AttemptReport,
    artifacts: &[Artifact],
    input_file: Option<&str>,
    signer: &dyn Signer,
) -> Result<VerifiedReport, ReportError> {
    let report = &bounded(report);
    let payload = statement::encode(report, artifacts, input_file);
    let content = statement::decode(&payload)?;
    let signed = seal(report, &payload, artifacts, input_file, signer);
    envelope::check_size(&signed.statement)?;
    Ok(content.into_verified(signed, signer.public_key()))
}

/// The envelope around `payload`, and the links that it earns.
fn seal(
    report: &AttemptReport,
    payload: &[u8],
    artifacts: &[Artifact],
    input_file: Option<&str>,
    signer: &dyn Signer,
) -> SignedReport {
    let material = material(&report.attempted, input_file);
    let statement = envelope::seal(payload, signer);
    let files = match &report.attempted.ending {
        Ending::Built(files) => files.as_slice(),
        Ending::BuildFailed { .. } | Ending::Fault(_) => &[],
    };
    let by_name: BTreeMap<&str, &Rebuilt> = files.iter().map(|r| (&*r.file, r)).collect();
    let reproduced: BTreeSet<&str> = artifacts
        .iter()
        .filter(|artifact| {
            let rebuilt = by_name.get(&*artifact.file);
            rebuilt.is_some_and(|r| verdict(artifact, r) == Ok(Verdict::Reproduced))
        })
        .map(|artifact| &*artifact.file)
        .collect();
    let links = files
        .iter()
        .filter(|rebuilt| reproduced.contains(&*rebuilt.file))
        .filter_map(|rebuilt| {
            let content = LinkContent { product: product(rebuilt)?, material };
            let metablock = link::seal(&content, signer);
            Some(SignedLink { file: rebuilt.file.clone(), metablock })
        })
        .collect();
    SignedReport { statement, links }
}

/// The product of a file's link; `None` when there was no output.
pub(super) fn product(rebuilt: &Rebuilt) -> Option<(&str, &Sha256, &Sha512)> {
    let output = rebuilt.output.as_ref()?;
    Some((&rebuilt.file, &output.sha256, &output.sha512))
}

/// The material of all links; `None` unless name and both digests are known.
pub(super) fn material<'a>(
    attempted: &'a Attempted,
    input_file: Option<&'a str>,
) -> Option<(&'a str, &'a Sha256, &'a Sha512)> {
    Some((input_file?, attempted.input_sha256.as_ref()?, attempted.input_sha512.as_ref()?))
}

fn bounded(report: &AttemptReport) -> AttemptReport {
    let mut report = report.clone();
    shorten(&mut report.worker_version);
    match &mut report.attempted.ending {
        Ending::Built(files) => {
            let mut seen = BTreeSet::new();
            files.retain(|rebuilt| seen.insert(rebuilt.file.clone()));
        }
        Ending::BuildFailed { reason } => shorten(reason),
        Ending::Fault(fault) => shorten(&mut fault.detail),
    }
    report
}

fn shorten(text: &mut String) {
    let end = cut(text, TEXT_BYTES_MAX).len();
    text.truncate(end);
}
