use crate::protocol::{PublicKey, Signature};

/// A private ed25519 key that signs and never shows itself. Signatures are deterministic (RFC
/// 8032).
pub trait Signer: Send + Sync + 'static {
    /// The public half.
    fn public_key(&self) -> PublicKey;
    /// Signature over `message`.
    fn sign(&self, message: &[u8]) -> Signature;
}

impl Signer for ed25519_dalek::SigningKey {
    fn public_key(&self) -> PublicKey {
        PublicKey(self.verifying_key().to_bytes())
    }

    fn sign(&self, message: &[u8]) -> Signature {
        Signature(ed25519_dalek::Signer::sign(self, message).to_bytes())
    }
}
