use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use rebuilder_actors::domain::report;
use rebuilder_actors::domain::report::{AttemptReport, LogDigest};
use rebuilder_actors::port::Network as _;
use rebuilder_actors::protocol::wire::v1::coordinator::{Answer, Message as FromCoordinator};
use rebuilder_actors::protocol::wire::v1::worker::{Message, Report, Running};
use rebuilder_actors::protocol::wire::{
    self, BootId, CONTROL_FRAME_BYTES_MAX, CloseCode, HELLO_FRAME_BYTES_MAX, Hello, Role, SOFTWARE,
};
use rebuilder_actors::protocol::{
    Assignment, AttemptId, Attempted, Ending, EnvironmentKnowledge, Epoch, FileDigest, GrantNumber,
    InputId, Isolation, Rebuilt, Sha256, Sha512, SignedReport, SignerKind, Stage, UtcMillis,
};
use rebuilder_transport::{Identity, Limits, system};
use tokio::net::UdpSocket;

use crate::archive::ARCHIVE;
use crate::ctl::Ctl;
use crate::harness::{Harness, HarnessSettings, names};
use crate::peer::{Dialed, Peer, soon};
use crate::refusals::state;
use crate::tools::until_true;

/// A worker that was let in and lies: about whose job it reports, about who signed, about what.
#[tokio::test(flavor = "multi_thread")]
async fn reports_that_are_not_the_workers_own_are_refused() {
    let harness =
        Harness::new(HarnessSettings { packages: names(2), ..HarnessSettings::default() });
    let coordinator = harness.coordinator();
    let ctl = harness.ctl();
    let evil = harness.key("w3");
    let mut peer = Peer::join(&harness.address, &evil, "evil").await;
    peer.status(GrantNumber(0), &[], 1001).await;
    let (number, own) = peer.assigned().await;
    let running = [Running { attempt: own.attempt, stage: Stage::Build, log_bytes: 0 }];
    peer.status(number, &running, 1002).await;
    // An honest worker has the other job.
    let _honest = harness.joined_worker("w1");
    let others = InputId(3 - own.attempt.job.0);
    let others = AttemptId { job: others, epoch: Epoch(1) };
    let name = format!("p{:02}", others.job.0 - 1);
    let name = if *own.key.source == *name { "p00".to_owned() } else { name };
    harness.until_begun(20, &name, 0);
    let mut theirs = (*own).clone();
    theirs.attempt = others;
    theirs.key.source = name.as_str().into();
    theirs.key.input = crate::archive::input(&name).into();
    theirs.artifacts[0].file = crate::archive::file(&name).into();
    theirs.artifacts[0].sha256 = Some(published(&name).sha256);
    until_true(10, "both jobs run", || ctl.running().len() == 2);
    let before = (state(&ctl), ctl.running());

    let stranger = Identity::from_seed([66; 32]);
    let good = signed(&own, &evil);
    let mut altered = signed(&own, &evil);
    let at = altered.statement.len() / 2;
    let mut bytes = altered.statement.to_vec();
    bytes[at] ^= 1;
    altered.statement = Bytes::from(bytes);
    let never = AttemptId { job: own.attempt.job, epoch: Epoch(7) };
    let unknown = AttemptId { job: InputId(99), epoch: Epoch(1) };
    let of = |attempt| signed(&Assignment { attempt, ..(*own).clone() }, &evil);
    for (attempt, signed, reason) in [
        (others, signed(&theirs, &evil), "was granted to another worker"),
        (others, signed(&theirs, &stranger), "sign"),
        (own.attempt, signed(&own, &stranger), "sign"),
        (own.attempt, altered, ""),
        (own.attempt, signed(&theirs, &evil), "the statement is about attempt"),
        (never, of(never), "was never granted"),
        (unknown, of(unknown), "no such job"),
        (own.attempt, SignedReport { statement: Bytes::new(), ..good.clone() }, ""),
    ] {
        // It keeps its lease, however long this takes.
        peer.status(number, &running, 1003).await;
        peer.tell(&Message::Report(Report { attempt, signed })).await;
        let FromCoordinator::Answer { attempt: answered, answer } = peer.hear().await else {
            panic!("an answer was expected")
        };
        assert_eq!(answered, attempt);
        let Answer::Refused { reason: given } = answer else { panic!("{answer:?}") };
        assert!(given.contains(reason), "{given}");
        assert_eq!((state(&ctl), ctl.running()), before, "{given}: changed something");
    }

    // The first is said at once, those that follow are one line with their number.
    coordinator.until_said(1, 1, &format!("report of attempt {others} refused: "));
    let lines = coordinator.said().matches(" refused: ").count();
    assert!(lines <= 3, "{lines} lines for eight reports");

    // The control: the same report as it should be is accepted.
    peer.tell(&Message::Report(Report { attempt: own.attempt, signed: good })).await;
    let attempt = own.attempt;
    let accepted = FromCoordinator::Answer { attempt, answer: Answer::Accepted };
    assert_eq!(peer.hear().await, accepted);
    harness.go("all");
    harness.until_reproduced(20);
    assert_eq!(harness.begun(&name).len(), 1, "the honest worker was not disturbed");
}

/// Peers that do not keep to the protocol lose their connection, and nobody else notices.
#[tokio::test(flavor = "multi_thread")]
async fn peers_that_break_the_protocol_are_put_out() {
    let harness = Harness::new(HarnessSettings::default());
    let mut coordinator = harness.coordinator();
    let ctl = harness.ctl();
    let _honest = harness.joined_worker("w1");
    harness.until_begun(20, "p00", 0);
    until_true(10, "the job runs", || ctl.running().len() == 1);
    let evil = harness.key("w3");

    // As a worker that was let in: its row is there before anything is compared.
    drop(Peer::join(&harness.address, &evil, "evil").await);
    until_true(10, "evil is gone", || ctl.worker("evil").is_some() && !ctl.is_connected("evil"));
    let before = state(&ctl);
    let huge = Bytes::from(vec![0; CONTROL_FRAME_BYTES_MAX + 1]);
    let garbage = Bytes::from_static(&[0xff; 64]);
    let over = "is over the limit of 4194304";
    for (frame, text) in [(huge, over), (garbage.clone(), "a control frame cannot be read")] {
        let mut peer = Peer::join(&harness.address, &evil, "evil").await;
        // It may be cut off in the middle of the frame.
        let _ = peer.dialed.say(frame).await;
        let reason = peer.dialed.closed().await;
        assert_eq!(reason.code, CloseCode::Protocol as u32, "{reason}");
        assert!(reason.text.contains(text), "{reason}");
        coordinator.until_said(10, 1, text);
        until_true(10, "evil is gone", || !ctl.is_connected("evil"));
        assert_eq!(state(&ctl), before, "{text}: changed something");
    }

    // As somebody who did not even say hello.
    let future = Hello {
        version_min: 7,
        version_max: 9,
        software: "rebuilder/9".into(),
        boot: BootId([1; 16]),
        role: Role::Ctl,
    };
    let hello = wire::encode(&future);
    let version = format!("rebuilder/9 speaks 7 to 9, {SOFTWARE} speaks 1 to 1");
    let huge = Bytes::from(vec![0; HELLO_FRAME_BYTES_MAX + 1]);
    for (frame, code, text) in [
        (huge, CloseCode::Protocol, "is over the limit of 32768"),
        (garbage, CloseCode::Protocol, "hello: "),
        (hello, CloseCode::Version, version.as_str()),
    ] {
        let mut dialed = Dialed::new(&harness.address, &Identity::from_seed([67; 32])).await;
        let _ = dialed.say(frame).await;
        let reason = dialed.closed().await;
        assert_eq!(reason.code, code as u32, "{reason}");
        assert!(reason.text.contains(text), "{reason}");
        coordinator.until_said(10, 1, text);
        assert_eq!(state(&ctl), before, "{text}: changed something");
    }

    assert!(coordinator.is_alive());
    harness.go("all");
    harness.until_reproduced(20);
    harness.assert_built_once();
}

/// Noise and thousands of connections that are never made, or never used, cost a bounded amount and
/// keep nobody out.
#[tokio::test(flavor = "multi_thread")]
async fn noise_and_half_open_connections_are_bounded() {
    let harness = Harness::new(HarnessSettings::default());
    let mut coordinator = harness.coordinator();
    let ctl = harness.ctl();
    let honest = harness.joined_worker("w1");
    harness.until_begun(20, "p00", 0);
    until_true(10, "the job runs", || ctl.running().len() == 1);
    let before = (state(&ctl), coordinator.memory_kib());

    garbage_datagrams(&harness.address).await;
    half_open(&harness.address, 3000).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        let identity = Identity::from_seed([68; 32]);
        silent.push(Dialed::from([127, 0, 0, 1], &harness.address, &identity).await);
    }
    // While all of that is there, others are served.
    serves(&ctl);
    assert_eq!(state(&ctl), before.0);
    let grown = coordinator.memory_kib().saturating_sub(before.1);
    assert!(grown < 128 << 10, "{grown} KiB more memory");
    // Eight of one key without rights, whoever comes first; the others are told so at once.
    let mut ends = BTreeMap::new();
    for dialed in silent {
        let reason = match dialed {
            Ok(dialed) => dialed.closed().await,
            Err(reason) => reason,
        };
        *ends.entry(reason.code).or_insert(0) += 1;
        let is_busy = reason.code == CloseCode::Busy as u32;
        let text = if is_busy { "this key has no rights here" } else { "no hello within 10 s" };
        assert!(reason.text.contains(text), "{reason}");
    }
    assert_eq!(ends[&(CloseCode::Protocol as u32)], 8, "{ends:?}");
    assert!(coordinator.is_alive());
    assert!(!honest.said().contains("connection lost"), "{}", honest.said());
    harness.go("all");
    harness.until_reproduced(20);
    harness.assert_built_once();
}

fn serves(ctl: &Ctl) {
    let answer = ctl.call(&["status"]);
    assert_eq!(answer.code, 0, "{}", answer.err);
}

async fn garbage_datagrams(address: &str) {
    let socket = UdpSocket::bind("0.0.0.0:0").await.unwrap();
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..3000 {
        let datagram: Vec<u8> = (0..160)
            .flat_map(|_| {
                noise ^= noise << 13;
                noise ^= noise >> 7;
                noise ^= noise << 17;
                noise.to_be_bytes()
            })
            .collect();
        let length = usize::try_from(noise % 1280).unwrap();
        socket.send_to(&datagram[..length], address).await.unwrap();
    }
}

/// Sends the first datagrams of so many connections, each with an id of its own, and nothing more.
async fn half_open(address: &str, count: usize) {
    let catcher = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let trap = catcher.local_addr().unwrap().to_string();
    let sender = UdpSocket::bind("0.0.0.0:0").await.unwrap();
    let client = system::client(Identity::from_seed([69; 32]), Limits::default()).unwrap();
    let mut datagram = vec![0; 2000];
    let mut sent = BTreeSet::new();
    while sent.len() < count {
        // Given up as soon as its first datagram is caught; its farewell has the same id.
        let dialing = client.connect(&trap, None);
        let caught = catcher.recv_from(&mut datagram);
        let length = soon(async {
            tokio::select! {
                biased;
                caught = caught => caught.unwrap().0,
                _ = dialing => panic!("nobody answers there"),
            }
        })
        .await;
        let id = datagram[6..6 + usize::from(datagram[5])].to_vec();
        if sent.insert(id) {
            sender.send_to(&datagram[..length], address).await.unwrap();
        }
    }
}

fn published(name: &str) -> FileDigest {
    let bytes = std::fs::read(ARCHIVE.published(name)).unwrap();
    let (sha256, sha512) = (Sha256::of(&bytes), Sha512::of(&bytes));
    FileDigest { size: bytes.len() as u64, sha256, sha512 }
}

/// The report of a good build, without a log.
fn signed(assignment: &Assignment, signer: &Identity) -> SignedReport {
    let output = Some(published(&assignment.key.source));
    let file = assignment.artifacts[0].file.clone();
    let ending = Ending::Built(vec![Rebuilt { file, output, published: None }]);
    let attempted = Attempted {
        ending,
        environment: EnvironmentKnowledge::Opaque,
        isolation: Isolation::Script,
        sandbox: None,
        input_sha256: None,
        input_sha512: None,
        source_sha256: None,
        environment_sha256: None,
        started_at: UtcMillis(1_700_000_000_000),
        finished_at: UtcMillis(1_700_000_001_000),
    };
    let report = AttemptReport {
        attempt: assignment.attempt,
        key: assignment.key.clone(),
        artifact_set: assignment.artifact_set(),
        index: assignment.index,
        index_sha256: assignment.index_sha256,
        attempted,
        log: LogDigest { sha256: Sha256::of(b""), size: 0, truncated: false },
        worker_version: SOFTWARE.into(),
        signer: SignerKind::WorkerKey,
    };
    report::sign(&report, &assignment.artifacts, None, signer)
}
