//! All records of a store that can be read one by one.

use std::collections::BTreeMap;

use bytes::Bytes;
use rebuilder_actors::domain::report::SignedReport;
use rebuilder_actors::port::Store;
use rebuilder_actors::protocol::stored::key::{self, table};
use rebuilder_actors::protocol::stored::v1::{
    ArchivesRecord, Counters, DifferenceRecord, InvitationRecord, JobRecord, JobState,
    QuarantineRecord, ReportRecord, WorkerRecord,
};
use rebuilder_actors::protocol::stored::{self, RecordError};
use rebuilder_actors::protocol::{BuildId, InputId, PublicKey};

use super::inspect::{id, malformed, number};

/// Numbers after the last one scanned that are asked for one by one when a scan broke off:
/// an engine gives the pages behind a damaged one.
const AHEAD: u64 = 100_000;

/// Records that could be read, by their keys.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) counters: Option<Counters>,
    pub(super) jobs: BTreeMap<InputId, JobRecord>,
    pub(super) states: BTreeMap<InputId, JobState>,
    pub(super) workers: BTreeMap<PublicKey, WorkerRecord>,
    pub(super) archives: BTreeMap<i32, ArchivesRecord>,
    pub(super) reports: BTreeMap<u64, ReportRecord>,
    pub(super) signed: BTreeMap<u64, SignedReport>,
    pub(super) differences: BTreeMap<(BuildId, Vec<u8>), Bytes>,
    /// Invitations, and messages set aside.
    pub(super) others: BTreeMap<Vec<u8>, Bytes>,
    /// What could not be read, for people.
    pub(super) lost: Vec<String>,
}

impl Gathered {
    /// Reads what `store` gives.
    pub(super) fn of(store: &dyn Store) -> Self {
        let mut gathered = Self::default();
        let tables = [
            table::COUNTERS,
            table::JOB,
            table::STATE,
            table::WORKER,
            table::INVITATION,
            table::REPORT,
            table::SIGNED,
            table::DIFFERENCE,
            table::ARCHIVES,
            table::QUARANTINE,
        ];
        for table in tables {
            gathered.table(store, table);
        }
        gathered
    }

    /// How many there are.
    pub(super) fn records(&self) -> usize {
        self.jobs.len() + self.states.len() + self.reports.len() + self.workers.len()
    }

    fn table(&mut self, store: &dyn Store, table: u8) {
        let mut last = vec![table];
        let scanned = store.scan(&[table], &[table], &mut |key, value| {
            last = key.to_vec();
            self.record(key, value);
            true
        });
        let Err(error) = scanned else { return };
        let name = char::from(table);
        self.lost.push(format!("records of table {name} behind {}: {error}", last.escape_ascii()));
        for key in keys_behind(table, &last) {
            if let Ok(Some(value)) = store.get(&key) {
                self.record(&key, &value);
            }
        }
    }

    fn record(&mut self, key: &[u8], value: &[u8]) {
        if let Err(error) = self.take(key, value) {
            self.lost.push(format!("record {}: {error}", key.escape_ascii()));
        }
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), RecordError> {
        match *key.first().ok_or_else(malformed)? {
            table::COUNTERS => self.counters = Some(stored::read(value)?),
            table::JOB => drop(self.jobs.insert(InputId(id(key)?), stored::read(value)?)),
            table::STATE => drop(self.states.insert(InputId(id(key)?), stored::read(value)?)),
            table::WORKER => {
                let worker = key[1..].try_into().map_err(|_| malformed())?;
                self.workers.insert(PublicKey(worker), stored::read(value)?);
            }
            table::ARCHIVES => drop(self.archives.insert(id(key)?, stored::read(value)?)),
            table::REPORT => drop(self.reports.insert(number(key)?, stored::read(value)?)),
            table::SIGNED => drop(self.signed.insert(number(key)?, stored::read(value)?)),
            table::DIFFERENCE => {
                stored::read::<DifferenceRecord>(value)?;
                let (build, file) = key[1..].split_first_chunk::<4>().ok_or_else(malformed)?;
                let build = BuildId(i32::from_be_bytes(*build));
                self.differences.insert((build, file.to_vec()), Bytes::copy_from_slice(value));
            }
            table::INVITATION => {
                stored::read::<InvitationRecord>(value)?;
                self.others.insert(key.to_vec(), Bytes::copy_from_slice(value));
            }
            table::QUARANTINE => {
                stored::read::<QuarantineRecord>(value)?;
                self.others.insert(key.to_vec(), Bytes::copy_from_slice(value));
            }
            _ => return Err(malformed()),
        }
        Ok(())
    }
}

/// Keys that may lie behind `last` in a table of numbers.
fn keys_behind(table: u8, last: &[u8]) -> Vec<Vec<u8>> {
    match table {
        table::REPORT | table::SIGNED => {
            let from = number(last).unwrap_or(0) + 1;
            let key = if table == table::REPORT { key::report } else { key::signed };
            (from..from + AHEAD).map(key).collect()
        }
        table::JOB | table::STATE => {
            let from = id(last).unwrap_or(0);
            let ahead = i32::try_from(AHEAD).expect("a small number");
            let key = if table == table::JOB { key::job } else { key::state };
            (from..from.saturating_add(ahead)).map(|id| key(InputId(id + 1))).collect()
        }
        _ => Vec::new(),
    }
}
