use serde::{Deserialize, Serialize};

use super::{Record, Versioned};
use crate::protocol::UtcMillis;

/// A message that made an actor panic twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineRecord {
    /// Which actor.
    pub actor: String,
    /// The message and the panic, for people.
    pub text: String,
    /// When.
    pub at: UtcMillis,
}

impl Versioned for QuarantineRecord {
    const VERSION: u8 = 1;
}

impl Record for QuarantineRecord {
    const TABLE: u8 = b'q';
    const PLURAL: &'static str = "quarantine";
    /// Its sequence number.
    type Key = u64;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_stay_as_they_are() {
        let record =
            QuarantineRecord { actor: "queue".into(), text: "t".into(), at: UtcMillis(1000) };
        super::super::record_test::check(
            &258,
            "710000000000000102",
            &record,
            "010571756575650174d00f",
        );
    }
}
