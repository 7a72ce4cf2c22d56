use crate::protocol::{PublicKey, Sha256, Verifier};

/// A key made ready to verify many documents: what depends on the key alone is worked out once.
#[derive(Clone, Debug)]
pub struct KnownKey {
    pub(super) key: PublicKey,
    pub(super) verifier: Verifier,
    pub(super) id: String,
}

impl KnownKey {
    /// Of a key that is none, nothing verifies.
    pub fn new(key: &PublicKey) -> Self {
        Self { key: *key, verifier: Verifier::new(key), id: key_id(key) }
    }

    /// The key as it was given, be it none at all.
    pub fn key(&self) -> PublicKey {
        self.key
    }
}

/// Key id as in-toto 0.9 computes it, 64 lower-case hex digits: SHA-256 of the key's canonical
/// JSON with `keyid_hash_algorithms`, without which clients do not find the key.
pub fn key_id(key: &PublicKey) -> String {
    let json = format!(
        "{{\"keyid_hash_algorithms\":[\"sha256\",\"sha512\"],\"keytype\":\"ed25519\",\
         \"keyval\":{{\"public\":\"{key}\"}},\"scheme\":\"ed25519\"}}"
    );
    Sha256::of(json.as_bytes()).to_string()
}
