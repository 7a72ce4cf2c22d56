use serde::{Deserialize, Serialize};

use super::{Record, Versioned};
use crate::protocol::{PublicKey, Sha256, UtcMillis};

/// A one-time invitation. The secret itself is not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitationRecord {
    /// SHA-256 of the secret: the key of the proof.
    pub secret_sha256: Sha256,
    /// When it ends.
    pub expires: UtcMillis,
    /// Who used it; the same key may use it again (a lost answer).
    pub used_by: Option<PublicKey>,
}

impl Versioned for InvitationRecord {
    const VERSION: u8 = 1;
}

impl Record for InvitationRecord {
    const TABLE: u8 = b'i';
    const PLURAL: &'static str = "invitations";
    /// Its number.
    type Key = [u8; 8];
}

#[cfg(test)]
mod tests {
    use super::super::record_test as sample;
    use super::*;

    #[test]
    fn the_bytes_stay_as_they_are() {
        let record = InvitationRecord {
            secret_sha256: sample::digest(2),
            expires: UtcMillis(1000),
            used_by: Some(PublicKey([7; 32])),
        };
        super::super::record_test::check(
            &[5; 8],
            "690505050505050505",
            &record,
            concat!(
                "0120020202020202020202020202020202020202020202020202020202020202",
                "0202d00f01200707070707070707070707070707070707070707070707070707",
                "070707070707"
            ),
        );
    }
}
