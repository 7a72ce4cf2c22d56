use serde::{Deserialize, Serialize};

use super::{Record, Versioned};
use crate::protocol::{IndexState, UtcMillis};

/// What is remembered of a profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileRecord {
    /// State of its index at the last sync that was used.
    pub index: IndexState,
    /// End of that sync.
    pub synced_at: UtcMillis,
    /// Milliseconds that it took.
    pub synced_in_ms: u64,
}

impl Versioned for ProfileRecord {
    const VERSION: u8 = 1;
}

impl Record for ProfileRecord {
    const TABLE: u8 = b'p';
    const PLURAL: &'static str = "profiles";
    /// Its name.
    type Key = Box<str>;
}

#[cfg(test)]
mod tests {
    use super::super::record_test as sample;
    use super::*;

    #[test]
    fn the_bytes_stay_as_they_are() {
        let record = ProfileRecord {
            index: sample::index_state(),
            synced_at: UtcMillis(1000),
            synced_in_ms: 20,
        };
        super::super::record_test::check(
            &"bookworm".into(),
            "70626f6f6b776f726d",
            &record,
            concat!(
                "010108626f6f6b776f726d200101010101010101010101010101010101010101",
                "010101010101010101010101d00f200202020202020202020202020202020202",
                "020202020202020202020202020202d00f14"
            ),
        );
    }
}
