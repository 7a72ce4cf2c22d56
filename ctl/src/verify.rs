//! `verify FILE`: a file on disk against what the coordinator attests.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;
use rebuilder_actors::domain::report::{VerifiedReport, key_id, verify_countersigned};
use rebuilder_actors::protocol::wire::v1::ctl::{
    Package, PackageFilter, PackageStatus, Request, Response, Worker,
};
use rebuilder_actors::protocol::{Ending, PublicKey, Sha256, SignedReport};
use ring::digest::{Context, SHA256};

use crate::failure::Failure;
use crate::json::{self, EvidenceRow};
use crate::session::{Session, misplaced};
use crate::signed::VerifyRow;
use crate::text::printable;
use crate::{human, words};

/// Bytes of a statement that are taken from a coordinator; those that it stores have at most 8 MiB.
const ATTESTATION_BYTES_MAX: usize = 16 << 20;

/// What was found out about a file.
#[derive(Debug)]
pub struct Checked {
    /// For standard output.
    pub text: String,
    /// `Err`: why it does not hold.
    pub result: Result<(), Failure>,
}

/// Looks the file at `path` up by its digest and checks what is attested of it: signed by the
/// worker and by this coordinator, and about exactly these bytes.
///
/// # Errors
/// The file cannot be read, the coordinator follows no such file, or the connection was lost.
pub async fn verify(session: &Session, path: &Path, json: bool) -> Result<Checked, Failure> {
    let digest = digest(path).map_err(|error| {
        Failure::Usage(format!("cannot read {}: {}", path.display(), printable(&error.to_string())))
    })?;
    let package = find(session, path, digest).await?;
    let worker = worker(session, &package).await?;
    let coordinator = session.peer();
    let found = match &worker {
        Some(worker) if package.verdict.is_some() => {
            let statement = statement(session, &package).await?;
            holds(statement, &package, digest, &worker.key, &coordinator)
        }
        _ => Err(no_verdict(&package)),
    };
    let result = match found {
        Ok(_) if package.status == PackageStatus::Reproduced => Ok(()),
        Ok(_) => Err(format!("the rebuild says {}", words::shown_status(&package))),
        Err(reason) => Err(reason),
    };
    let row = VerifyRow {
        file: &path.display().to_string(),
        sha256: digest.to_string(),
        verified: result.is_ok(),
        reason: result.as_ref().err().map(String::as_str),
        status: words::status(package.status),
        name: &package.name,
        version: &package.version,
        architecture: &package.architecture,
        distribution: &package.distribution,
        release: package.release.as_deref(),
        built_at: package.built_at.and_then(human::rfc3339),
        worker: worker.as_ref().map(|worker| &*worker.name),
        worker_key: worker.as_ref().map(|worker| worker.key.to_string()),
        worker_key_id: worker.as_ref().map(|worker| key_id(&worker.key)),
        coordinator_key: coordinator.to_string(),
        coordinator_key_id: key_id(&coordinator),
        evidence: package.evidence.as_ref().map(EvidenceRow::from),
        gate_grade: package.gate_grade,
    };
    let text = if json { json::to_line(&row) + "\n" } else { for_people(&row, &package) };
    Ok(Checked { text, result: result.map_err(Failure::NotVerified) })
}

fn for_people(row: &VerifyRow<'_>, package: &Package) -> String {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let evidence = row.evidence.as_ref().map(|evidence| {
        format!(
            "index {}, environment {}, isolation {}, signed by {}",
            evidence.index, evidence.environment, evidence.isolation, evidence.signer
        )
    });
    let grade = match words::not_of_gate_grade(package) {
        Some(reason) => reason,
        None => words::gate(package).to_owned(),
    };
    let worker = row.worker.map(|name| {
        format!("{name}, key {}, key id {}", or_none(&row.worker_key), or_none(&row.worker_key_id))
    });
    let lines = [
        ("file", row.file.to_owned()),
        ("sha256", row.sha256.clone()),
        (
            "package",
            format!(
                "{} {} ({}), {} {}",
                row.name,
                row.version,
                row.architecture,
                row.distribution,
                row.release.unwrap_or_default()
            ),
        ),
        ("status", words::shown_status(package)),
        ("built", package.built_at.map_or_else(|| "-".to_owned(), human::time)),
        ("worker", worker.unwrap_or_else(|| "-".to_owned())),
        ("coordinator", format!("key {}, key id {}", row.coordinator_key, row.coordinator_key_id)),
        ("evidence", evidence.unwrap_or_else(|| "-".to_owned())),
        ("gate grade", grade),
    ];
    let line = |(name, value): &(&str, String)| format!("{name:<12} {}\n", printable(value));
    lines.iter().map(line).collect()
}

fn no_verdict(package: &Package) -> String {
    let status = words::shown_status(package);
    match &package.reason {
        Some(reason) => format!("there is no verdict about it: {status}: {}", printable(reason)),
        None => format!("there is no verdict about it: {status}"),
    }
}

/// The statement, if both keys signed it and it says that these bytes came out again.
fn holds(
    statement: Bytes,
    package: &Package,
    digest: Sha256,
    worker: &PublicKey,
    coordinator: &PublicKey,
) -> Result<VerifiedReport, String> {
    let signed = SignedReport { statement, links: Vec::new() };
    let verified = verify_countersigned(&signed, worker, &[*coordinator])
        .map_err(|error| format!("its attestation does not hold: {error}"))?;
    if package.status != PackageStatus::Reproduced {
        return Ok(verified);
    }
    let Ending::Built(files) = &verified.report().attempted.ending else {
        return Err("its attestation is of a build that made no files".to_owned());
    };
    let made = |sha256: Sha256| files.iter().any(|f| f.output.is_some_and(|o| o.sha256 == sha256));
    if made(digest) {
        Ok(verified)
    } else {
        Err("its attestation is of other bytes than those of this file".to_owned())
    }
}

/// The package that is published as these bytes.
async fn find(session: &Session, path: &Path, digest: Sha256) -> Result<Package, Failure> {
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    // `NAME_VERSION_ARCHITECTURE.deb`; under another name all are looked through.
    let named = file.split_once('_').map(|(name, _)| name.to_owned());
    let mut same_name = None;
    for name in [named.map(Some), Some(None)].into_iter().flatten() {
        let name = name.filter(|name| !name.contains(['*', '?', '[']));
        let filter = PackageFilter { name, ..PackageFilter::default() };
        let mut answer = session.ask(&Request::PackagesOfAny(vec![filter])).await?;
        let mut best: Option<Package> = None;
        while let Some(response) = answer.next().await? {
            let Response::Package(package) = response else { return Err(misplaced(&response)) };
            if package.sha256 == Some(digest) {
                let better = best.as_ref().is_none_or(|best| best.verdict.is_none());
                best = if better { Some(package) } else { best };
            } else if package.file == file {
                same_name = package.sha256;
            }
        }
        if let Some(best) = best {
            return Ok(best);
        }
    }
    Err(Failure::NothingMatched(match same_name {
        Some(published) => format!(
            "the distribution publishes {} with the SHA-256 {published}, and this file has \
             {digest}: it is not what was published",
            printable(&file)
        ),
        None => format!("no package that is followed has the SHA-256 {digest}"),
    }))
}

async fn worker(session: &Session, package: &Package) -> Result<Option<Worker>, Failure> {
    let Some(id) = package.worker else { return Ok(None) };
    let mut answer = session.ask(&Request::Workers).await?;
    let mut found = None;
    while let Some(response) = answer.next().await? {
        let Response::Worker(worker) = response else { return Err(misplaced(&response)) };
        found = if worker.id == id { Some(worker) } else { found };
    }
    Ok(found)
}

/// The signed statement behind what is shown of `package`.
async fn statement(session: &Session, package: &Package) -> Result<Bytes, Failure> {
    let filter = PackageFilter {
        name: Some(package.name.clone()),
        version: Some(package.version.clone()),
        status: None,
        distribution: Some(package.distribution.clone()),
        release: package.release.clone(),
        component: package.component.clone(),
        architecture: Some(package.architecture.clone()),
    };
    let mut answer = session.ask(&Request::Attestation { filter }).await?;
    let mut all = Vec::new();
    while let Some(response) = answer.next().await? {
        let Response::Chunk(bytes) = response else { return Err(misplaced(&response)) };
        all.extend_from_slice(&bytes);
        if all.len() > ATTESTATION_BYTES_MAX {
            return Err(Failure::Protocol("an attestation that does not end".to_owned()));
        }
    }
    // The statement is the last one.
    let mut lines = all.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    Ok(Bytes::copy_from_slice(lines.next_back().unwrap_or_default()))
}

fn digest(path: &Path) -> io::Result<Sha256> {
    let (mut file, mut context) = (File::open(path)?, Context::new(&SHA256));
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => context.update(&buffer[..count]),
        }
    }
    let bytes: [u8; 32] = context.finish().as_ref().try_into().map_err(io::Error::other)?;
    Ok(Sha256(bytes))
}
