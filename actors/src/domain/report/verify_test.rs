use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use proptest::prelude::*;

use super::test_data::{INPUT, artifact, artifacts, built, coordinator, rebuilt, report, worker};
use super::{
    ARTIFACTS_MAX, AttemptReport, KnownKey, LINK_BYTES_MAX, LINKS_MAX, ReportError,
    STATEMENT_BYTES_MAX, envelope, sign, sign_verified, verify, verify_and_countersign,
    verify_countersigned,
};
use crate::port::Signer as _;
use crate::protocol::{
    Artifact, Capability, Ending, Fault, FaultKind, Isolation, PublicKey, Rebuilt, Sandbox, Sha256,
    SignedReport, Verdict,
};

fn key() -> PublicKey {
    worker().public_key()
}

fn signed() -> SignedReport {
    sign(&report(built(), &artifacts()), &artifacts(), Some(INPUT), &worker())
}

fn countersign(signed: &SignedReport) -> SignedReport {
    let worker = KnownKey::new(&key());
    verify_and_countersign(signed, &worker, &coordinator()).unwrap().1
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn payload(signed: &SignedReport) -> String {
    let envelope = text(&signed.statement);
    let payload = envelope.split('"').nth(3).unwrap();
    String::from_utf8(STANDARD.decode(payload).unwrap()).unwrap()
}

/// The report with another payload, signed by the worker itself.
fn with_payload(payload: &str) -> SignedReport {
    SignedReport { statement: envelope::seal(payload.as_bytes(), &worker()), ..signed() }
}

/// What `verify` says about the report whose payload has `to` for `from`, signed again.
fn edited(from: &str, to: &str) -> ReportError {
    let before = payload(&signed());
    assert!(before.contains(from), "{from}");
    verify(&with_payload(&before.replacen(from, to, 1)), &key()).unwrap_err()
}

#[test]
fn what_was_signed_is_what_is_verified() {
    let signed = signed();
    let verified = verify(&signed, &key()).unwrap();
    assert_eq!(*verified.report(), report(built(), &artifacts()));
    assert_eq!(verified.input_file(), Some(INPUT));
    assert_eq!(verified.worker(), &key());
    assert_eq!(verified.signed(), &signed);
    let sent = postcard::to_allocvec(&signed).unwrap();
    assert_eq!(postcard::from_bytes::<SignedReport>(&sent).unwrap(), signed);
}

#[test]
fn any_changed_byte_is_refused() {
    let signed = signed();
    let flip = |bytes: &Bytes, at: usize| {
        let mut changed = bytes.to_vec();
        changed[at] ^= 1;
        Bytes::from(changed)
    };
    for at in 0..signed.statement.len() {
        let statement = flip(&signed.statement, at);
        assert!(verify(&SignedReport { statement, ..signed.clone() }, &key()).is_err(), "{at}");
    }
    for at in 0..signed.links[0].metablock.len() {
        let mut changed = signed.clone();
        changed.links[0].metablock = flip(&changed.links[0].metablock, at);
        assert!(verify(&changed, &key()).is_err(), "{at}");
    }
}

#[test]
fn every_field_of_the_report_is_bound() {
    // One changed character in each string, number and word of the payload, under the old
    // signature.
    let (before, signed) = (payload(&signed()), signed());
    let outer = text(&signed.statement);
    let old = STANDARD.encode(&before);
    let mut changed = 0;
    for (at, character) in before.char_indices().filter(|(_, c)| c.is_ascii_alphanumeric()) {
        let mut after = before.clone();
        let other = if character == '1' { "2" } else { "1" };
        after.replace_range(at..=at, other);
        let statement = outer.replace(&old, &STANDARD.encode(&after)).into();
        let refused = verify(&SignedReport { statement, ..signed.clone() }, &key()).unwrap_err();
        assert!(matches!(refused, ReportError::BadSignature { .. }), "{at}: {refused:?}");
        changed += 1;
    }
    assert!(changed > 1_000, "{changed}");
}

#[test]
fn only_exactly_the_worker_may_have_signed() {
    let signed = signed();
    let signers = ReportError::Signers { what: "statement".into() };
    assert_eq!(verify(&signed, &coordinator().public_key()).unwrap_err(), signers);
    // A forger writes the worker's key id beside a signature of its own.
    let forged = sign(&report(built(), &artifacts()), &artifacts(), Some(INPUT), &coordinator());
    let rename = |bytes: &Bytes| {
        let (from, to) = (coordinator().public_key(), key());
        Bytes::from(text(bytes).replace(&super::key_id(&from), &super::key_id(&to)))
    };
    let statement = rename(&forged.statement);
    let refused = verify(&SignedReport { statement, ..signed.clone() }, &key()).unwrap_err();
    assert!(matches!(refused, ReportError::BadSignature { .. }), "{refused:?}");
    let mut with_link = signed.clone();
    with_link.links[0].metablock = rename(&forged.links[0].metablock);
    let refused = verify(&with_link, &key()).unwrap_err();
    assert!(matches!(refused, ReportError::BadSignature { .. }), "{refused:?}");
    // Without any signature, and with one more.
    let envelope = text(&signed.statement);
    let at = envelope.find('[').unwrap() + 1;
    let none: Bytes = format!("{}]}}", &envelope[..at]).into();
    let more = countersign(&signed).statement;
    for statement in [none, more] {
        let changed = SignedReport { statement, ..signed.clone() };
        assert_eq!(verify(&changed, &key()).unwrap_err(), signers);
    }
}

#[test]
fn countersigned_reports_verify_with_both_keys_only() {
    let both = countersign(&signed());
    let second = coordinator().public_key();
    let verified = verify_countersigned(&both, &key(), &[second]).unwrap();
    assert_eq!(*verified.report(), report(built(), &artifacts()));
    assert!(verify(&both, &key()).is_err());
    assert!(verify_countersigned(&both, &second, &[key()]).is_err());
    let worker = KnownKey::new(&key());
    assert!(verify_and_countersign(&both, &worker, &coordinator()).is_err(), "once only");
}

#[test]
fn payloads_of_another_form_are_refused_though_signed() {
    use ReportError::{DuplicateFile, Malformed, Subjects, WrongType};
    let malformed = |from, to| assert!(matches!(edited(from, to), Malformed { .. }), "{to}");
    malformed("{\"attempt\":", "{\"verdict\":\"good\",\"attempt\":");
    malformed("{\"_type\"", "{\"x\":1,\"_type\"");
    malformed("{\"job\":12", "{\"job\":12,\"job\":13");
    malformed("\"digest\":{", "\"digest\":{\"md5\":\"00\",");
    malformed("{\"built\":", "{\"reproduced\":");
    malformed("\"epoch\":3", "\"epoch\":-3");
    malformed("\"signer\":\"worker-key\"}}", "\"signer\":\"worker-key\"}} ;");
    assert!(matches!(edited("Statement/v1", "Statement/v2"), WrongType { .. }));
    assert!(matches!(edited("attempt:v1", "attempt:v2"), WrongType { .. }));
    let twice = DuplicateFile { file: "hello_1_amd64.deb".into() };
    assert_eq!(edited("{\"name\":\"hello-dbg_", "{\"name\":\"hello_"), twice);
    assert_eq!(edited("{\"file\":\"hello-dbg_", "{\"file\":\"hello_"), twice);
    let renamed = edited("{\"name\":\"hello_", "{\"name\":\"other_");
    assert_eq!(renamed, Subjects { name: "hello_1_amd64.deb".into() });
    let no_output = edited("\"outputSize\":5", "\"outputSize\":null");
    assert!(matches!(no_output, Subjects { .. }), "{no_output:?}");
    let one_more = edited("\"outputSize\":null", "\"outputSize\":7");
    assert_eq!(one_more, Subjects { name: "hello-doc_1_amd64.deb".into() });
}

#[test]
fn a_sandbox_is_signed_read_back_and_believed_only_as_far_as_it_goes() {
    let capabilities = [
        Capability::UserNamespace,
        Capability::MountNamespace,
        Capability::PidNamespace,
        Capability::NetworkNamespace,
        Capability::IpcNamespace,
        Capability::NoNewPrivileges,
        Capability::Seccomp,
        Capability::SocketFamilies,
        Capability::NoNestedNamespaces,
    ];
    let whole = Sandbox { capabilities: capabilities.into(), landlock_abi: Some(7) };
    let signed_with = |sandbox: &Sandbox, isolation| {
        let mut report = report(built(), &artifacts());
        report.attempted.sandbox = Some(sandbox.clone());
        report.attempted.isolation = isolation;
        (sign(&report, &artifacts(), Some(INPUT), &worker()), report)
    };
    let (signed, said) = signed_with(&whole, Isolation::Full);
    assert_eq!(*verify(&signed, &key()).unwrap().report(), said);
    let mut part = whole.clone();
    part.capabilities.remove(&Capability::Seccomp);
    let (signed, _) = signed_with(&part, Isolation::Full);
    let refused = verify(&signed, &key()).unwrap_err();
    assert!(refused.to_string().contains("isolation: full"), "{refused}");
    let (signed, said) = signed_with(&part, Isolation::Network);
    assert_eq!(*verify(&signed, &key()).unwrap().report(), said);
}

#[test]
fn links_must_say_what_the_statement_says() {
    use ReportError::{LinkDiffers, LinkTwice, LinkUnknown};
    let file = || String::from("hello_1_amd64.deb");
    let refused = |change: &dyn Fn(&mut SignedReport)| {
        let mut changed = signed();
        change(&mut changed);
        verify(&changed, &key()).unwrap_err()
    };
    let twice = refused(&|report| report.links.push(report.links[0].clone()));
    assert_eq!(twice, LinkTwice { file: file() });
    for unknown in ["unheard-of.deb", "hello-doc_1_amd64.deb"] {
        let refused = refused(&|report| report.links[0].file = unknown.into());
        assert_eq!(refused, LinkUnknown { file: unknown.into() });
    }
    // Links that the worker did sign: of another output, and of another input.
    let mut other = artifacts();
    other[0].sha256 = Some(Sha256::of(b"evil"));
    let ending = Ending::Built(vec![rebuilt("hello", Some(b"evil"), None)]);
    let evil = sign(&report(ending, &other), &other, Some(INPUT), &worker()).links;
    assert_eq!(evil.len(), 1);
    assert_eq!(refused(&|r| r.links.clone_from(&evil)), LinkDiffers { file: file() });
    let all = artifacts();
    let input = sign(&report(built(), &all), &all, Some("x.buildinfo"), &worker()).links;
    assert_eq!(refused(&|r| r.links.clone_from(&input)), LinkDiffers { file: file() });
}

#[test]
fn sizes_are_checked_before_anything_is_read() {
    let too_large = |signed: &SignedReport, expected: usize| {
        let refused = verify(signed, &key()).unwrap_err();
        assert!(
            matches!(refused, ReportError::TooLarge { count_max, .. } if count_max == expected),
            "{refused:?}"
        );
    };
    let mut report = signed();
    report.statement = vec![b' '; STATEMENT_BYTES_MAX + 1].into();
    too_large(&report, STATEMENT_BYTES_MAX);
    let mut report = signed();
    report.links[0].metablock = vec![b' '; LINK_BYTES_MAX + 1].into();
    too_large(&report, LINK_BYTES_MAX);
    let mut report = signed();
    report.links = vec![report.links[0].clone(); LINKS_MAX + 1];
    too_large(&report, LINKS_MAX);
    let reason = "x".repeat(2_000);
    let long = edited("\"workerVersion\":\"", &format!("\"workerVersion\":\"{reason}"));
    assert!(matches!(long, ReportError::TooLarge { count_max: 1_024, .. }));
}

#[test]
fn the_largest_report_fits_its_own_limits() {
    let name = |i: usize| format!("{}{i:04}.deb", "n".repeat(247));
    let mut all = Vec::new();
    let mut files = Vec::new();
    for i in 0..ARTIFACTS_MAX {
        all.push(artifact("x", Some(b"published")));
        files.push(rebuilt("x", Some(b"other"), Some(b"published")));
        all[i].file = name(i).into();
        files[i].file = name(i).into();
    }
    assert_eq!(all[0].file.len(), super::FILE_BYTES_MAX);
    let signed = sign(&report(Ending::Built(files), &all), &all, None, &worker());
    let verified = verify(&signed, &key()).unwrap();
    assert!(verified.judge(&all).is_ok());
}

#[test]
fn a_long_reason_is_cut_and_accepted() {
    let all = artifacts();
    let reason = "ü".repeat(5_000);
    let signed = sign(&report(Ending::BuildFailed { reason }, &all), &all, None, &worker());
    let verified = verify(&signed, &key()).unwrap();
    let expected = Ending::BuildFailed { reason: "ü".repeat(512) };
    assert_eq!(verified.report().attempted.ending, expected);
}

#[test]
fn what_nobody_would_accept_is_not_made_as_verified() {
    let refused = |names: Vec<String>| {
        let (mut all, mut files) = (Vec::new(), Vec::new());
        for name in &names {
            all.push(Artifact { file: name.as_str().into(), ..artifact("x", None) });
            files.push(Rebuilt { file: name.as_str().into(), ..rebuilt("x", Some(b"a"), None) });
        }
        let report = report(Ending::Built(files), &all);
        let made = sign_verified(&report, &all, None, &worker());
        assert_eq!(made, verify(&sign(&report, &all, None, &worker()), &key()));
        assert!(made.is_err());
    };
    refused(vec!["a".repeat(super::FILE_BYTES_MAX + 1)]);
    // Each byte is six in JSON.
    let control = |n| format!("{n:04}{}", "\u{1}".repeat(super::FILE_BYTES_MAX - 4));
    refused((0..ARTIFACTS_MAX).map(control).collect());
}

/// Any report about up to four files with any names.
fn reports() -> impl Strategy<Value = (AttemptReport, Vec<Artifact>)> {
    let content = || proptest::option::of(prop_oneof![Just(b"a"), Just(b"b")]);
    let file = ("\\PC{1,20}|[a\\\\n\n\"/]{1,9}", content(), content(), Just(b"b"));
    let ending = prop_oneof![
        4 => Just(None),
        1 => "\\PC{0,300}".prop_map(|reason| Some(Ending::BuildFailed { reason })),
        1 => "\\PC{0,300}".prop_map(|detail| {
            Some(Ending::Fault(Fault { kind: FaultKind::OutOfMemory, detail }))
        }),
    ];
    (proptest::collection::vec(file, 0..4), ending, any::<i64>()).prop_map(|(files, end, time)| {
        let mut names = std::collections::BTreeSet::new();
        let (mut all, mut entries) = (Vec::new(), Vec::new());
        for (name, index, output, published) in files {
            if names.insert(name.clone()) {
                let mut one = artifact("x", index.map(|bytes| &bytes[..]));
                let published = Some(&published[..]);
                let mut entry = rebuilt("x", output.map(|bytes| &bytes[..]), published);
                one.file = name.clone().into();
                entry.file = name.into();
                all.push(one);
                entries.push(entry);
            }
        }
        let mut report = report(end.unwrap_or(Ending::Built(entries)), &all);
        report.attempted.started_at = crate::protocol::UtcMillis(time);
        (report, all)
    })
}

proptest! {
    #[test]
    fn signed_reports_verify_and_are_judged((report, artifacts) in reports()) {
        let signed = sign(&report, &artifacts, Some(INPUT), &worker());
        let verified = verify(&signed, &key()).unwrap();
        let made = sign_verified(&report, &artifacts, Some(INPUT), &worker());
        prop_assert_eq!(made.as_ref(), Ok(&verified));
        prop_assert_eq!(verified.report(), &report);
        let judgement = verified.judge(&artifacts).unwrap();
        if let super::Judgement::Verdicts(verdicts) = &judgement {
            let good = verdicts.iter().filter(|(_, v)| *v == Verdict::Reproduced).count();
            prop_assert_eq!(good, signed.links.len());
        }
        let signed = countersign(&signed);
        let second = coordinator().public_key();
        let both = verify_countersigned(&signed, &key(), &[second]).unwrap();
        prop_assert_eq!(both.judge(&artifacts), Ok(judgement));
    }
}

#[test]
fn a_report_says_which_rules_its_index_breaks() {
    use crate::protocol::{IndexTrust, Waived};

    let waived = Waived { is_pinned: true, date: true, valid_until: true, suite: false };
    for (trust, word) in [(IndexTrust::Signed, "signed"), (IndexTrust::HashOnly, "hash-only")] {
        let mut report = report(built(), &artifacts());
        report.index = trust.waiving(waived);
        let signed = sign(&report, &artifacts(), Some(INPUT), &worker());
        assert_eq!(*verify(&signed, &key()).unwrap().report(), report);
        let envelope: serde_json::Value = serde_json::from_slice(&signed.statement).unwrap();
        let payload = envelope["payload"].as_str().unwrap();
        let payload = STANDARD.decode(payload).unwrap();
        let payload = String::from_utf8(payload).unwrap();
        let index = format!("\"index\":{{\"trust\":\"{word}\",\"sha256\":");
        assert!(payload.contains(&index), "{payload}");
        let rules = "\"waived\":{\"rules\":[\"date\",\"valid-until\"],\"pinned\":true}}";
        assert!(payload.contains(rules), "{payload}");
        assert!(payload.contains("\"urn:rebuilder:attempt:v3\""), "{payload}");
        for (from, to) in [
            ("[\"date\",\"valid-until\"]", "[]"),
            ("[\"date\",\"valid-until\"]", "[\"valid-until\",\"date\"]"),
            ("[\"date\",\"valid-until\"]", "[\"date\",\"date\"]"),
            ("attempt:v3", "attempt:v1"),
            (word, "none"),
        ] {
            let changed = payload.replacen(from, to, 1);
            assert_ne!(changed, payload);
            let statement = envelope::seal(changed.as_bytes(), &worker());
            let changed = SignedReport { statement, ..signed.clone() };
            assert!(verify(&changed, &key()).is_err(), "{to}");
        }
    }
}
