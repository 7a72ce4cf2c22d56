//! What `--json` shows of keys and of what is signed by them.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::failure::Failure;
use crate::json::{EvidenceRow, to_line};

/// Attestations as they are served, a line each and the statement last, as one JSON object.
///
/// # Errors
/// They are no JSON.
pub fn attestation(lines: &[u8]) -> Result<String, Failure> {
    let wrong = |error: &dyn std::fmt::Display| Failure::Protocol(format!("attestation: {error}"));
    let text = std::str::from_utf8(lines).map_err(|error| wrong(&error))?;
    let mut parts: Vec<&RawValue> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        parts.push(serde_json::from_str(line).map_err(|error| wrong(&error))?);
    }
    let statement = parts.pop();
    Ok(to_line(&AttestationRow { links: parts, statement }) + "\n")
}

/// Of `pkgs attestation`.
#[derive(Debug, Serialize)]
pub struct AttestationRow<'a> {
    pub links: Vec<&'a RawValue>,
    pub statement: Option<&'a RawValue>,
}

/// Of `keygen`.
#[derive(Debug, Serialize)]
pub struct KeyRow<'a> {
    pub path: &'a str,
    pub key: String,
    pub key_id: String,
    pub made: bool,
}

/// Of `verify`.
#[derive(Debug, Serialize)]
pub struct VerifyRow<'a> {
    pub file: &'a str,
    pub sha256: String,
    pub verified: bool,
    pub reason: Option<&'a str>,
    pub status: &'static str,
    pub name: &'a str,
    pub version: &'a str,
    pub architecture: &'a str,
    pub distribution: &'a str,
    pub release: Option<&'a str>,
    pub built_at: Option<String>,
    pub worker: Option<&'a str>,
    pub worker_key: Option<String>,
    pub worker_key_id: Option<String>,
    pub coordinator_key: String,
    pub coordinator_key_id: String,
    pub evidence: Option<EvidenceRow>,
    pub gate_grade: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attestations_are_one_document_with_every_byte_of_each() {
        let link = r#"{"signatures":[ ],"signed":{"b":1,"a":1.0}}"#;
        let statement = r#"{"payload":"eA==","payloadType":"t"}"#;
        let text = attestation(format!("{link}\n{statement}\n").as_bytes()).unwrap();
        assert_eq!(text, format!("{{\"links\":[{link}],\"statement\":{statement}}}\n"));
        let text = attestation(format!("{statement}\n").as_bytes()).unwrap();
        assert_eq!(text, format!("{{\"links\":[],\"statement\":{statement}}}\n"));
        assert_eq!(attestation(b"").unwrap(), "{\"links\":[],\"statement\":null}\n");
        assert!(attestation(b"{\n").is_err() && attestation(b"\xff").is_err());
    }
}
