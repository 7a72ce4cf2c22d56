//! What the records say, and whether the blobs that they name are there.

use std::collections::BTreeMap;

use rebuilder_actors::actor::coordinator::store::scan_table;
use rebuilder_actors::domain::queue::{Restored, Whole};
use rebuilder_actors::domain::report::{SignedReport, verify_countersigned};
use rebuilder_actors::port::{Store, StoreError};
use rebuilder_actors::protocol::stored::key::{self, table};
use rebuilder_actors::protocol::stored::v1::{DifferenceRecord, ReportRecord, WorkerRecord};
use rebuilder_actors::protocol::stored::{self, RecordError};
use rebuilder_actors::protocol::{InputId, PublicKey, Sha256, WorkerId};

use super::{CheckError, Findings};
use crate::blobs::FileBlobs;
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
    store: &dyn Store,
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
    let blobs = FileBlobs::open(dir)?;
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
    store: &dyn Store,
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
    scan_table(store, table::COUNTERS, |_, value| {
        stored::read(value).map(|counters| whole.counters(counters))
    })?;
    let mut attempts = Vec::new();
    scan_table(store, table::REPORT, |key, value| {
        let report: ReportRecord = stored::read(value)?;
        let sequence = number(key)?;
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
        Ok::<_, RecordError>(())
    })?;
    for (sequence, attempt, worker) in attempts {
        let signed = store.get(&key::signed(sequence))?;
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
    scan_table(store, table::STATE, |key, value| {
        whole.state(InputId(id(key)?), &stored::read(value)?);
        Ok::<_, RecordError>(())
    })?;
    scan_table(store, table::DIFFERENCE, |key, value| {
        let record: DifferenceRecord = stored::read(value)?;
        let whose = format!("the difference {}", key.escape_ascii());
        named.push(Named { digest: record.sha256, bytes: record.size, whose });
        Ok::<_, RecordError>(())
    })?;
    findings.problems.extend(whole.finish().err());
    findings.said.push(format!("{reports} accepted reports with {verdicts} verdicts"));
    Ok(named)
}

/// Keys of all workers, by their number.
pub(super) fn workers(store: &dyn Store) -> Result<BTreeMap<WorkerId, PublicKey>, StoreError> {
    let mut workers = BTreeMap::new();
    scan_table(store, table::WORKER, |key, value| {
        let record: WorkerRecord = stored::read(value)?;
        let key = key.get(1..).and_then(|key| key.try_into().ok()).ok_or_else(malformed)?;
        workers.insert(record.id, PublicKey(key));
        Ok::<_, RecordError>(())
    })?;
    Ok(workers)
}

/// The number in the key of a report.
pub(super) fn number(key: &[u8]) -> Result<u64, RecordError> {
    let number = key.get(1..).and_then(|number| number.try_into().ok());
    number.map(u64::from_be_bytes).ok_or_else(malformed)
}

/// The number in the key of a job, its state, or a set of archives.
pub(super) fn id(key: &[u8]) -> Result<i32, RecordError> {
    let number = key.get(1..).and_then(|number| number.try_into().ok());
    number.map(i32::from_be_bytes).ok_or_else(malformed)
}

pub(super) fn malformed() -> RecordError {
    RecordError::Malformed("key".into())
}
