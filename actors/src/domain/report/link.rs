//! In-toto links in the form of version 0.9, exactly as the peer's clients read them.
//!
//! A client parses `signed` into a struct of its own and makes the signed bytes from that, so a
//! field that it does not know breaks the signature, and the order on the wire does not matter.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::ReportError;
use super::envelope::SIGNATURES_MAX;
use super::known_key::{KnownKey, key_id};
use crate::port::Signer;
use crate::protocol::{Sha256, Sha512, Signature};

/// Largest metablock that is read, in bytes: two file names of 255 bytes, every byte escaped, with
/// their digests, and as many signatures as are allowed.
pub const LINK_BYTES_MAX: usize = 16 << 10;

/// Most links that a report may carry: one for each artifact.
pub const LINKS_MAX: usize = super::ARTIFACTS_MAX;

/// What a link says: this file came out, of this build input.
#[derive(Clone, Copy)]
pub(super) struct LinkContent<'a> {
    /// Name and digests of the artifact as it was rebuilt.
    pub product: (&'a str, &'a Sha256, &'a Sha512),
    /// Name and digests of the build input; `None` where there is none.
    pub material: Option<(&'a str, &'a Sha256, &'a Sha512)>,
}

impl LinkContent<'_> {
    /// `signed` in the order of fields that the peer writes.
    fn wire(&self) -> String {
        format!(
            "{{\"_type\":\"link\",\"name\":{},\"materials\":{},\"products\":{},\
             \"environment\":null,\"byproducts\":{{}},\"command\":[]}}",
            self.name(),
            file_map(self.material),
            file_map(Some(self.product)),
        )
    }

    /// The bytes that are signed.
    fn signed_bytes(&self) -> Vec<u8> {
        newlines(&format!(
            "{{\"_type\":\"link\",\"byproducts\":{{}},\"command\":[],\"environment\":null,\
             \"materials\":{},\"name\":{},\"products\":{}}}",
            file_map(self.material),
            self.name(),
            file_map(Some(self.product)),
        ))
    }

    fn name(&self) -> String {
        quoted(&format!("rebuild {}", self.product.0))
    }
}

/// The metablock of a link, signed.
pub(super) fn seal(content: &LinkContent<'_>, signer: &dyn Signer) -> Bytes {
    let signature = signer.sign(&content.signed_bytes());
    let signature = LinkSignature::new(key_id(&signer.public_key()), signature);
    encode(&[signature], &content.wire())
}

/// Checks that `metablock` says exactly `content`, signed by exactly `keys` in that order.
pub(super) fn check(
    metablock: &[u8],
    content: &LinkContent<'_>,
    keys: &[KnownKey],
) -> Result<(), ReportError> {
    let file = content.product.0;
    let metablock = read(metablock)?;
    if metablock.signed.get() != content.wire() {
        return Err(ReportError::LinkDiffers { file: file.into() });
    }
    if metablock.signatures.len() != keys.len() {
        return Err(ReportError::Signers { what: format!("link of {file}") });
    }
    let signed = content.signed_bytes();
    for (signature, key) in metablock.signatures.iter().zip(keys) {
        if signature.keyid != key.id {
            return Err(ReportError::Signers { what: format!("link of {file}") });
        }
        let valid = signature.sig.parse().is_ok_and(|sig| key.verifier.verifies(&signed, &sig));
        if !valid {
            let (what, key_id) = (format!("link of {file}"), key.id.clone());
            return Err(ReportError::BadSignature { what, key_id });
        }
    }
    Ok(())
}

/// Adds `signer`'s signature to an in-toto link metablock, of a worker of ours or of the peer's.
/// The text of `signed` and the other signatures stay as they are, byte for byte. A metablock that
/// already has it comes back unchanged; a false one under the signer's key id (anybody can write
/// one there) is replaced.
///
/// It vouches for nothing that was not checked before: call it with bytes that `verify` accepted.
pub fn countersign_link(metablock: &Bytes, signer: &dyn Signer) -> Result<Bytes, ReportError> {
    let mut parsed = read(metablock)?;
    let signed: Canonical = serde_json::from_str(parsed.signed.get())
        .map_err(|e| ReportError::malformed("signed part of the link", &e))?;
    let canonical = serde_json::to_string(&signed).expect("a link has text and integers only");
    let signature = signer.sign(&newlines(&canonical));
    let own = LinkSignature::new(key_id(&signer.public_key()), signature);
    let present = parsed.signatures.iter().filter(|s| s.keyid == own.keyid).count();
    if present == 1 && parsed.signatures.iter().any(|s| s.sig == own.sig) {
        return Ok(metablock.clone());
    }
    parsed.signatures.retain(|signature| signature.keyid != own.keyid);
    parsed.signatures.push(own);
    ReportError::limit("link's signatures", parsed.signatures.len(), SIGNATURES_MAX)?;
    Ok(encode(&parsed.signatures, parsed.signed.get()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Metablock<'a> {
    #[serde(borrow)]
    signatures: Vec<LinkSignature<'a>>,
    #[serde(borrow)]
    signed: &'a RawValue,
}

/// Both texts are borrowed when read and owned when made.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkSignature<'a> {
    #[serde(borrow)]
    keyid: Cow<'a, str>,
    #[serde(borrow)]
    sig: Cow<'a, str>,
}

impl LinkSignature<'_> {
    fn new(key_id: String, signature: Signature) -> Self {
        Self { keyid: key_id.into(), sig: signature.to_string().into() }
    }
}

/// `signed` of any link. Fields stand in the order of canonical JSON and maps are sorted, so
/// that writing it gives canonical JSON. An unknown field is refused as clients refuse it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Canonical {
    #[serde(rename = "_type")]
    kind: LinkWord,
    byproducts: BTreeMap<String, Byproduct>,
    command: Vec<String>,
    environment: Option<BTreeMap<String, String>>,
    materials: BTreeMap<String, BTreeMap<String, String>>,
    name: String,
    products: BTreeMap<String, BTreeMap<String, String>>,
}

#[derive(Serialize, Deserialize)]
enum LinkWord {
    #[serde(rename = "link")]
    Link,
}

/// `stdout` and `stderr` are texts, `return-value` is a number.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Byproduct {
    Text(String),
    Number(i64),
}

fn read(metablock: &[u8]) -> Result<Metablock<'_>, ReportError> {
    ReportError::limit("link in bytes", metablock.len(), LINK_BYTES_MAX)?;
    let metablock: Metablock<'_> =
        serde_json::from_slice(metablock).map_err(|e| ReportError::malformed("link", &e))?;
    ReportError::limit("link's signatures", metablock.signatures.len(), SIGNATURES_MAX)?;
    Ok(metablock)
}

fn encode(signatures: &[LinkSignature<'_>], signed: &str) -> Bytes {
    let signatures = serde_json::to_string(signatures).expect("signatures have text fields only");
    format!("{{\"signatures\":{signatures},\"signed\":{signed}}}").into()
}

/// `{"FILE":{"sha256":"…","sha512":"…"}}`, or `{}`.
fn file_map(file: Option<(&str, &Sha256, &Sha512)>) -> String {
    match file {
        None => "{}".into(),
        Some((name, sha256, sha512)) => {
            let name = quoted(name);
            format!("{{{name}:{{\"sha256\":\"{sha256}\",\"sha512\":\"{sha512}\"}}}}")
        }
    }
}

/// `text` as a JSON string, escaped as serde_json does.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text is always JSON")
}

/// The quirk of in-toto 0.9 in Rust: before it signs canonical JSON it turns the two characters
/// `\n` into a newline, wherever they stand.
fn newlines(canonical: &str) -> Vec<u8> {
    canonical.replace("\\n", "\n").into_bytes()
}
