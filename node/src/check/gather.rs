//! All records of a store that can be read one by one.

use std::collections::BTreeMap;

use rebuilder_actors::port::StoreRead;
use rebuilder_actors::protocol::stored::{
    self, ArchivesRecord, Counters, DifferenceRecord, InvitationRecord, JobRecord, JobState,
    QuarantineRecord, Record, RecordError, ReportRecord, WorkerRecord,
};
use rebuilder_actors::protocol::{BuildId, InputId, PublicKey, SignedReport};

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
    pub(super) differences: BTreeMap<(BuildId, Box<str>), DifferenceRecord>,
    pub(super) invitations: BTreeMap<[u8; 8], InvitationRecord>,
    pub(super) quarantine: BTreeMap<u64, QuarantineRecord>,
    /// What could not be read, for people.
    pub(super) lost: Vec<String>,
}

impl Gathered {
    /// Reads what `store` gives.
    pub(super) fn of(store: &dyn StoreRead) -> Self {
        let mut gathered = Self::default();
        let tables = [
            Counters::TABLE,
            JobRecord::TABLE,
            JobState::TABLE,
            WorkerRecord::TABLE,
            InvitationRecord::TABLE,
            ReportRecord::TABLE,
            SignedReport::TABLE,
            DifferenceRecord::TABLE,
            ArchivesRecord::TABLE,
            QuarantineRecord::TABLE,
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

    fn table(&mut self, store: &dyn StoreRead, table: u8) {
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
        let malformed = || RecordError::Malformed("key".into());
        match *key.first().ok_or_else(malformed)? {
            Counters::TABLE => self.counters = Some(stored::read(value)?),
            JobRecord::TABLE => self.jobs.extend([stored::entry(key, value)?]),
            JobState::TABLE => self.states.extend([stored::entry(key, value)?]),
            WorkerRecord::TABLE => self.workers.extend([stored::entry(key, value)?]),
            ArchivesRecord::TABLE => self.archives.extend([stored::entry(key, value)?]),
            ReportRecord::TABLE => self.reports.extend([stored::entry(key, value)?]),
            SignedReport::TABLE => self.signed.extend([stored::entry(key, value)?]),
            DifferenceRecord::TABLE => self.differences.extend([stored::entry(key, value)?]),
            InvitationRecord::TABLE => self.invitations.extend([stored::entry(key, value)?]),
            QuarantineRecord::TABLE => self.quarantine.extend([stored::entry(key, value)?]),
            _ => return Err(malformed()),
        }
        Ok(())
    }
}

/// Keys that may lie behind `last` in a table of numbers.
fn keys_behind(table: u8, last: &[u8]) -> Vec<Vec<u8>> {
    match table {
        ReportRecord::TABLE => reports_behind::<ReportRecord>(last),
        SignedReport::TABLE => reports_behind::<SignedReport>(last),
        JobRecord::TABLE => jobs_behind::<JobRecord>(last),
        JobState::TABLE => jobs_behind::<JobState>(last),
        _ => Vec::new(),
    }
}

fn reports_behind<R: Record<Key = u64>>(last: &[u8]) -> Vec<Vec<u8>> {
    let last = R::parse_key(last).unwrap_or(0);
    (last + 1..=last + AHEAD).map(|number| R::key(number)).collect()
}

fn jobs_behind<R: Record<Key = InputId>>(last: &[u8]) -> Vec<Vec<u8>> {
    let last = R::parse_key(last).map_or(0, |id| id.0);
    let ahead = i32::try_from(AHEAD).expect("a small number");
    (last..last.saturating_add(ahead)).map(|id| R::key(InputId(id + 1))).collect()
}
