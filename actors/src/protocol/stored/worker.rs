use serde::{Deserialize, Serialize};

use super::{Record, Versioned};
use crate::protocol::{PublicKey, UtcMillis, WorkerId};

/// A worker's key and rights; never removed, so that its number stays its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerRecord {
    /// Number.
    pub id: WorkerId,
    /// As it last called itself.
    pub name: String,
    /// When it was let in first.
    pub enrolled_at: UtcMillis,
    /// How it was let in.
    pub by: EnrolledBy,
    /// When its rights were taken; `None`: it has them.
    pub revoked_at: Option<UtcMillis>,
}

/// How a worker was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EnrolledBy {
    /// Its key is in `authorized_workers`: it has rights as long as it is listed.
    List,
    /// It proved the signup secret.
    SignupSecret,
    /// It proved an invitation.
    Invitation,
}

impl Versioned for WorkerRecord {
    const VERSION: u8 = 1;
}

impl Record for WorkerRecord {
    const TABLE: u8 = b'w';
    const PLURAL: &'static str = "workers";
    /// Its public key.
    type Key = PublicKey;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_stay_as_they_are() {
        let record = WorkerRecord {
            id: WorkerId(3),
            name: "w1".into(),
            enrolled_at: UtcMillis(1000),
            by: EnrolledBy::Invitation,
            revoked_at: Some(UtcMillis(2000)),
        };
        super::super::record_test::check(
            &PublicKey([7; 32]),
            "770707070707070707070707070707070707070707070707070707070707070707",
            &record,
            "0106027731d00f0201a01f",
        );
    }
}
