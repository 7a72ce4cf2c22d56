use hmac::{KeyInit, Mac};
use serde::{Deserialize, Serialize};

use crate::protocol::text::printable_within;
use crate::protocol::{PublicKey, Sha256};

/// Oldest version of the messages that this release speaks.
pub const VERSION_MIN: u16 = 1;
/// Newest version of the messages that this release speaks.
pub const VERSION_MAX: u16 = 1;
/// This release, as told to peers.
pub const SOFTWARE: &str = concat!("rebuilder/", env!("CARGO_PKG_VERSION"));

/// The first frame of a connection, from the side that connected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Oldest version spoken.
    pub version_min: u16,
    /// Newest version spoken.
    pub version_max: u16,
    /// `rebuilder/1.2.3`, at most 64 bytes.
    pub software: String,
    /// Drawn at the start of the process.
    pub boot: BootId,
    /// What the peer wants to be.
    pub role: Role,
}

/// Drawn at random by each process at its start: tells a restart from a clone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BootId(pub [u8; 16]);

/// What a peer wants to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// Operates or reads; what it may do follows from its key.
    Ctl,
    /// Rebuilds.
    Worker {
        /// What it can build.
        offer: Offer,
        /// How it proves that it may; `None` when it believes to be enrolled or listed.
        enrolment: Option<Enrolment>,
    },
}

/// What a worker can build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// For people, at most 64 bytes.
    pub name: String,
    /// Names of backends.
    pub backends: Vec<String>,
    /// Architectures; `*` is any.
    pub architectures: Vec<String>,
    /// Tags that jobs can ask for.
    pub tags: Vec<String>,
    /// Attempts at a time, 1 to 256.
    pub slots: u16,
}

/// Proof of a shared secret that never crosses the wire (DESIGN §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    /// Which secret.
    pub kind: EnrolmentKind,
    /// [`enrolment_proof`] with the label `worker`.
    pub proof: Sha256,
}

/// Which secret proves an enrolment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EnrolmentKind {
    /// The coordinator's `signup_secret`.
    SignupSecret,
    /// A one-time invitation with this number.
    Invitation {
        /// Drawn at random; tells nothing about the secret.
        id: [u8; 8],
    },
}

/// The answer to [`Hello`] when the peer is let in; else the connection is closed with a reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The version of all further messages.
    pub version: u16,
    /// `rebuilder/1.2.3`.
    pub software: String,
    /// The coordinator's process.
    pub boot: BootId,
    /// [`enrolment_proof`] with the label `coordinator`; `None` where no enrolment was asked for.
    pub proof: Option<Sha256>,
    /// True when the key may change things.
    pub admin: bool,
}

/// The newest version that both sides speak.
///
/// # Errors
/// None in common: the text names both ranges and says which side to upgrade.
pub fn agree(hello: &Hello) -> Result<u16, String> {
    let version = VERSION_MAX.min(hello.version_max);
    if version >= VERSION_MIN && version >= hello.version_min {
        return Ok(version);
    }
    let older = if hello.version_max < VERSION_MIN { "the connecting side" } else { "this side" };
    Err(format!(
        "no protocol version in common: {} speaks {} to {}, {SOFTWARE} speaks {VERSION_MIN} to \
         {VERSION_MAX}; upgrade {older} (the coordinator is upgraded first)",
        printable_within(&hello.software, 64),
        hello.version_min,
        hello.version_max,
    ))
}

/// HMAC-SHA256 that proves knowledge of `secret` on one connection: over the TLS exporter, the role
/// label of the side that proves, and both keys. Valid on no other connection, for no other keys.
pub fn enrolment_proof(
    secret: &[u8],
    exporter: &[u8; 32],
    label: &'static str,
    worker: &PublicKey,
    coordinator: &PublicKey,
) -> Sha256 {
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(secret)
        .expect("HMAC takes keys of every length");
    for part in [exporter.as_slice(), label.as_bytes(), &worker.0, &coordinator.0] {
        mac.update(part);
    }
    Sha256(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(version_min: u16, version_max: u16) -> Hello {
        let software = "rebuilder/9".into();
        Hello { version_min, version_max, software, boot: BootId([7; 16]), role: Role::Ctl }
    }

    #[test]
    fn versions_agree_on_the_newest_in_common_or_name_both() {
        assert_eq!(agree(&hello(1, 5)), Ok(1));
        let error = agree(&hello(2, 5)).unwrap_err();
        assert!(error.contains("rebuilder/9 speaks 2 to 5"), "{error}");
        assert!(error.contains("speaks 1 to 1"), "{error}");
    }

    #[test]
    fn proofs_differ_by_side_key_and_connection() {
        let (a, b) = (PublicKey([1; 32]), PublicKey([2; 32]));
        let proof = enrolment_proof(b"s", &[0; 32], "worker", &a, &b);
        assert_ne!(proof, enrolment_proof(b"s", &[0; 32], "coordinator", &a, &b));
        assert_ne!(proof, enrolment_proof(b"s", &[1; 32], "worker", &a, &b));
        assert_ne!(proof, enrolment_proof(b"t", &[0; 32], "worker", &a, &b));
        assert_ne!(proof, enrolment_proof(b"s", &[0; 32], "worker", &b, &a));
    }

    #[test]
    fn golden_hello() {
        let bytes = super::super::encode(&hello(1, 1));
        assert_eq!(
            hex::encode(&bytes),
            concat!("01010b72656275696c6465722f39", "07070707070707070707070707070707", "00")
        );
        assert_eq!(super::super::decode(&bytes), Ok(hello(1, 1)));
    }
}
