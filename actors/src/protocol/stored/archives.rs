use serde::{Deserialize, Serialize};

use super::{Record, Versioned};
use crate::protocol::Archive;

/// A set of archives that many jobs share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchivesRecord {
    /// In order of preference.
    pub archives: Vec<Archive>,
}

impl Versioned for ArchivesRecord {
    const VERSION: u8 = 1;
}

impl Record for ArchivesRecord {
    const TABLE: u8 = b'a';
    const PLURAL: &'static str = "sets of archives";
    /// Its number.
    type Key = i32;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_stay_as_they_are() {
        let record = ArchivesRecord {
            archives: vec![
                Archive::Suite {
                    url: "u".into(),
                    suite: "s".into(),
                    components: vec!["main".into()],
                },
                Archive::Snapshot { url: "v".into() },
            ],
        };
        super::super::record_test::check(
            &258,
            "6100000102",
            &record,
            "0102000175017301046d61696e010176",
        );
    }
}
