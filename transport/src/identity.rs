use core::fmt;
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use rebuilder_actors::port::Signer;
use rebuilder_actors::protocol::{PublicKey, Signature};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// The private ed25519 key of a node; never printed.
#[derive(Clone)]
pub struct Identity {
    key: Arc<SigningKey>,
}

impl Identity {
    /// The key made from 32 secret bytes (RFC 8032 §5.1.5).
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self { key: Arc::new(SigningKey::from_bytes(&seed)) }
    }

    /// The secret bytes, to store them.
    pub fn seed(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// The public half, by which others know this node.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.key.verifying_key().to_bytes())
    }

    /// In the form that rustls reads (RFC 8410 §7, version 1).
    pub(crate) fn pkcs8(&self) -> PrivateKeyDer<'static> {
        let mut der = Vec::with_capacity(PKCS8_PREFIX.len() + self.seed().len());
        der.extend_from_slice(&PKCS8_PREFIX);
        der.extend_from_slice(self.seed());
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der))
    }
}

impl Signer for Identity {
    fn public_key(&self) -> PublicKey {
        self.public_key()
    }

    fn sign(&self, message: &[u8]) -> Signature {
        Signature(ed25519_dalek::Signer::sign(self.key.as_ref(), message).to_bytes())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("public", &self.public_key()).finish_non_exhaustive()
    }
}

/// Length of an ed25519 `SubjectPublicKeyInfo`, bytes.
pub const SPKI_LEN: usize = 44;

/// `key` as a `SubjectPublicKeyInfo` (RFC 8410 §4), which is what TLS carries.
pub fn encode_spki(key: &PublicKey) -> [u8; SPKI_LEN] {
    let mut der = [0; SPKI_LEN];
    der[..SPKI_PREFIX.len()].copy_from_slice(&SPKI_PREFIX);
    der[SPKI_PREFIX.len()..].copy_from_slice(&key.0);
    der
}

/// The key in a `SubjectPublicKeyInfo`.
///
/// # Errors
/// It is not exactly an ed25519 key as [`encode_spki`] writes it.
pub fn decode_spki(der: &[u8]) -> Result<PublicKey, NotAKey> {
    let key = der.strip_prefix(&SPKI_PREFIX).ok_or(NotAKey)?;
    Ok(PublicKey(key.try_into().map_err(|_| NotAKey)?))
}

/// What the peer presented is no raw ed25519 key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a raw ed25519 public key")]
pub struct NotAKey;

/// SEQUENCE (42) { SEQUENCE (5) { OID 1.3.101.112 }, BIT STRING (33, no unused bits) … }
const SPKI_PREFIX: [u8; 12] = *b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";

/// SEQUENCE (46) { INTEGER 0, SEQUENCE (5) { OID 1.3.101.112 },
/// OCTET STRING (34) { OCTET STRING (32) … } }
const PKCS8_PREFIX: [u8; 16] = *b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032 §7.1, test 2.
    const SEED: &str = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
    const PUBLIC: &str = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
    const SIGNATURE: &str = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";

    fn identity() -> Identity {
        Identity::from_seed(SEED.parse::<PublicKey>().unwrap().0)
    }

    #[test]
    fn key_and_signature_are_those_of_the_standard() {
        assert_eq!(identity().public_key().to_string(), PUBLIC);
        assert_eq!(identity().sign(&[0x72]).to_string(), SIGNATURE);
        assert!(identity().public_key().verifies(&[0x72], &identity().sign(&[0x72])));
    }

    #[test]
    fn spki_has_golden_bytes_and_nothing_else_is_read() {
        let spki = encode_spki(&identity().public_key());
        assert_eq!(hex::encode(spki), format!("302a300506032b6570032100{PUBLIC}"));
        assert_eq!(decode_spki(&spki), Ok(identity().public_key()));
        for bad in [&spki[..43], &[&spki[..], &[0]].concat(), &[0x31; 44], &[]] {
            assert_eq!(decode_spki(bad), Err(NotAKey));
        }
        for at in 0..SPKI_PREFIX.len() {
            let mut bad = spki;
            bad[at] ^= 1;
            assert_eq!(decode_spki(&bad), Err(NotAKey), "byte {at}");
        }
    }

    #[test]
    fn the_seed_is_never_printed() {
        let printed = format!("{:?}", identity());
        assert!(printed.contains(PUBLIC) && !printed.contains(&SEED[..8]), "{printed}");
    }
}
