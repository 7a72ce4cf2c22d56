//! Whoever may read, reads: and keeps nobody from work.

use core::time::Duration;

use rebuilder_actors::port::{FrameReceive, FrameSend};
use rebuilder_actors::protocol::wire::v1::ctl::{PackageFilter, Request, Response};
use rebuilder_actors::protocol::wire::{self, CHUNK_FRAME_BYTES_MAX};
use rebuilder_transport::Identity;

use crate::peer::{Dialed, soon};
use crate::tools::until_true;
use crate::world::{Wishes, World, names};

fn filter(name: &str) -> PackageFilter {
    PackageFilter { name: Some(name.into()), ..PackageFilter::default() }
}

fn questions() -> [Request; 7] {
    [
        Request::Status,
        Request::Workers,
        Request::Profiles,
        Request::Packages(PackageFilter::default()),
        Request::Packages(filter("*q*z*x*j*no*")),
        Request::Queue { planned: true, limit: None },
        Request::Attestation { filter: filter("p00") },
    ]
}

type Streams = (Box<dyn FrameSend>, Box<dyn FrameReceive>);

/// Asks as much as flow control takes, and reads nothing.
async fn burst(reader: &Dialed, count: usize) -> Vec<Streams> {
    let mut asked = Vec::new();
    for number in 0..count {
        let open = reader.connection.open(CHUNK_FRAME_BYTES_MAX);
        let Ok(Ok((mut send, receive))) = tokio::time::timeout(PATIENCE, open).await else { break };
        let request = questions()[number % questions().len()].clone();
        let sent = tokio::time::timeout(PATIENCE, send.send(wire::encode(&request))).await;
        if sent.is_ok() {
            let _ = send.finish();
        }
        asked.push((send, receive));
    }
    assert!(asked.len() >= 4, "{} questions were taken", asked.len());
    asked
}

const PATIENCE: Duration = Duration::from_millis(300);

async fn answer(receiver: &mut dyn FrameReceive) -> Vec<Response> {
    let mut rows = Vec::new();
    while let Some(frame) = soon(receiver.receive()).await.unwrap() {
        rows.push(wire::decode(&frame).unwrap());
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_questions_is_answered_in_turns() {
    let world = World::new(Wishes { packages: names(30), ..Wishes::default() });
    let _coordinator = world.coordinator();
    let ctl = world.ctl();
    until_true(20, "the index is read", || ctl.ask(&["status"])["jobs"]["ready"] == 30);
    let stranger = Identity::from_seed([71; 32]);
    let reader = Dialed::as_ctl(&world.address, &stranger).await;
    let asked = burst(&reader, 50).await;
    // The operator's answers do not stand in that line.
    assert_eq!(ctl.ask(&["status"])["jobs"]["ready"], 30);
    for (number, (_send, mut receiver)) in asked.into_iter().enumerate() {
        let rows = answer(receiver.as_mut()).await;
        match number % questions().len() {
            0 => assert!(matches!(rows[..], [Response::Status(_)])),
            3 | 5 => assert_eq!(rows.len(), 30),
            4 => assert_eq!(rows, []),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_leave_keep_nobody_from_work() {
    let world = World::new(Wishes { packages: names(30), ..Wishes::default() });
    let _coordinator = world.coordinator();
    for number in 0..6 {
        let stranger = Identity::from_seed([80 + number; 32]);
        let reader = Dialed::as_ctl(&world.address, &stranger).await;
        drop(burst(&reader, 30).await);
    }
    let _worker = world.joined_worker("w1");
    world.go("all");
    world.until_reproduced(60);
}
