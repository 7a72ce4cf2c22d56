use serde::{Deserialize, Serialize};

use super::{Record, Versioned};
use crate::protocol::{BuildId, Sha256};

/// An explanation of one artifact's difference, kept as a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DifferenceRecord {
    /// Digest of the text: the blob's name.
    pub sha256: Sha256,
    /// Bytes of the text.
    pub size: u64,
}

impl Versioned for DifferenceRecord {
    const VERSION: u8 = 1;
}

impl Record for DifferenceRecord {
    const TABLE: u8 = b'd';
    const PLURAL: &'static str = "differences";
    /// The build, and the file that differs.
    type Key = (BuildId, Box<str>);
}

#[cfg(test)]
mod tests {
    use super::super::record_test as sample;
    use super::*;

    #[test]
    fn the_bytes_stay_as_they_are() {
        let record = DifferenceRecord { sha256: sample::digest(1), size: 300 };
        super::super::record_test::check(
            &(BuildId(258), "a.deb".into()),
            "6400000102612e646562",
            &record,
            concat!("0120010101010101010101010101010101010101010101010101010101010101", "0101ac02"),
        );
    }
}
