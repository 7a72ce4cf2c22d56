//! Peers that do not read what they are sent, or send more than counts.

use core::time::Duration;
use std::collections::BTreeMap;

use bytes::Bytes;
use rebuilder_actors::protocol::wire::v1::coordinator::Message as FromCoordinator;
use rebuilder_actors::protocol::wire::v1::ctl::{PackageFilter, Request};
use rebuilder_actors::protocol::wire::v1::worker::{Message, Running, Status};
use rebuilder_actors::protocol::wire::{self, CHUNK_FRAME_BYTES_MAX, CloseCode, Role};
use rebuilder_actors::protocol::{AttemptId, Epoch, GrantNumber, InputId, Stage};
use rebuilder_transport::Identity;

use crate::harness::{Harness, HarnessSettings};
use crate::peer::{Dialed, offer};
use crate::tools::until_true;

fn attempts(count: i32) -> impl Iterator<Item = AttemptId> {
    (0..count).map(|n| AttemptId { job: InputId(900_000 + n), epoch: Epoch(1) })
}

fn status(running: i32, spooled: i32) -> Bytes {
    let running = attempts(running);
    let running = running.map(|attempt| Running { attempt, stage: Stage::Build, log_bytes: 0 });
    wire::encode(&Message::Status(Status {
        seen: GrantNumber(0),
        running: running.collect(),
        spooled: attempts(spooled).collect(),
        free_memory: 1 << 30,
        free_disk: 1 << 30,
    }))
}

async fn evil(harness: &Harness) -> Dialed {
    let role = Role::Worker { offer: offer("evil", 256), enrolment: None };
    Dialed::new(&harness.address, &harness.key("w3")).await.greet(role).await.0
}

/// A worker that tells, as fast as it can, of 256 attempts that it does not have, is told once to
/// stop each of them, whether it reads or not.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_statuses_costs_one_order_for_each_attempt() {
    let harness = Harness::new(HarnessSettings::default());
    let mut coordinator = harness.coordinator();
    let mut peer = evil(&harness).await;
    let before = coordinator.memory_kib();
    let frame = status(256, 0);
    let mut sent = 0_u32;
    let flood = async {
        while sent < u32::MAX {
            peer.say(frame.clone()).await.unwrap();
            sent += 1;
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(4), flood).await;
    assert!(sent > 200, "{sent} statuses are no flood");
    let grown = coordinator.memory_kib().saturating_sub(before);
    assert!(grown < 64 << 10, "{grown} KiB more for what is not read");

    let mut orders = BTreeMap::new();
    loop {
        let received = tokio::time::timeout(Duration::from_secs(2), peer.receiver.receive()).await;
        let Ok(received) = received else { break };
        match wire::decode(&received.unwrap().unwrap()).unwrap() {
            FromCoordinator::Cancel { attempt, .. } => *orders.entry(attempt).or_insert(0) += 1,
            // The one package: it is given as soon as a slot is free.
            FromCoordinator::Assign { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(orders.len(), 256);
    assert!(orders.values().all(|count| *count == 1), "{orders:?}");
    // A status without them, then one with them: now the order is worth repeating.
    peer.say(status(0, 0)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    peer.say(status(3, 0)).await.unwrap();
    let mut again = 0;
    until_true(10, "the worker is still there", || coordinator.is_alive());
    while again < 3 {
        let received = tokio::time::timeout(Duration::from_secs(5), peer.receiver.receive()).await;
        let frame = received.expect("orders again").unwrap().unwrap();
        again +=
            usize::from(matches!(wire::decode(&frame).unwrap(), FromCoordinator::Cancel { .. }));
    }
}

/// Lists that no honest worker has are refused before they are looked at.
#[tokio::test(flavor = "multi_thread")]
async fn statuses_without_bounds_are_refused() {
    let harness = Harness::new(HarnessSettings::default());
    let mut coordinator = harness.coordinator();
    for (frame, text) in [
        (status(0, 400_000), "is over the limit of 65536"),
        (status(300, 0), "300 running and 0 finished attempts"),
        (status(0, 4_097), "0 running and 4097 finished attempts"),
    ] {
        let mut peer = evil(&harness).await;
        let _ = peer.say(frame).await;
        let reason = peer.closed().await;
        assert_eq!(reason.code, CloseCode::Protocol as u32, "{reason}");
        assert!(reason.text.contains(text), "{reason}");
    }
    assert!(coordinator.is_alive());
    assert_eq!(harness.ctl().call(&["status"]).code, 0);
}

/// A ctl has eight streams, and answers that it does not read take little memory.
#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_not_read_are_bounded() {
    let packages = crate::harness::names(12);
    let harness = Harness::new(HarnessSettings { packages, ..HarnessSettings::default() });
    let coordinator = harness.coordinator();
    let before = coordinator.memory_kib();
    let mut held = Vec::new();
    for number in 0..8 {
        let identity = Identity::from_seed([90 + number; 32]);
        let dialed = Dialed::new(&harness.address, &identity).await.ctl().await.unwrap();
        let mut streams = Vec::new();
        for _ in 0..8 {
            let filter = PackageFilter::default();
            let stream = dialed.ask(&Request::Log { filter, follow: true }).await;
            streams.push(stream.expect("eight streams may be open"));
        }
        // Streams on which nothing was asked count as well.
        let mut silent = Vec::new();
        let limit = Duration::from_millis(500);
        while let Ok(opened) =
            tokio::time::timeout(limit, dialed.connection.open(CHUNK_FRAME_BYTES_MAX)).await
        {
            silent.push(opened.unwrap());
            assert!(silent.len() <= 8, "{} streams", silent.len());
        }
        held.push((dialed, streams, silent));
    }
    let grown = coordinator.memory_kib().saturating_sub(before);
    assert!(grown < 32 << 10, "{grown} KiB more");
    assert_eq!(harness.ctl().call(&["status"]).code, 0);
}
