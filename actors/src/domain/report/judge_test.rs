use super::test_data::{INPUT, artifact, artifacts, built, rebuilt, report, worker};
use super::{Judgement, ReportError, judge, sign, verify};
use crate::port::Signer as _;
use crate::protocol::{
    Artifact, Ending, Fault, FaultKind, Rebuilt, Sha256, SignedReport, Stage, Verdict,
};

const A: &[u8] = b"a";
const B: &[u8] = b"b";

fn signed(ending: Ending, artifacts: &[Artifact]) -> SignedReport {
    sign(&report(ending, artifacts), artifacts, Some(INPUT), &worker())
}

#[test]
fn each_verdict_follows_from_the_digests() {
    use Verdict::{Differs, Missing, Reproduced};
    let unknown = || ReportError::PublishedUnknown { file: "x_1_amd64.deb".into() };
    // Index, output, published as fetched, expected.
    let table = [
        (Some(A), Some(A), None, Ok(Reproduced)),
        (Some(A), Some(B), None, Ok(Differs)),
        (Some(A), None, None, Ok(Missing)),
        (Some(A), Some(A), Some(B), Ok(Reproduced)),
        (Some(A), Some(B), Some(B), Ok(Differs)),
        (None, Some(A), Some(A), Ok(Reproduced)),
        (None, Some(A), Some(B), Ok(Differs)),
        (None, None, Some(A), Ok(Missing)),
        (None, None, None, Ok(Missing)),
        (None, Some(A), None, Err(unknown())),
    ];
    for (index, output, published, expected) in table {
        let artifacts = [artifact("x", index)];
        let ending = Ending::Built(vec![rebuilt("x", output, published)]);
        let expected =
            expected.map(|verdict| Judgement::Verdicts(vec![("x_1_amd64.deb".into(), verdict)]));
        assert_eq!(judge(&report(ending.clone(), &artifacts), &artifacts), expected);
        let verified = verify(&signed(ending, &artifacts), &worker().public_key()).unwrap();
        assert_eq!(verified.judge(&artifacts), expected, "{index:?} {output:?} {published:?}");
    }
}

#[test]
fn failures_and_faults_are_no_verdicts_about_files() {
    let artifacts = artifacts();
    let fault = Fault { kind: FaultKind::TimedOut(Stage::Build), detail: "86400 s".into() };
    let cases = [
        (
            Ending::BuildFailed { reason: "make: exit 2".into() },
            Judgement::BuildFailed { reason: "make: exit 2".into() },
        ),
        (Ending::Fault(fault.clone()), Judgement::Fault(fault)),
    ];
    for (ending, expected) in cases {
        let verified = verify(&signed(ending, &artifacts), &worker().public_key()).unwrap();
        assert_eq!(verified.judge(&artifacts), Ok(expected));
        assert!(verified.signed().links.is_empty());
    }
}

#[test]
fn artifacts_must_be_those_of_the_report() {
    let all = artifacts();
    let report_of_all = report(built(), &all);
    let mut other = all.clone();
    other[0].sha256 = None;
    assert!(matches!(judge(&report_of_all, &other), Err(ReportError::ArtifactSet { .. })));
    assert!(matches!(judge(&report_of_all, &all[1..]), Err(ReportError::ArtifactSet { .. })));

    let Ending::Built(files) = built() else { unreachable!() };
    let judged = |files: Vec<Rebuilt>| judge(&report(Ending::Built(files), &all), &all);
    let file = || String::from("hello-doc_1_amd64.deb");
    assert_eq!(judged(files[..2].to_vec()), Err(ReportError::Unreported { file: file() }));
    let mut extra = files.clone();
    extra.push(rebuilt("z", None, None));
    let not_asked = ReportError::NotAsked { file: "z_1_amd64.deb".into() };
    assert_eq!(judged(extra), Err(not_asked));
    let mut twice = files;
    twice.push(twice[2].clone());
    assert_eq!(judged(twice), Err(ReportError::DuplicateFile { file: file() }));
}

#[test]
fn one_file_name_with_two_published_contents_is_judged_for_each() {
    let artifacts = [artifact("x", Some(A)), artifact("x", Some(B))];
    let ending = Ending::Built(vec![rebuilt("x", Some(B), None)]);
    let verified = verify(&signed(ending, &artifacts), &worker().public_key()).unwrap();
    assert_eq!(
        verified.judge(&artifacts),
        Ok(Judgement::Verdicts(vec![
            ("x_1_amd64.deb".into(), Verdict::Differs),
            ("x_1_amd64.deb".into(), Verdict::Reproduced),
        ]))
    );
}

#[test]
fn exactly_the_reproduced_files_have_links() {
    let (key, all) = (worker().public_key(), artifacts());
    let mut missing = signed(built(), &all);
    missing.links.clear();
    let file = String::from("hello_1_amd64.deb");
    let refused = verify(&missing, &key).unwrap().judge(&all);
    assert_eq!(refused, Err(ReportError::LinkMissing { file }));

    // The worker signs a link for a file that differs, as if another file were published.
    let mut unearned = signed(built(), &all);
    let mut lie = all.clone();
    lie[1].sha256 = Some(Sha256::of(b"other"));
    unearned.links = sign(&report(built(), &all), &lie, Some(INPUT), &worker()).links;
    assert_eq!(unearned.links.len(), 2);
    let refused = verify(&unearned, &key).unwrap().judge(&all);
    let file = String::from("hello-dbg_1_amd64.deb");
    assert_eq!(refused, Err(ReportError::LinkUnearned { file }));
}

#[test]
fn stand_in_subjects_must_be_the_published_files() {
    let (key, all) = (worker().public_key(), artifacts());
    let failed = || Ending::BuildFailed { reason: "x".into() };
    let mut other = all.clone();
    other[2].sha256 = Some(Sha256::of(b"lie"));
    for lie in [&other[..], &all[..2], &[]] {
        let signed = sign(&report(failed(), &all), lie, None, &worker());
        let refused = verify(&signed, &key).unwrap().judge(&all);
        assert!(matches!(refused, Err(ReportError::Subjects { .. })), "{refused:?}");
    }
    // No digest is known: the set of artifacts is the subject.
    let unknown = [artifact("x", None)];
    let signed = sign(&report(failed(), &unknown), &unknown, None, &worker());
    assert!(verify(&signed, &key).unwrap().judge(&unknown).is_ok());
}
