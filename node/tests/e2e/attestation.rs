//! Attestations checked by other programs than ours: OpenSSL for the statement, the library that
//! the peer's clients are built on for the link.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use in_toto::crypto::{PublicKey, SignatureScheme};
use in_toto::models::Metablock;
use serde_json::Value;

use crate::archive::architecture;
use crate::node::sha256sum;
use crate::scene::Scene;
use crate::tools::run;

/// The DER of an ed25519 key (RFC 8410), but for the key; and as in-toto 0.4 reads it.
const SPKI: &str = "302a300506032b6570032100";
const SPKI_LEGACY: &str = "302c300706032b65700500032100";

pub fn holds(scene: &Scene) {
    let worker = scene.node.ctl_json(&["worker", "ls"])[0]["key"].as_str().unwrap().to_owned();
    let coordinator = scene.node.data_dir().join("coordinator.pub");
    let coordinator = std::fs::read_to_string(coordinator).unwrap().trim().to_owned();
    assert_ne!(worker, coordinator);
    let file = format!("tiny_1.0_{}.deb", architecture());
    let in_index = digest_in_index(scene, &file);
    assert_eq!(in_index, sha256sum(&scene.archive.pool().join(&file)));
    let text = scene.node.ctl(&["pkgs", "attestation", "--name", "tiny"]);
    let lines: Vec<&str> = text.lines().collect();
    let [link, statement] = lines[..] else { panic!("a link and a statement: {text}") };
    check_link(link, [&worker, &coordinator], &file, &in_index);
    check_statement(scene.folder.path(), statement, [&worker, &coordinator], &file, &in_index);
    let text = scene.node.ctl(&["pkgs", "attestation", "--name", "tiny-altered"]);
    assert_eq!(text.lines().count(), 1, "no link of what differs: {text}");
}

/// What the index that the key signed names.
fn digest_in_index(scene: &Scene, file: &str) -> String {
    let dist = scene.archive.folder.join("own/dists/test");
    let keyring = scene.archive.keyring.to_str().unwrap();
    run(&dist, &["gpgv", "--keyring", keyring, "--output", "/dev/null", "InRelease"]);
    let packages = dist.join(format!("main/binary-{}/Packages", architecture()));
    let release = std::fs::read_to_string(dist.join("InRelease")).unwrap();
    assert!(release.contains(&sha256sum(&packages)), "the index is the signed one");
    let packages = std::fs::read_to_string(packages).unwrap();
    let stanza = packages.split("\n\n").find(|stanza| stanza.contains(&format!("/{file}\n")));
    let line = stanza.unwrap().lines().find_map(|line| line.strip_prefix("SHA256: "));
    line.unwrap().to_owned()
}

fn check_link(link: &str, keys: [&str; 2], file: &str, digest: &str) {
    let public = keys.map(|key| {
        let der = hex::decode(format!("{SPKI_LEGACY}{key}")).unwrap();
        PublicKey::from_spki(&der, SignatureScheme::Ed25519).unwrap()
    });
    let block: Metablock = serde_json::from_str(link).unwrap();
    block.verify(2, &public).expect("signed by worker and coordinator");
    let forged = link.replace(digest, &digest.replace(['0', '1'], "2"));
    assert_ne!(forged, link);
    let forged: Metablock = serde_json::from_str(&forged).unwrap();
    assert!(forged.verify(1, &public).is_err());
    let link: Value = serde_json::from_str(link).unwrap();
    assert_eq!(link["signed"]["products"][file]["sha256"], digest);
}

fn check_statement(folder: &Path, text: &str, keys: [&str; 2], file: &str, digest: &str) {
    let envelope: Value = serde_json::from_str(text).unwrap();
    let kind = envelope["payloadType"].as_str().unwrap();
    let payload = STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
    let mut signed = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    signed.extend_from_slice(&payload);
    std::fs::write(folder.join("signed"), &signed).unwrap();
    let signatures = envelope["signatures"].as_array().unwrap();
    assert_eq!(signatures.len(), 2, "{envelope:#}");
    for (key, signature) in keys.into_iter().zip(signatures) {
        let bytes = STANDARD.decode(signature["sig"].as_str().unwrap()).unwrap();
        std::fs::write(folder.join("signature"), bytes).unwrap();
        std::fs::write(folder.join("key"), hex::decode(format!("{SPKI}{key}")).unwrap()).unwrap();
        let command = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER"];
        let files = ["-inkey", "key", "-sigfile", "signature", "-in", "signed"];
        let said = run(folder, &[&command[..], &files].concat());
        assert!(said.contains("Verified Successfully"), "{said}");
    }
    let statement: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(statement["subject"][0]["name"], file);
    assert_eq!(statement["subject"][0]["digest"]["sha256"], digest);
}
