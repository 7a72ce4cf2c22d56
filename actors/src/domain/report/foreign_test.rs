//! Links and keys as the library reads them that the peer's clients are built on.

use in_toto::crypto::{PublicKey, SignatureScheme};
use in_toto::models::Metablock;

use super::test_data::{INPUT, artifacts, built, coordinator, report, worker};
use super::{countersign_link, key_id, public_key_pem, public_key_pem_legacy, sign};
use crate::port::Signer;

fn foreign(signer: &dyn Signer) -> PublicKey {
    let pem = public_key_pem_legacy(&signer.public_key());
    PublicKey::from_pem_spki(&pem, SignatureScheme::Ed25519).unwrap()
}

#[test]
fn in_toto_accepts_our_links_and_countersignatures() {
    let all = artifacts();
    let signed = sign(&report(built(), &all), &all, Some(INPUT), &worker());
    let both = countersign_link(&signed.links[0].metablock, &coordinator()).unwrap();
    for (metablock, needed) in [(&signed.links[0].metablock, 1), (&both, 2)] {
        let parsed: Metablock = serde_json::from_slice(metablock).unwrap();
        let keys = [foreign(&worker()), foreign(&coordinator())];
        assert!(parsed.verify(needed, &keys).is_ok());
        let tampered = String::from_utf8(metablock.to_vec()).unwrap();
        let tampered = tampered.replace("rebuild hello_1", "rebuild hello_2");
        let parsed: Metablock = serde_json::from_str(&tampered).unwrap();
        assert!(parsed.verify(needed, &keys).is_err());
    }
}

#[test]
fn in_toto_computes_the_same_key_id_from_the_legacy_form_only() {
    for signer in [worker(), coordinator()] {
        let id = serde_json::to_value(foreign(&signer).key_id()).unwrap();
        assert_eq!(id.as_str(), Some(&*key_id(&signer.public_key())));
        let pem = public_key_pem(&signer.public_key());
        assert!(PublicKey::from_pem_spki(&pem, SignatureScheme::Ed25519).is_err());
    }
}
