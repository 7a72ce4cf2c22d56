//! Whoever may read, reads: and keeps nobody from work.

use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rebuilder_actors::actor::TreeEnd;
use rebuilder_actors::actor::coordinator::Message;
use rebuilder_actors::actor::coordinator::queue::{Decide, Wrap};
use rebuilder_actors::domain::queue::{Effects, Event, Fact, Now, Queue};
use rebuilder_actors::port::{FrameReceive, FrameSend};
use rebuilder_actors::protocol::wire::v1::ctl::{PackageFilter, Request, Response};
use rebuilder_actors::protocol::wire::{self, CHUNK_FRAME_BYTES_MAX};
use rebuilder_transport::Identity;

use crate::harness::{Harness, HarnessSettings, names};
use crate::inside::coordinator;
use crate::peer::{Dialed, soon};
use crate::tools::until_true;

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
    let harness =
        Harness::new(HarnessSettings { packages: names(30), ..HarnessSettings::default() });
    let _coordinator = harness.coordinator();
    let ctl = harness.ctl();
    until_true(20, "the index is read", || ctl.ask(&["status"])["jobs"]["ready"] == 30);
    let stranger = Identity::from_seed([71; 32]);
    let reader = Dialed::as_ctl(&harness.address, &stranger).await;
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
    let harness =
        Harness::new(HarnessSettings { packages: names(30), ..HarnessSettings::default() });
    let _coordinator = harness.coordinator();
    for number in 0..6 {
        let stranger = Identity::from_seed([80 + number; 32]);
        let reader = Dialed::as_ctl(&harness.address, &stranger).await;
        drop(burst(&reader, 30).await);
    }
    let _worker = harness.joined_worker("w1");
    harness.go("all");
    harness.until_reproduced(60);
}

/// The real queue, which stands still in the middle of an order while its gate is
/// closed.
struct Still {
    queue: Queue,
    closed: Arc<AtomicBool>,
    orders: Arc<AtomicUsize>,
}

impl Decide for Still {
    fn handle(&mut self, now: Now, event: Event) -> Effects {
        if matches!(event, Event::Ordered(..)) {
            self.orders.fetch_add(1, Ordering::SeqCst);
            // Tasks that wait for this very thread go to another one.
            tokio::task::block_in_place(|| {
                while self.closed.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
        }
        self.queue.handle(now, event)
    }

    fn next_deadline(&self, now: Now) -> Option<Duration> {
        self.queue.next_deadline(now)
    }

    fn snapshot(&self) -> Vec<Fact> {
        self.queue.snapshot()
    }
}

/// Opened when it is dropped.
struct Gate(Arc<AtomicBool>);

impl Drop for Gate {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// Nothing that is asked needs the queue: it is answered while the queue is in the middle of
/// something that does not end.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everything_is_answered_while_the_queue_is_busy() {
    let harness =
        Harness::new(HarnessSettings { packages: names(12), ..HarnessSettings::default() });
    let closed = Arc::new(AtomicBool::new(true));
    let orders = Arc::<AtomicUsize>::default();
    let (gate, begun) = (closed.clone(), orders.clone());
    let wrap: Wrap = Arc::new(move |queue| {
        let (closed, orders) = (closed.clone(), orders.clone());
        Box::new(Still { queue, closed, orders })
    });
    let (tree, ended) = coordinator(&harness, wrap).await;
    let ctl = harness.ctl();
    // A test that fails must not wait for the queue.
    let gate = Gate(gate);
    let reader = Dialed::as_ctl(&harness.address, &Identity::from_seed([72; 32])).await;
    let ordering = std::thread::spawn(move || ctl.ask(&["queue", "drop", "--name", "p00"]));
    until_true(10, "the queue is busy", || begun.load(Ordering::SeqCst) == 1);
    for (number, question) in questions().iter().enumerate() {
        let (_send, mut receive) = reader.ask(question).await.unwrap();
        let rows = answer(receive.as_mut()).await.len();
        assert_eq!(rows, [1, 0, 1, 12, 0, 12, 1][number], "{question:?}");
    }
    assert!(!ordering.is_finished());
    drop(gate);
    assert_eq!(ordering.join().unwrap()["affected"], 1);
    tree.cast(Message::Stop).unwrap();
    assert_eq!(ended.await, Ok(TreeEnd::Stopped));
}
