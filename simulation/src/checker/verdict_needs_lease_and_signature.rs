use std::collections::{BTreeMap, BTreeSet};

use rebuilder_actors::domain::queue::Settings;
use rebuilder_actors::domain::report::{verify, verify_countersigned};
use rebuilder_actors::protocol::stored::{self, Record, ReportRecord, StoredPlace, WorkerRecord};
use rebuilder_actors::protocol::{AttemptId, PublicKey, SignedReport, WorkerId};

use super::Checker;
use crate::observation::{End, Observation};

/// A report counts only if its attempt was leased to the worker that signed it, and what is stored
/// carries that worker's signature.
#[derive(Default)]
pub(super) struct VerdictNeedsLeaseAndSignature {
    granted: BTreeMap<AttemptId, BTreeSet<WorkerId>>,
}

/// Stored reports whose signatures are verified at the end, from all over the table: each costs
/// more than a hundred events.
const VERIFIED_MAX: usize = 3;

impl Checker for VerdictNeedsLeaseAndSignature {
    fn name(&self) -> &'static str {
        "verdict_needs_lease_and_signature"
    }

    fn observe(&mut self, _: u64, _: &Settings, observation: &Observation) -> Result<(), String> {
        match observation {
            Observation::Stored(job, state) => {
                if let StoredPlace::Leased { worker, .. } = state.place {
                    let attempt = AttemptId { job: *job, epoch: state.epoch };
                    self.granted.entry(attempt).or_default().insert(worker);
                }
            }
            Observation::Accepted(record, _) => {
                let holders = self.granted.get(&record.attempt);
                if !holders.is_some_and(|holders| holders.contains(&record.worker)) {
                    return Err(format!(
                        "attempt {} of worker {} counts, it was leased to {holders:?}",
                        record.attempt, record.worker
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, end: &End) -> Result<(), String> {
        let of = |table: u8| end.durable.iter().filter(move |(key, _)| key[0] == table);
        let mut keys: BTreeMap<WorkerId, PublicKey> = BTreeMap::new();
        for (key, value) in of(WorkerRecord::TABLE) {
            let (key, record) =
                stored::entry::<WorkerRecord>(key, value).map_err(|e| e.to_string())?;
            keys.insert(record.id, key);
        }
        let step = of(ReportRecord::TABLE).count().div_ceil(VERIFIED_MAX).max(1);
        for (key, value) in of(ReportRecord::TABLE).step_by(step) {
            let (sequence, record) =
                stored::entry::<ReportRecord>(key, value).map_err(|e| e.to_string())?;
            let signed = end.durable.get(&SignedReport::key(sequence));
            let signed = signed.ok_or_else(|| format!("report {} is bare", record.attempt))?;
            let signed: SignedReport = stored::read(signed).map_err(|e| e.to_string())?;
            let worker = keys.get(&record.worker).ok_or("a report is by nobody")?;
            let coordinator = end.settings.enrolment.coordinator;
            let verified = verify(&signed, worker)
                .or_else(|_| verify_countersigned(&signed, worker, &[coordinator]))
                .map_err(|error| format!("the report of attempt {}: {error}", record.attempt))?;
            if verified.report().attempt != record.attempt {
                return Err(format!("{} is kept as {}", verified.report().attempt, record.attempt));
            }
        }
        Ok(())
    }
}
