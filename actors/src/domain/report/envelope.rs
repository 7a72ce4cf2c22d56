use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::ReportError;
use super::known_key::{KnownKey, key_id};
use crate::port::Signer;
use crate::protocol::Signature;

/// Media type of the payload, which the signature binds too.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// Largest envelope that is read, in bytes: 4,096 artifacts with long names and both digests fit.
pub const STATEMENT_BYTES_MAX: usize = 8 << 20;

/// Most signatures that a countersigned document may carry.
pub(super) const SIGNATURES_MAX: usize = 8;

const WHAT: &str = "statement's envelope";

/// DSSE v1 envelope, borrowing from the text it was read from.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Envelope<'a> {
    payload: &'a str,
    payload_type: &'a str,
    #[serde(borrow)]
    signatures: Vec<EnvelopeSignature<'a>>,
}

/// Both texts are borrowed when read and owned when made.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvelopeSignature<'a> {
    #[serde(borrow)]
    keyid: Cow<'a, str>,
    #[serde(borrow)]
    sig: Cow<'a, str>,
}

/// Pre-authentication encoding (DSSE v1), up to the body of `body_len` bytes.
fn pae_head(payload_type: &str, body_len: usize) -> String {
    format!("DSSEv1 {} {payload_type} {body_len} ", payload_type.len())
}

/// The signed envelope around `payload`.
pub(super) fn seal(payload: &[u8], signer: &dyn Signer) -> Bytes {
    let mut signed = pae_head(PAYLOAD_TYPE, payload.len()).into_bytes();
    signed.extend_from_slice(payload);
    let envelope = Envelope {
        payload: &STANDARD.encode(payload),
        payload_type: PAYLOAD_TYPE,
        signatures: vec![EnvelopeSignature::new(
            &key_id(&signer.public_key()),
            signer.sign(&signed),
        )],
    };
    encode(&envelope)
}

/// What [`open`] found: the pre-authentication encoding, whose end is the payload.
pub(super) struct Opened<'a> {
    envelope: Envelope<'a>,
    pae: Vec<u8>,
    payload_at: usize,
}

impl Opened<'_> {
    pub(super) fn payload(&self) -> &[u8] {
        &self.pae[self.payload_at..]
    }

    /// The envelope with `signer`'s signature behind those that were checked. `id` is its key id.
    pub(super) fn countersigned(mut self, signer: &dyn Signer, id: &str) -> Bytes {
        self.envelope.signatures.push(EnvelopeSignature::new(id, signer.sign(&self.pae)));
        encode(&self.envelope)
    }
}

/// Reads an envelope that is signed by exactly `keys`, in that order.
pub(super) fn open<'a>(envelope: &'a [u8], keys: &[KnownKey]) -> Result<Opened<'a>, ReportError> {
    let envelope = read(envelope)?;
    let (pae, payload_at) = pre_authenticate(&envelope)?;
    if envelope.signatures.len() != keys.len() {
        return Err(ReportError::Signers { what: "statement".into() });
    }
    for (signature, key) in envelope.signatures.iter().zip(keys) {
        if signature.keyid != key.id {
            return Err(ReportError::Signers { what: "statement".into() });
        }
        let valid = signature.decode().is_some_and(|sig| key.verifier.verifies(&pae, &sig));
        if !valid {
            let (what, key_id) = ("statement".into(), key.id.clone());
            return Err(ReportError::BadSignature { what, key_id });
        }
    }
    Ok(Opened { envelope, pae, payload_at })
}

/// The payload of an envelope, whoever signed it.
pub(super) fn peek(envelope: &[u8]) -> Result<Vec<u8>, ReportError> {
    let (mut pae, payload_at) = pre_authenticate(&read(envelope)?)?;
    Ok(pae.split_off(payload_at))
}

impl EnvelopeSignature<'_> {
    fn new(key_id: &str, signature: Signature) -> Self {
        let (keyid, sig) = (Cow::Owned(key_id.into()), STANDARD.encode(signature.0).into());
        Self { keyid, sig }
    }

    fn decode(&self) -> Option<Signature> {
        let mut bytes = [0; 66];
        let len = STANDARD.decode_slice(self.sig.as_bytes(), &mut bytes).ok()?;
        Some(Signature(bytes[..len].try_into().ok()?))
    }
}

/// Refuses an envelope over [`STATEMENT_BYTES_MAX`].
pub(super) fn check_size(envelope: &[u8]) -> Result<(), ReportError> {
    ReportError::limit("statement's envelope in bytes", envelope.len(), STATEMENT_BYTES_MAX)
}

fn read(envelope: &[u8]) -> Result<Envelope<'_>, ReportError> {
    check_size(envelope)?;
    let envelope: Envelope<'_> =
        serde_json::from_slice(envelope).map_err(|e| ReportError::malformed(WHAT, &e))?;
    if envelope.payload_type != PAYLOAD_TYPE {
        return Err(ReportError::wrong_type("payloadType", envelope.payload_type, PAYLOAD_TYPE));
    }
    ReportError::limit("statement's signatures", envelope.signatures.len(), SIGNATURES_MAX)?;
    Ok(envelope)
}

/// What is signed, and where the payload begins in it: the payload is decoded straight behind its
/// head, so that it is copied once.
fn pre_authenticate(envelope: &Envelope<'_>) -> Result<(Vec<u8>, usize), ReportError> {
    let text = envelope.payload.as_bytes();
    let padding = text.iter().rev().take(2).take_while(|&&byte| byte == b'=').count();
    let body_len = (text.len() / 4 * 3).saturating_sub(padding);
    let mut pae = pae_head(PAYLOAD_TYPE, body_len).into_bytes();
    let payload_at = pae.len();
    pae.reserve_exact(body_len + 3);
    STANDARD.decode_vec(text, &mut pae).map_err(|e| ReportError::malformed("payload", &e))?;
    if pae.len() - payload_at != body_len {
        return Err(ReportError::malformed("payload", &"its length is not that of its text"));
    }
    Ok((pae, payload_at))
}

fn encode(envelope: &Envelope<'_>) -> Bytes {
    serde_json::to_vec(envelope).expect("an envelope has text fields only").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pre_authentication_encoding_is_that_of_the_specification() {
        let mut pae = pae_head("http://example.com/HelloWorld", 11);
        pae.push_str("hello world");
        assert_eq!(pae, "DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }
}
