use serde::{Deserialize, Serialize};

use crate::port::UtcMillis;
use crate::protocol::{PublicKey, Sha256, WorkerId};

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
