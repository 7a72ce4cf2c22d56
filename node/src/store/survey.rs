use bytes::Bytes;
use rebuilder_actors::port::{StoreError, StoreRead};
use rebuilder_actors::protocol::stored::{
    self, ChainRecord, Record, ReportRecord, SumsRecord, TableSum,
};
use rebuilder_actors::protocol::{Sha256, SignedReport};

use super::checked::{Places, damaged};
use super::sums::{self, CHAINED};

/// Missing numbers that an error names.
const NAMED_MAX: usize = 10;

/// What one pass over a store found.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// Of what is there; generation 0.
    pub sums: SumsRecord,
    /// The record of the sums; `None`: there is none.
    pub stored: Option<SumsRecord>,
    /// Greatest key of each table in [`CHAINED`]; empty: none.
    pub last: [Bytes; 2],
    /// Heads of both chains at the lengths asked for; `None`: the chain is shorter.
    pub heads: [Option<Sha256>; 2],
    /// Numbers of reports, and of signed reports, that are missing below the greatest.
    gaps: [Vec<u64>; 2],
}

impl Survey {
    /// Reads all of `store`. `lengths`: see [`Survey::heads`].
    ///
    /// # Errors
    /// Those of the store; `Damaged` when the record of the sums cannot be read.
    pub fn of(
        store: &impl StoreRead,
        places: &Places,
        lengths: [u64; 2],
    ) -> Result<Self, StoreError> {
        let mut survey = Self::default();
        survey.mark(lengths);
        let sums = SumsRecord::key(());
        let mut own = None;
        store.scan(b"", b"", &mut |key, value| {
            if *key == *sums {
                own = Some(stored::read::<SumsRecord>(value));
            } else {
                survey.take(key, value);
                survey.mark(lengths);
            }
            true
        })?;
        survey.stored = own.transpose().map_err(|error| {
            damaged(&places.engine, &format!("its sums cannot be read: {error}"))
        })?;
        Ok(survey)
    }

    /// Records that are there.
    pub fn records(&self) -> u64 {
        self.sums.tables.values().map(|table| table.count).sum()
    }

    /// Compares what is there with what its sums say.
    ///
    /// # Errors
    /// `Damaged`, with each table that is not whole.
    pub fn compare(&self, stored: &SumsRecord, places: &Places) -> Result<(), StoreError> {
        if self.sums.tables == stored.tables && self.sums.chains == stored.chains {
            return Ok(());
        }
        let mut names: Vec<u8> = stored.tables.keys().copied().collect();
        names.extend(self.sums.tables.keys());
        names.sort_unstable();
        names.dedup();
        let sum = |sums: &SumsRecord, name| sums.tables.get(&name).copied().unwrap_or_default();
        let mut reasons: Vec<String> = names
            .into_iter()
            .filter_map(|name| self.difference(name, sum(&self.sums, name), sum(stored, name)))
            .collect();
        if reasons.is_empty() {
            reasons.push("the order of its reports is not that in which they came".to_owned());
        }
        Err(damaged(&places.engine, &reasons.join("; ")))
    }

    /// Checks what needs no sums: the numbers of reports leave nothing out.
    ///
    /// # Errors
    /// `Damaged`, with the numbers that are missing.
    pub fn check_numbers(&self, places: &Places) -> Result<(), StoreError> {
        let missing: Vec<String> =
            CHAINED.iter().filter_map(|table| self.missing(*table)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(damaged(&places.engine, &missing.join("; ")))
    }

    fn difference(&self, table: u8, found: TableSum, stored: TableSum) -> Option<String> {
        if found == stored {
            return None;
        }
        let name = table_name(table);
        let text = if found.count == stored.count {
            format!("{name}: {} records, of which some are not as they were written", found.count)
        } else {
            format!("{name}: {} of {} records are there", found.count, stored.count)
        };
        Some(match self.missing(table) {
            Some(missing) => format!("{text} ({missing})"),
            None => text,
        })
    }

    fn missing(&self, table: u8) -> Option<String> {
        let gaps = &self.gaps[CHAINED.iter().position(|chained| *chained == table)?];
        let numbers: Vec<String> = gaps.iter().take(NAMED_MAX).map(ToString::to_string).collect();
        let more = if gaps.len() > NAMED_MAX { " …" } else { "" };
        let what = if table == ReportRecord::TABLE { "report" } else { "signed report" };
        (!numbers.is_empty()).then(|| format!("without {what} {}{more}", numbers.join(", ")))
    }

    fn take(&mut self, key: &[u8], value: &[u8]) {
        sums::add(&mut self.sums, key, value);
        let Some(place) = sums::chain_of(key) else { return };
        if let Some(number) = number_of(key) {
            let before = number_of(&self.last[place]).unwrap_or(0);
            let gaps = &mut self.gaps[place];
            let room = NAMED_MAX + 1 - gaps.len().min(NAMED_MAX + 1);
            gaps.extend((before + 1..number).take(room));
        }
        self.last[place] = Bytes::copy_from_slice(key);
    }

    fn mark(&mut self, lengths: [u64; 2]) {
        for (place, length) in lengths.into_iter().enumerate() {
            let chain = chain(&self.sums, place);
            if chain.count == length {
                self.heads[place] = Some(chain.head);
            }
        }
    }
}

/// The chain of the table at `place` in [`CHAINED`].
pub fn chain(sums: &SumsRecord, place: usize) -> ChainRecord {
    sums.chains.get(&CHAINED[place]).copied().unwrap_or_default()
}

/// The number in a key of reports.
fn number_of(key: &[u8]) -> Option<u64> {
    ReportRecord::parse_key(key).or_else(|_| SignedReport::parse_key(key)).ok()
}

fn table_name(table: u8) -> String {
    let known = stored::TABLES.iter().find(|(number, _)| *number == table);
    known.map_or_else(|| format!("table {table:#04x}"), |(_, name)| (*name).to_owned())
}
