//! What the records say, and whether the blobs that they name are there.

use std::collections::BTreeMap;

use rebuilder_actors::actor::coordinator::store::{scan_records, scan_table};
use rebuilder_actors::domain::queue::{Restored, Whole};
use rebuilder_actors::domain::report::verify_countersigned;
use rebuilder_actors::port::{StoreError, StoreRead};
use rebuilder_actors::protocol::stored::{
    self, DifferenceRecord, JobState, Record, ReportRecord, WorkerRecord,
};
use rebuilder_actors::protocol::{PublicKey, Sha256, SignedReport, WorkerId};

use super::{CheckError, Findings};
use crate::blobs::FileContents;
use crate::data_dir::DataDir;
use crate::role::coordinator_public;

/// A blob that a record names.
struct Named {
    digest: Sha256,
    bytes: u64,
    whose: String,
}

/// Reads all records, and all blobs that they name.
pub(super) fn store(
    store: &dyn StoreRead,
    dir: &DataDir,
    findings: &mut Findings,
) -> Result<(), CheckError> {
    let named = match records(store, dir, findings) {
        Ok(named) => named,
        Err(error @ StoreError::Damaged { .. }) => {
            findings.problems.push(error.to_string());
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let blobs = FileContents::open(dir)?;
    let mut whole = 0;
    for Named { digest, bytes, whose } in named {
        if blobs.whole_length(digest)? == Some(bytes) {
            whole += 1;
        } else {
            let path = blobs.place_of(&digest);
            let state = if path.exists() { "is damaged" } else { "is missing" };
            findings.problems.push(format!("{}: {whose} {state}", path.display()));
        }
    }
    findings.said.push(format!("{whole} logs and differences are whole"));
    Ok(())
}

fn records(
    store: &dyn StoreRead,
    dir: &DataDir,
    findings: &mut Findings,
) -> Result<Vec<Named>, StoreError> {
    let mut restored = Restored::default();
    for table in Restored::TABLES {
        scan_table(store, table, |key, value| restored.take(key, value))?;
    }
    findings.problems.extend(restored.check().err());
    let workers = workers(store)?;
    let countersigner = coordinator_public(dir.path());
    let (mut whole, mut named, mut verdicts, mut reports) = (Whole::default(), vec![], 0, 0);
    scan_records(store, |(), counters| whole.counters(counters))?;
    let mut attempts = Vec::new();
    scan_records(store, |sequence, report: ReportRecord| {
        whole.report(sequence, &report);
        reports += 1;
        if report.build.is_some() {
            verdicts += 1;
        }
        if report.log_bytes > 0 {
            let whose = format!("the log of attempt {}", report.attempt);
            named.push(Named { digest: report.log, bytes: report.log_bytes, whose });
        }
        attempts.push((sequence, report.attempt, workers.get(&report.worker).copied()));
    })?;
    for (sequence, attempt, worker) in attempts {
        let signed = store.get(&SignedReport::key(sequence))?;
        let sound = signed.is_some_and(|value| {
            let Ok(signed) = stored::read::<SignedReport>(&value) else { return false };
            let Some(worker) = worker else { return false };
            let verified = verify_countersigned(&signed, &worker, countersigner.as_slice());
            verified.is_ok_and(|verified| verified.report().attempt == attempt)
        });
        if !sound {
            let text = "is missing, or its signatures do not hold";
            findings.problems.push(format!("the signed report of attempt {attempt} {text}"));
        }
    }
    scan_records(store, |job, state: JobState| whole.state(job, &state))?;
    scan_records(store, |(build, file), record: DifferenceRecord| {
        let whose = format!("the difference of {} in build {build}", file.escape_debug());
        named.push(Named { digest: record.sha256, bytes: record.size, whose });
    })?;
    findings.problems.extend(whole.finish().err());
    findings.said.push(format!("{reports} accepted reports with {verdicts} verdicts"));
    Ok(named)
}

/// Keys of all workers, by their number.
pub(super) fn workers(store: &dyn StoreRead) -> Result<BTreeMap<WorkerId, PublicKey>, StoreError> {
    let mut workers = BTreeMap::new();
    scan_records(store, |key, record: WorkerRecord| {
        workers.insert(record.id, key);
    })?;
    Ok(workers)
}
