//! Exact bytes, computed by an independent program (Python's `hashlib`, `json` and
//! `cryptography`) from the formats' descriptions and never from this code.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::test_data::{INPUT, artifact, artifacts, built, coordinator, rebuilt, report, worker};
use super::{KnownKey, countersign_link, key_id, sign, verify_and_countersign};
use crate::port::Signer as _;
use crate::protocol::{Ending, SignedLink};

#[test]
fn key_id_is_that_of_the_peer() {
    assert_eq!(worker().public_key().to_string(), PUBLIC);
    assert_eq!(key_id(&worker().public_key()), KEY_ID);
    assert_eq!(key_id(&coordinator().public_key()), COORDINATOR_KEY_ID);
}

#[test]
fn link_and_countersigned_link_are_exact() {
    let signed = sign(&report(built(), &artifacts()), &artifacts(), Some(INPUT), &worker());
    let metablock = Bytes::from(LINK);
    assert_eq!(signed.links, [SignedLink { file: "hello_1_amd64.deb".into(), metablock }]);
    let both = countersign_link(&signed.links[0].metablock, &coordinator()).unwrap();
    assert_eq!(both, LINK_COUNTERSIGNED);
    assert_eq!(countersign_link(&both, &coordinator()).unwrap(), both, "once only");
}

#[test]
fn newline_quirk_is_signed_as_clients_expect_and_kept_by_a_countersignature() {
    let name = "a\nb\"\\nü.deb";
    let mut artifacts = vec![artifact("a", Some(b"hello"))];
    artifacts[0].file = name.into();
    let mut files = vec![rebuilt("a", Some(b"hello"), None)];
    files[0].file = name.into();
    let report = report(Ending::Built(files), &artifacts);
    let signed = sign(&report, &artifacts, None, &worker());
    assert_eq!(signed.links[0].metablock, LINK_QUIRK);
    // The same key signs the same bytes whether it is first or second.
    let unsigned = LINK_QUIRK.replace("\"keyid\":\"", "\"keyid\":\"0");
    let again = countersign_link(&Bytes::from(unsigned), &worker()).unwrap();
    let again = String::from_utf8(again.to_vec()).unwrap();
    let own = LINK_QUIRK.split_once("[").unwrap().1.split_once("]").unwrap().0;
    assert!(again.contains(own), "{again}");
}

#[test]
fn statement_and_countersigned_statement_are_exact() {
    let signed = sign(&report(built(), &artifacts()), &artifacts(), Some(INPUT), &worker());
    let payload = STANDARD.encode(PAYLOAD);
    let head = format!(
        "{{\"payload\":\"{payload}\",\"payloadType\":\"application/vnd.in-toto+json\",\
         \"signatures\":[{{\"keyid\":\"{KEY_ID}\",\"sig\":\"{STATEMENT_SIG}\"}}"
    );
    assert_eq!(signed.statement, format!("{head}]}}"));
    let key = KnownKey::new(&worker().public_key());
    let both = verify_and_countersign(&signed, &key, &coordinator()).unwrap().1;
    assert_eq!(both.links, signed.links);
    let both = both.statement;
    let second =
        format!(",{{\"keyid\":\"{COORDINATOR_KEY_ID}\",\"sig\":\"{STATEMENT_COUNTERSIG}\"}}]}}");
    assert_eq!(both, head + &second);
}

const KEY_ID: &str = "\
    eab68a81e62173a71a44258d69ff4876569e173ae1d73ce908b7c8079b744ada";

const PUBLIC: &str = "\
    ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c";

const LINK: &str = "\
    {\"signatures\":[{\"keyid\":\"eab68a81e62173a71a44258d69ff4876569e173ae1d73ce908b7c8\
    079b744ada\",\"sig\":\"480f1230fa98485d068ea5b87126bd4e938914616748d932f21a548750744\
    05dca8517814f5d8b743c64027f8ff95b8add9c5f7496c6e50406681c7bfe215201\"}],\"signed\":{\
    \"_type\":\"link\",\"name\":\"rebuild hello_1_amd64.deb\",\"materials\":{\"hello_1_a\
    md64.buildinfo\":{\"sha256\":\"c96c6d5be8d08a12e7b5cdc1b207fa6b2430974c86803d8891675\
    e76fd992c20\",\"sha512\":\"dc6d6c30f2be9c976d6318c9a534d85e9a1c3f3608321a04b4678ef40\
    8124d45d7164f3e562e68c6c0b6c077340a785824017032fddfa924f4cf400e6cbb6adc\"}},\"produc\
    ts\":{\"hello_1_amd64.deb\":{\"sha256\":\"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1f\
    a7425e73043362938b9824\",\"sha512\":\"9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caa\
    dae2dff72519673ca72323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043\"\
    }},\"environment\":null,\"byproducts\":{},\"command\":[]}}";

const LINK_COUNTERSIGNED: &str = "\
    {\"signatures\":[{\"keyid\":\"eab68a81e62173a71a44258d69ff4876569e173ae1d73ce908b7c8\
    079b744ada\",\"sig\":\"480f1230fa98485d068ea5b87126bd4e938914616748d932f21a548750744\
    05dca8517814f5d8b743c64027f8ff95b8add9c5f7496c6e50406681c7bfe215201\"},{\"keyid\":\"\
    01342643ef4c9d2a76b1e57b0990aa1ef6084ec03dd9a1e3fff98ca6d87dd1b5\",\"sig\":\"18d4377\
    deaa9d0ce8767a85b5f04033ddc48ec2a1afebbf3e4f12506d667cfe9479049ab167abc10090d06122a2\
    a0ae0f639d2535b128213964b09e35c591b00\"}],\"signed\":{\"_type\":\"link\",\"name\":\"\
    rebuild hello_1_amd64.deb\",\"materials\":{\"hello_1_amd64.buildinfo\":{\"sha256\":\
    \"c96c6d5be8d08a12e7b5cdc1b207fa6b2430974c86803d8891675e76fd992c20\",\"sha512\":\"dc\
    6d6c30f2be9c976d6318c9a534d85e9a1c3f3608321a04b4678ef408124d45d7164f3e562e68c6c0b6c0\
    77340a785824017032fddfa924f4cf400e6cbb6adc\"}},\"products\":{\"hello_1_amd64.deb\":{\
    \"sha256\":\"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\",\"sh\
    a512\":\"9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca72323c3d99ba\
    5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043\"}},\"environment\":null,\"byp\
    roducts\":{},\"command\":[]}}";

const LINK_QUIRK: &str = "\
    {\"signatures\":[{\"keyid\":\"eab68a81e62173a71a44258d69ff4876569e173ae1d73ce908b7c8\
    079b744ada\",\"sig\":\"5e8a12602497adec9a6572f30ddd8548b6f59d627b4bc8e95889f14b861b0\
    273a81783af7fb26a37e497daa40753fcaf8ab7b42567ac8e66abe215044e4f7906\"}],\"signed\":{\
    \"_type\":\"link\",\"name\":\"rebuild a\\nb\\\"\\\\nü.deb\",\"materials\":{},\"produ\
    cts\":{\"a\\nb\\\"\\\\nü.deb\":{\"sha256\":\"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5\
    c1fa7425e73043362938b9824\",\"sha512\":\"9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890\
    caadae2dff72519673ca72323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec04\
    3\"}},\"environment\":null,\"byproducts\":{},\"command\":[]}}";

const PAYLOAD: &str = "\
    {\"_type\":\"https://in-toto.io/Statement/v1\",\"subject\":[{\"name\":\"hello_1_amd6\
    4.deb\",\"digest\":{\"sha256\":\"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e730\
    43362938b9824\",\"sha512\":\"9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72\
    519673ca72323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043\"}},{\"nam\
    e\":\"hello-dbg_1_amd64.deb\",\"digest\":{\"sha256\":\"d9298a10d1b0735837dc4bd85dac6\
    41b0f3cef27a47e5d53a54f2f3f5b2fcffa\",\"sha512\":\"e25ac3845f8cbe12801a2dfa5a89d4c55\
    dc47900f3b6edc9a9ee590f3c2b9312f665d0039c93828b7b58f33950bc817a0955a9c5000a8d3e28056\
    9f08745ca68\"}}],\"predicateType\":\"urn:rebuilder:attempt:v1\",\"predicate\":{\"att\
    empt\":{\"job\":12,\"epoch\":3},\"job\":{\"distribution\":\"debian\",\"backend\":\"d\
    ebian\",\"source\":\"hello\",\"version\":\"1\",\"architecture\":\"amd64\",\"input\":\
    \"hello_1_amd64.buildinfo\"},\"artifactSet\":\"b1cbac697640775a868f15ffbbe4e8a82b11c\
    acff4d68fa4d702e807dba9c6a1\",\"index\":{\"trust\":\"signed\",\"sha256\":\"1bc04b529\
    1c26a46d918139138b992d2de976d6851d0893b0476b85bfbdfc6e6\"},\"outcome\":{\"built\":[{\
    \"file\":\"hello_1_amd64.deb\",\"outputSize\":5,\"published\":null},{\"file\":\"hell\
    o-dbg_1_amd64.deb\",\"outputSize\":5,\"published\":{\"size\":9,\"sha256\":\"b04e5ea2\
    01bb040cae53f693f6a38a3e00b62da6039ca248fecd59b7fc842894\",\"sha512\":\"1eb9471b65d3\
    26a5358d285d6778f590ab34397a53f7e457611bf7420cd9f6df8d34087b40caf277e37ebd4a795fd2a3\
    410ecb5a464d06917307e77ecda03006\"}},{\"file\":\"hello-doc_1_amd64.deb\",\"outputSiz\
    e\":null,\"published\":null}]},\"environment\":{\"knowledge\":\"recorded\",\"sha256\
    \":null},\"isolation\":\"full\",\"input\":{\"file\":\"hello_1_amd64.buildinfo\",\"sh\
    a256\":\"c96c6d5be8d08a12e7b5cdc1b207fa6b2430974c86803d8891675e76fd992c20\",\"sha512\
    \":\"dc6d6c30f2be9c976d6318c9a534d85e9a1c3f3608321a04b4678ef408124d45d7164f3e562e68c\
    6c0b6c077340a785824017032fddfa924f4cf400e6cbb6adc\"},\"sourceSha256\":\"41cf6794ba42\
    00b839c53531555f0f3998df4cbb01a4d5cb0b94e3ca5e23947d\",\"startedAtMillis\":170000000\
    0000,\"finishedAtMillis\":1700000060000,\"log\":{\"sha256\":\"836ff184e7b41b1e13cb5f\
    d89fa1de98dbbab99e9d2918913ff43b86a5c7c213\",\"size\":3,\"truncated\":false},\"worke\
    rVersion\":\"0.1.0\",\"signer\":\"worker-key\"}}";

const STATEMENT_SIG: &str = "\
    iCkESLa8QMQzqH1VdJ8LuyYLpCqs+0rjxvYsK045bdAbkgJ/OQCQkySaoUKXZVRJgH0mqXlTlSQWr6tQKsJY\
    BQ==";

const STATEMENT_COUNTERSIG: &str = "\
    76sqNgUEub8bODl8UoLbyJkcfkOrfR7Zru4HWqH6Jf2d2+WgkFWSbf1qo7MIAixUadOrxuD3QrSg9F0POygS\
    Aw==";

const COORDINATOR_KEY_ID: &str = "\
    01342643ef4c9d2a76b1e57b0990aa1ef6084ec03dd9a1e3fff98ca6d87dd1b5";
