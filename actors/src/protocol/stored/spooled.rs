use serde::{Deserialize, Serialize};

use super::Versioned;
use crate::protocol::{AttemptId, SignedReport};

/// A report that waits for its final answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spooled {
    /// What was signed.
    pub signed: SignedReport,
    /// Bytes of the log as kept; with none, or none left, there is nothing to send before the
    /// report.
    pub log_bytes: u64,
}

/// An entry of a worker's spool: a file of its own, named by the spool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpoolEntry {
    /// Whose report.
    pub attempt: AttemptId,
    /// The report.
    pub spooled: Spooled,
}

impl Versioned for SpoolEntry {
    const VERSION: u8 = 1;
}

#[cfg(test)]
mod tests {
    use super::super::record_test as sample;
    use super::*;

    #[test]
    fn the_bytes_stay_as_they_are() {
        let signed = SignedReport { statement: (&b"{}"[..]).into(), links: Vec::new() };
        let spooled = Spooled { signed, log_bytes: 300 };
        let entry = SpoolEntry { attempt: sample::attempt(), spooled };
        sample::check_value(&entry, "010403027b7d00ac02");
    }
}
