use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::protocol::PublicKey;

/// SubjectPublicKeyInfo of ed25519 (RFC 8410), up to the key.
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

/// The same with a NULL as the algorithm's parameters, which RFC 8410 forbids and the peer writes.
const SPKI_NULL: [u8; 14] = [0x30, 0x2c, 0x30, 0x07, 6, 3, 0x2b, 0x65, 0x70, 5, 0, 3, 0x21, 0];

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";

/// `key` as PEM after RFC 8410, with LF: what OpenSSL and most others read.
pub fn public_key_pem(key: &PublicKey) -> String {
    pem(&SPKI, key, "\n")
}

/// `key` as PEM as the peer serves it: with a NULL parameter and CRLF. Its clients compare the
/// text and refuse every other form; OpenSSL refuses this one.
pub fn public_key_pem_legacy(key: &PublicKey) -> String {
    pem(&SPKI_NULL, key, "\r\n")
}

/// Reads both forms, with LF or CRLF; `None` when `text` is neither.
pub fn public_key_from_pem(text: &str) -> Option<PublicKey> {
    let body = text.trim().strip_prefix(BEGIN)?.strip_suffix(END)?.trim();
    // 46 bytes at most are 64 digits; a hostile text is not decoded at length.
    let der = STANDARD.decode(body.get(..body.len().min(65))?).ok()?;
    let key = der.strip_prefix(&SPKI[..]).or_else(|| der.strip_prefix(&SPKI_NULL[..]))?;
    Some(PublicKey(key.try_into().ok()?))
}

fn pem(prefix: &[u8], key: &PublicKey, eol: &str) -> String {
    let mut der = Vec::with_capacity(prefix.len() + key.0.len());
    der.extend_from_slice(prefix);
    der.extend_from_slice(&key.0);
    // At most 64 digits: one line in either form.
    format!("{BEGIN}{eol}{}{eol}{END}{eol}", STANDARD.encode(der))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_exact_and_read_back() {
        let key = PublicKey([7; 32]);
        let pem = public_key_pem(&key);
        assert_eq!(
            pem,
            "-----BEGIN PUBLIC KEY-----\n\
             MCowBQYDK2VwAyEABwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n\
             -----END PUBLIC KEY-----\n"
        );
        let legacy = public_key_pem_legacy(&key);
        assert_eq!(
            legacy,
            "-----BEGIN PUBLIC KEY-----\r\n\
             MCwwBwYDK2VwBQADIQAHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBw==\r\n\
             -----END PUBLIC KEY-----\r\n"
        );
        assert_eq!(public_key_from_pem(&pem), Some(key));
        assert_eq!(public_key_from_pem(&legacy), Some(key));
        assert_eq!(public_key_from_pem(&pem.replace("MCow", "MCox")), None);
        assert_eq!(public_key_from_pem(""), None);
        assert_eq!(public_key_from_pem(&legacy.replace("BwcH", "ÄwcH")), None);
    }
}
