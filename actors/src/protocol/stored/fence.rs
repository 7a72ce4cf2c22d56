//! What the store itself keeps of its owner. It is not among [`TABLES`](super::TABLES): it says
//! nothing about what is stored.

use serde::{Deserialize, Serialize};

use super::{Record, Versioned};

/// Who owns the store: the number of the owner that took it over last. It only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FenceRecord(pub u64);

impl Versioned for FenceRecord {
    const VERSION: u8 = 1;
}

impl Record for FenceRecord {
    const TABLE: u8 = b'f';
    const PLURAL: &'static str = "owners";
    /// One record.
    type Key = ();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::stored::{self, TABLES};

    #[test]
    fn golden_bytes() {
        assert_eq!(FenceRecord::key(()), b"f");
        assert!(TABLES.iter().all(|(table, _)| *table != FenceRecord::TABLE));
        for (number, bytes) in [(1, &[1, 1][..]), (300, &[1, 0xac, 2])] {
            let record = FenceRecord(number);
            assert_eq!(stored::write(&record), bytes);
            assert_eq!(stored::read::<FenceRecord>(bytes), Ok(record));
        }
    }
}
