//! The bytes of version 1. A test that fails here means that two releases no longer understand each
//! other: make a new version instead of changing the literal.

use super::{coordinator, ctl, history, upload, worker};
use crate::protocol::wire::{decode, encode};
use crate::protocol::{
    Archive, Artifact, Assignment, AttemptId, AttemptLimits, BuildId, BuildInput, Epoch, Fault,
    FaultKind, GrantNumber, IndexTrust, InputId, JobKey, RemoteFile, Sha256, SignedReport, Stage,
    UtcMillis, WorkerId,
};

const ATTEMPT: AttemptId = AttemptId { job: InputId(7), epoch: Epoch(2) };

fn check<M>(message: &M, golden: &str)
where
    M: serde::Serialize + serde::de::DeserializeOwned + PartialEq + core::fmt::Debug,
{
    let bytes = encode(message);
    assert_eq!(hex::encode(&bytes), golden);
    assert_eq!(decode::<M>(&bytes).as_ref(), Ok(message));
    let mut longer = bytes.to_vec();
    longer.push(0);
    assert!(decode::<M>(&longer).is_err(), "a remainder is an error");
}

#[test]
fn worker_messages() {
    let running = worker::Running { attempt: ATTEMPT, stage: Stage::Build, log_bytes: 300 };
    let status = worker::Status {
        seen: GrantNumber(5),
        running: vec![running],
        spooled: vec![ATTEMPT],
        free_memory: 1 << 30,
        free_disk: 0,
    };
    check(&worker::Message::Status(status), GOLDEN[0]);
    let signed = SignedReport { statement: "{}".into(), links: Vec::new() };
    let report = worker::Report { attempt: ATTEMPT, signed };
    check(&worker::Message::Report(report), GOLDEN[1]);
    let ailments = vec![worker::Ailment { backend: "debian".into(), reason: "no".into() }];
    let condition = worker::Condition { ailments, leftovers: vec!["x".into()] };
    check(&worker::Message::Condition(condition), GOLDEN[14]);
    let capabilities = worker::Capabilities { words: vec!["ids".into()] };
    check(&worker::Message::Capabilities(capabilities), GOLDEN[22]);
}

#[test]
fn coordinator_messages() {
    let attempt = ATTEMPT;
    let assignment = Box::new(assignment());
    let number = GrantNumber(5);
    check(&coordinator::Message::Assign { number, assignment }, GOLDEN[2]);
    let reason = "x".to_owned();
    check(&coordinator::Message::Cancel { attempt, reason: reason.clone() }, GOLDEN[3]);
    let answer = coordinator::Answer::Refused { reason };
    check(&coordinator::Message::Answer { attempt, answer }, GOLDEN[4]);
    check(&coordinator::Message::LogWanted { attempt, length: 1 }, GOLDEN[5]);
}

#[test]
fn upload_messages() {
    check(&upload::Start::Log { attempt: ATTEMPT }, GOLDEN[6]);
    check(&upload::Resume::From(300), GOLDEN[7]);
    check(&upload::Stored { length: 300 }, GOLDEN[8]);
}

#[test]
fn ctl_messages() {
    let filter = ctl::PackageFilter { name: Some("ucf".into()), ..Default::default() };
    check(&ctl::Request::QueuePush { filter, priority: -5 }, GOLDEN[9]);
    check(&ctl::Request::Status, GOLDEN[10]);
    check(&ctl::Request::Quarantine, GOLDEN[11]);
    let refused = ctl::Response::Refused { code: ctl::RefusalCode::Denied, text: "no".into() };
    check(&refused, GOLDEN[12]);
    check(&ctl::Response::Chunk("ab".into()), GOLDEN[13]);
    check(&ctl::Request::Troubles, GOLDEN[15]);
    let subject = ctl::Subject::Job(InputId(7));
    let trouble = ctl::Trouble { subject, text: "x".into(), times: 3, next: None };
    check(&ctl::Response::Trouble(trouble), GOLDEN[16]);
    let status = Some(ctl::PackageStatus::Dropped);
    let filter = ctl::PackageFilter { status, ..Default::default() };
    check(&ctl::Request::PackagesOfAny(vec![filter]), GOLDEN[17]);
    let filter = ctl::PackageFilter { name: Some("ucf".into()), ..Default::default() };
    check(&ctl::Request::QueuePushAny { filters: vec![filter], priority: -5 }, GOLDEN[18]);
    check(&ctl::Request::QueueDropAny { filters: Vec::new() }, GOLDEN[19]);
    check(&ctl::Request::History(ctl::PackageFilter::default()), GOLDEN[20]);
    let fault = Fault { kind: FaultKind::DiskFull, detail: "x".into() };
    let attempt = history::PastAttempt {
        attempt: ATTEMPT,
        worker: WorkerId(7),
        worker_name: "w".into(),
        accepted_at: UtcMillis(1),
        started_at: UtcMillis(2),
        finished_at: UtcMillis(3),
        build: Some(BuildId(9)),
        outcome: history::PastOutcome::Fault(fault),
    };
    check(&ctl::Response::Attempt(attempt), GOLDEN[21]);
    check(&ctl::Request::Capabilities, GOLDEN[23]);
    let row = ctl::WorkerCapabilities { worker: WorkerId(7), words: vec!["ids".into()] };
    check(&ctl::Response::Capabilities(row), GOLDEN[24]);
    check(&ctl::Request::DatedPackages(Vec::new()), GOLDEN[25]);
    let times = history::FirstTimes { seen: Some(UtcMillis(1)), built: None, differed: None };
    check(&times, GOLDEN[26]);
}

fn assignment() -> Assignment {
    let key = JobKey {
        distribution: "debian".into(),
        backend: "debian".into(),
        source: "ucf".into(),
        version: "1".into(),
        architecture: "all".into(),
        input: "suite".into(),
    };
    let artifact = Artifact {
        name: "ucf".into(),
        version: "1".into(),
        component: Some("main".into()),
        architecture: "all".into(),
        file: "u.deb".into(),
        url: "http://m/u.deb".into(),
        size: Some(9),
        sha256: Some(Sha256([1; 32])),
    };
    let url: Box<str> = "http://m".into();
    Assignment {
        attempt: ATTEMPT,
        key,
        input: BuildInput::Suite,
        source: Some(RemoteFile { url: url.clone(), size: None, sha256: None }),
        archives: vec![Archive::Suite { url, suite: "s".into(), components: vec!["main".into()] }],
        artifacts: vec![artifact],
        index: IndexTrust::Signed,
        index_sha256: None,
        check_published: true,
        limits: AttemptLimits::default(),
    }
}

const GOLDEN: [&str; 27] = [
    "0005010e0202ac02010e02808080800400",
    "010e02027b7d00",
    concat!(
        "00050e020664656269616e0664656269616e03756366013103616c6c057375697465010108687474",
        "703a2f2f6d0000010008687474703a2f2f6d017301046d61696e0103756366013101046d61696e03",
        "616c6c05752e6465620e687474703a2f2f6d2f752e64656201090120010101010101010101010101",
        "010101010101010101010101010101010101010100000180a305901c80808005",
    ),
    "010e020178",
    "020e02020178",
    "030e0201",
    "000e02",
    "00ac02",
    "ac02",
    "0b010375636600000000000009",
    "00",
    "0d",
    "0a00026e6f",
    "05026162",
    "02010664656269616e026e6f010178",
    "0e",
    "0b040e01780300",
    "10010000010600000000",
    "1101010375636600000000000009",
    "1200",
    "1300000000000000",
    "0c0e020e0177020406011202030178",
    "030103696473",
    "14",
    "0d0e0103696473",
    "1500",
    "01020000",
];
