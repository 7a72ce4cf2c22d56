//! What the store itself keeps: no reader of the other tables sees it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Record, Versioned};
use crate::protocol::Sha256;

/// What the store holds, in numbers: a part of every atomic write, so that a
/// record that is lost, changed or from another time is noticed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SumsRecord {
    /// Atomic writes since the sums were first made; 0 is never stored.
    pub generation: u64,
    /// By the first byte of the keys; a table without records has no entry.
    pub tables: BTreeMap<u8, TableSum>,
    /// By table: those whose records are only appended.
    pub chains: BTreeMap<u8, ChainRecord>,
}

/// One table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSum {
    /// Its records.
    pub count: u64,
    /// Sum of their digests (the first 16 bytes of each, little-endian), modulo 2^128.
    pub sum: u128,
}

/// A hash chain over the records of one table, in the order of their keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainRecord {
    /// Its links.
    pub count: u64,
    /// `head(n) = SHA-256(head(n - 1) || digest of record n)`; head(0) is zeros.
    pub head: Sha256,
}

impl Default for ChainRecord {
    fn default() -> Self {
        Self { count: 0, head: Sha256([0; 32]) }
    }
}

impl Versioned for SumsRecord {
    const VERSION: u8 = 1;
}

impl Record for SumsRecord {
    const TABLE: u8 = b'z';
    const PLURAL: &'static str = "sums";
    /// One record.
    type Key = ();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_stay_as_they_are() {
        let record = SumsRecord {
            generation: 300,
            tables: BTreeMap::from([(b'r', TableSum { count: 2, sum: 1 << 127 | 5 })]),
            chains: BTreeMap::from([(b'r', ChainRecord { count: 2, head: Sha256([7; 32]) })]),
        };
        super::super::record_test::check(
            &(),
            "7a",
            &record,
            concat!(
                "01ac020172028580808080808080808080808080808080800201720220070707",
                "0707070707070707070707070707070707070707070707070707070707"
            ),
        );
    }
}
