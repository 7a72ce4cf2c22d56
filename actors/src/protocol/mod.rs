//! Identities and value types, the messages sent between nodes and the records that are stored.

mod digest;
mod key;

pub use digest::{ParseDigestError, Sha256, Sha512};
pub use key::{ParseKeyError, PublicKey, Signature};
