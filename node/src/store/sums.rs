//! Counts, sums and chains of what a store holds (docs/damage.md), kept up to date from old and new
//! values alone.

use rebuilder_actors::protocol::stored::{ChainRecord, Record, ReportRecord, SumsRecord};
use rebuilder_actors::protocol::{Sha256, SignedReport};
use sha2::Digest as _;

/// Tables whose records are only appended, in the order of their keys: accepted reports, and their
/// signed bytes.
pub const CHAINED: [u8; 2] = [ReportRecord::TABLE, SignedReport::TABLE];

/// Digest of one record: SHA-256 over the length of its key (u16, big-endian), key and value.
pub fn record_digest(key: &[u8], value: &[u8]) -> [u8; 32] {
    let length = u16::try_from(key.len()).expect("keys are shorter than 64 KiB");
    let mut hash = sha2::Sha256::new();
    hash.update(length.to_be_bytes());
    hash.update(key);
    hash.update(value);
    hash.finalize().into()
}

/// The table of a key. The empty key, which no record has, counts to table 0.
pub fn table_of(key: &[u8]) -> u8 {
    key.first().copied().unwrap_or(0)
}

/// Place in [`CHAINED`] of the chain that a key belongs to: those of reports end in a number.
pub fn chain_of(key: &[u8]) -> Option<usize> {
    let (table, number) = key.split_first()?;
    if number.len() == 8 { CHAINED.iter().position(|chained| chained == table) } else { None }
}

/// Takes the change of one record into `sums`; `None` is an absent record.
pub fn change(sums: &mut SumsRecord, table: u8, old: Option<&[u8; 32]>, new: Option<&[u8; 32]>) {
    let entry = sums.tables.entry(table).or_default();
    if let Some(old) = old {
        entry.count = entry.count.wrapping_sub(1);
        entry.sum = entry.sum.wrapping_sub(number(old));
    }
    if let Some(new) = new {
        entry.count = entry.count.wrapping_add(1);
        entry.sum = entry.sum.wrapping_add(number(new));
    }
    if entry.count == 0 {
        sums.tables.remove(&table);
    }
}

/// The chain with one more link.
pub fn link(chain: ChainRecord, digest: &[u8; 32]) -> ChainRecord {
    let mut hash = sha2::Sha256::new();
    hash.update(chain.head.0);
    hash.update(digest);
    ChainRecord { count: chain.count + 1, head: Sha256(hash.finalize().into()) }
}

/// Takes a record that was found, or is new, into `sums`, chain included.
pub fn add(sums: &mut SumsRecord, key: &[u8], value: &[u8]) {
    let digest = record_digest(key, value);
    let table = table_of(key);
    change(sums, table, None, Some(&digest));
    if let Some(place) = chain_of(key) {
        append(sums, place, &digest);
    }
}

/// Links a new record to the chain at `place` in [`CHAINED`].
pub fn append(sums: &mut SumsRecord, place: usize, digest: &[u8; 32]) {
    let chain = sums.chains.entry(CHAINED[place]).or_default();
    *chain = link(*chain, digest);
}

fn number(digest: &[u8; 32]) -> u128 {
    let half = digest.first_chunk::<16>().expect("a digest is longer");
    u128::from_le_bytes(*half)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;

    fn of(records: &BTreeMap<Vec<u8>, Vec<u8>>) -> SumsRecord {
        let mut sums = SumsRecord::default();
        for (key, value) in records {
            add(&mut sums, key, value);
        }
        sums
    }

    /// Keys of three tables that no chain has.
    fn key() -> impl Strategy<Value = Vec<u8>> {
        (prop::sample::select(b"jsw".to_vec()), 0_u8..4).prop_map(|(table, n)| vec![table, n])
    }

    fn value() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>(), 1..9)
    }

    proptest! {
        #[test]
        fn sums_of_changes_are_those_of_what_is_there(
            changes in prop::collection::vec((key(), prop::option::of(0_u8..3)), 0..60),
        ) {
            let mut records = BTreeMap::new();
            let mut sums = SumsRecord::default();
            for (key, value) in changes {
                let old = records.get(&key).map(|v: &Vec<u8>| record_digest(&key, v));
                let new = value.map(|v| record_digest(&key, &[v]));
                change(&mut sums, table_of(&key), old.as_ref(), new.as_ref());
                match value {
                    Some(value) => drop(records.insert(key, vec![value])),
                    None => drop(records.remove(&key)),
                }
            }
            prop_assert_eq!(sums, of(&records));
        }

        #[test]
        fn any_one_change_shows(
            records in prop::collection::btree_map(key(), value(), 1..12),
            at in any::<prop::sample::Index>(),
            bit in 0_usize..8,
            lost in any::<bool>(),
        ) {
            let whole = of(&records);
            let mut other = records.clone();
            let key = records.keys().nth(at.index(records.len())).unwrap();
            if lost {
                other.remove(key);
            } else {
                other.get_mut(key).unwrap()[0] ^= 1 << bit;
            }
            prop_assert_ne!(of(&other), whole);
        }
    }

    #[test]
    fn a_chain_tells_the_order_and_the_bounds_of_keys() {
        let chain = |keys: &[&[u8]]| {
            let mut sums = SumsRecord::default();
            keys.iter().for_each(|key| add(&mut sums, key, b"v"));
            sums.chains[&b'r']
        };
        let (one, two) = (&b"r00000001"[..], &b"r00000002"[..]);
        assert_ne!(chain(&[one, two]), chain(&[two, one]));
        assert_eq!(chain(&[one, two]).count, 2);
        assert_ne!(record_digest(b"r1", b"2"), record_digest(b"r", b"12"));
    }
}
