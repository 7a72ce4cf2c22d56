use serde::{Deserialize, Serialize};

use super::{Record, Versioned};

/// The last number given out of each kind; 0 before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Source packages.
    pub source: i32,
    /// Jobs.
    pub input: i32,
    /// Artifacts of memberships.
    pub artifact: i32,
    /// Accepted attempts with a verdict.
    pub build: i32,
    /// Stays in the queue.
    pub queue: i32,
    /// Worker keys.
    pub worker: i32,
    /// Sets of archives.
    pub archives: i32,
    /// Grants.
    pub grant: u64,
    /// Accepted reports.
    pub report: u64,
}

impl Versioned for Counters {
    const VERSION: u8 = 1;
}

impl Record for Counters {
    const TABLE: u8 = b'c';
    const PLURAL: &'static str = "counters";
    /// One record.
    type Key = ();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_stay_as_they_are() {
        let record = Counters {
            source: 1,
            input: 2,
            artifact: 3,
            build: 4,
            queue: 5,
            worker: 6,
            archives: 7,
            grant: 300,
            report: 9,
        };
        super::super::record_test::check(&(), "63", &record, "01020406080a0c0eac0209");
    }
}
