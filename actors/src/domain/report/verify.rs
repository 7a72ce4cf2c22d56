use std::collections::{BTreeMap, BTreeSet};

use super::envelope::{self, Opened};
use super::judge::{Judgement, judge};
use super::known_key::{KnownKey, key_id};
use super::link::{self, LINKS_MAX, LinkContent};
use super::sign::{material, product};
use super::statement::{self, Content};
use super::{AttemptReport, ReportError};
use crate::port::Signer;
use crate::protocol::{Artifact, Ending, PublicKey, Rebuilt, Sha256, SignedReport, Verdict};

/// A report whose signatures, form and links were checked: made by [`verify`] and its kin only,
/// and by [`sign_verified`](super::sign_verified), which makes the signatures itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedReport {
    report: AttemptReport,
    input_file: Option<Box<str>>,
    stand_ins: Vec<(Box<str>, Sha256)>,
    signed: SignedReport,
    worker: PublicKey,
}

/// Checks a report as a worker sends it: sizes first, then the signature by exactly `key` and by
/// nobody else, the statement's form, and every link against the statement.
pub fn verify(signed: &SignedReport, key: &PublicKey) -> Result<VerifiedReport, ReportError> {
    verify_countersigned(signed, key, &[])
}

/// As [`verify`], for many reports by one key.
pub fn verify_known(signed: &SignedReport, key: &KnownKey) -> Result<VerifiedReport, ReportError> {
    Ok(check(signed, core::slice::from_ref(key))?.1.into_verified(signed.clone(), key.key))
}

/// Checks a report as it is stored: as [`verify`], the statement signed by `worker` and then by
/// each of `countersigners`, in that order, and by nobody else.
pub fn verify_countersigned(
    signed: &SignedReport,
    worker: &PublicKey,
    countersigners: &[PublicKey],
) -> Result<VerifiedReport, ReportError> {
    let keys = core::iter::once(worker).chain(countersigners);
    let keys: Vec<KnownKey> = keys.map(KnownKey::new).collect();
    Ok(check(signed, &keys)?.1.into_verified(signed.clone(), *worker))
}

/// Checks a report as [`verify`] does, and adds `signer`'s signature to the statement, behind the
/// worker's. What was signed stays as it is, byte for byte.
///
/// The links stay as they came: the statement names all that they say, and
/// [`countersign_link`](super::countersign_link) adds the signature when one is served.
pub fn verify_and_countersign(
    signed: &SignedReport,
    worker: &KnownKey,
    signer: &dyn Signer,
) -> Result<(VerifiedReport, SignedReport), ReportError> {
    let (opened, content) = check(signed, core::slice::from_ref(worker))?;
    let statement = opened.countersigned(signer, &key_id(&signer.public_key()));
    let countersigned = SignedReport { statement, links: signed.links.clone() };
    Ok((content.into_verified(signed.clone(), worker.key), countersigned))
}

/// The statement's envelope and what it says; `keys` signed it, and the first of them the links.
fn check<'a>(
    signed: &'a SignedReport,
    keys: &[KnownKey],
) -> Result<(Opened<'a>, Content), ReportError> {
    ReportError::limit("report's links", signed.links.len(), LINKS_MAX)?;
    let statement = envelope::open(&signed.statement, keys)?;
    let content = statement::decode(statement.payload())?;
    check_links(signed, &content.report, content.input_file.as_deref(), &keys[..1])?;
    Ok((statement, content))
}

impl Content {
    pub(super) fn into_verified(self, signed: SignedReport, worker: PublicKey) -> VerifiedReport {
        let Self { report, input_file, stand_ins } = self;
        VerifiedReport { report, input_file, stand_ins, signed, worker }
    }
}

impl VerifiedReport {
    /// What the worker says.
    pub fn report(&self) -> &AttemptReport {
        &self.report
    }

    /// Name of the build input's file; `None` where there is none.
    pub fn input_file(&self) -> Option<&str> {
        self.input_file.as_deref()
    }

    /// The bytes as they were signed.
    pub fn signed(&self) -> &SignedReport {
        &self.signed
    }

    /// The key that signed it.
    pub fn worker(&self) -> &PublicKey {
        &self.worker
    }

    /// Gives back the bytes as they were signed.
    pub fn into_signed(self) -> SignedReport {
        self.signed
    }

    /// As [`judge`], and checks that exactly the reproduced files have links and that the subjects
    /// of a report without outputs are those of `artifacts`.
    pub fn judge(&self, artifacts: &[Artifact]) -> Result<Judgement, ReportError> {
        let judgement = judge(&self.report, artifacts)?;
        let mut linked: BTreeSet<&str> = self.signed.links.iter().map(|link| &*link.file).collect();
        if let Judgement::Verdicts(verdicts) = &judgement {
            let reproduced: BTreeSet<&str> = verdicts
                .iter()
                .filter(|(_, verdict)| *verdict == Verdict::Reproduced)
                .map(|(file, _)| &**file)
                .collect();
            for file in reproduced {
                if !linked.remove(file) {
                    return Err(ReportError::LinkMissing { file: file.into() });
                }
            }
        }
        if let Some(file) = linked.first() {
            return Err(ReportError::LinkUnearned { file: (*file).into() });
        }
        self.check_stand_ins(artifacts)?;
        Ok(judgement)
    }

    fn check_stand_ins(&self, artifacts: &[Artifact]) -> Result<(), ReportError> {
        if self.stand_ins.is_empty() {
            return Ok(());
        }
        let expected = statement::stand_ins(&self.report, artifacts);
        let mut found = self.stand_ins.iter();
        for (name, digest) in &expected {
            if found.next().is_none_or(|(n, d)| **n != **name || d != digest) {
                return Err(ReportError::Subjects { name: (*name).into() });
            }
        }
        match found.next() {
            Some((name, _)) => Err(ReportError::Subjects { name: name.as_ref().into() }),
            None => Ok(()),
        }
    }
}

fn check_links(
    signed: &SignedReport,
    report: &AttemptReport,
    input_file: Option<&str>,
    keys: &[KnownKey],
) -> Result<(), ReportError> {
    let material = material(&report.attempted, input_file);
    // Taken out as links are met, so that a second link for a file finds nothing.
    let mut rebuilt: BTreeMap<&str, Option<&Rebuilt>> = match &report.attempted.ending {
        Ending::Built(files) => files.iter().map(|r| (&*r.file, Some(r))).collect(),
        Ending::BuildFailed { .. } | Ending::Fault(_) => BTreeMap::new(),
    };
    for signed_link in &signed.links {
        let file = || String::from(&*signed_link.file);
        let entry = rebuilt.get_mut(&*signed_link.file);
        let Some(entry) = entry else { return Err(ReportError::LinkUnknown { file: file() }) };
        let Some(rebuilt) = entry.take() else {
            return Err(ReportError::LinkTwice { file: file() });
        };
        let Some(product) = product(rebuilt) else {
            return Err(ReportError::LinkUnknown { file: file() });
        };
        let content = LinkContent { product, material };
        link::check(&signed_link.metablock, &content, keys)?;
    }
    Ok(())
}
