//! The queue with receivers and followers that are neither sessions nor the results: whoever takes
//! the messages can be one.

use std::collections::VecDeque;
use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::{mpsc, oneshot};

use super::super::feed::Facts;
use super::super::queue::{self, QueueActor};
use super::super::store::{self, StoreActor};
use super::super::{Quarantine, Refusals, Standings};
use super::*;
use crate::actor::derived::accepts;
use crate::actor::testing::{AtOnce, Memory};
use crate::domain::queue::tests::harness::{START, groups, offer, public};
use crate::domain::queue::{Event, Fact, Join, Order, SessionId, Settings};
use crate::port::{Clock, Monotonic, StoreOwner};
use crate::protocol::wire::BootId;
use crate::protocol::wire::v1::worker::Status;
use crate::protocol::{GrantNumber, IndexState, Sha256, UtcMillis};

/// The session of a worker that asks by polling: what it is sent waits until it asks.
struct PolledSession;

/// To a polled session.
enum Polled {
    /// From the queue.
    Receive(Message),
    /// The worker asks: all that waits, `Err` once the session is closed.
    Poll(oneshot::Sender<Result<Vec<ToWorker>, String>>),
}

accepts!(Polled, Receive, Message);

#[derive(Default)]
struct Waiting {
    admitted: bool,
    messages: VecDeque<ToWorker>,
    closed: Option<String>,
}

impl Actor for PolledSession {
    type Msg = Polled;
    type State = Waiting;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Polled>, (): ()) -> Result<Waiting, ActorProcessingErr> {
        Ok(Waiting::default())
    }

    async fn handle(
        &self,
        _: ActorRef<Polled>,
        message: Polled,
        state: &mut Waiting,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Polled::Receive(Message::Tell(message)) => state.messages.push_back(message),
            Polled::Receive(Message::Admit { .. }) => state.admitted = true,
            Polled::Receive(Message::Probe { .. }) => {}
            Polled::Receive(Message::Close { reason, .. }) => state.closed = Some(reason),
            Polled::Poll(reply) => {
                let waiting = state.messages.drain(..).collect();
                let answer = match &state.closed {
                    Some(reason) => Err(reason.clone()),
                    None if state.admitted => Ok(waiting),
                    None => Err("not admitted yet".to_owned()),
                };
                let _ = reply.send(answer);
            }
        }
        Ok(())
    }
}

/// Counts what became durable.
struct Exports;

impl Actor for Exports {
    type Msg = Facts;
    type State = mpsc::UnboundedSender<Vec<Fact>>;
    type Arguments = mpsc::UnboundedSender<Vec<Fact>>;

    async fn pre_start(
        &self,
        _: ActorRef<Facts>,
        told: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(told)
    }

    async fn handle(
        &self,
        _: ActorRef<Facts>,
        Facts { facts, .. }: Facts,
        told: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        Ok(told.send(facts)?)
    }
}

/// A moment that stays.
struct Still;

impl Clock for Still {
    fn monotonic(&self) -> Monotonic {
        Monotonic(Duration::from_secs(60))
    }

    fn utc(&self) -> UtcMillis {
        START
    }
}

async fn start(memory: &Memory) -> ActorRef<queue::Message> {
    let store = StoreOwner::take(memory.open(), None).unwrap();
    let arguments = store::Arguments { store, blocking: Arc::new(AtOnce) };
    let (store, _) = Actor::spawn(None, StoreActor, arguments).await.unwrap();
    let clock: Arc<dyn Clock> = Arc::new(Still);
    let mut settings = Settings::default();
    settings.enrolment.authorized.insert(public(1));
    let arguments = queue::Arguments {
        store,
        clock: clock.clone(),
        settings,
        quarantine: Arc::<Quarantine>::default(),
        standings: Arc::<Standings>::default(),
        refusals: Arc::new(Refusals::new(clock)),
        published: Arc::default(),
        wrap: Arc::new(|queue| Box::new(queue)),
    };
    Actor::spawn(None, QueueActor, arguments).await.unwrap().0
}

/// Hands an event over and waits until it is durable, and with it all before.
async fn durably(queue: &ActorRef<queue::Message>, event: Event) {
    let (done, wait) = oneshot::channel();
    queue.cast(queue::Message::Sync(Box::new(event), done)).unwrap();
    wait.await.unwrap();
}

async fn poll(session: &ActorRef<Polled>) -> Result<Vec<ToWorker>, String> {
    let (reply, answer) = oneshot::channel();
    session.cast(Polled::Poll(reply)).unwrap();
    answer.await.unwrap()
}

fn index() -> IndexState {
    IndexState { releases: vec![], settings: Sha256::of(b"index") }
}

#[tokio::test]
async fn any_actor_can_speak_for_a_worker_and_any_can_follow() {
    let memory = Memory::default();
    let queue = start(&memory).await;
    let (told, mut followed) = mpsc::unbounded_channel();
    let (exports, _) = Actor::spawn(None, Exports, told).await.unwrap();
    queue.cast(queue::Message::Follow(exports.get_derived())).unwrap();
    assert!(followed.recv().await.unwrap().is_empty(), "all that there is: nothing yet");

    let page = Event::SyncPage { profile: "p".into(), groups: groups(&["hello"]) };
    durably(&queue, page).await;
    durably(&queue, Event::SyncEnded { profile: "p".into(), index: index(), took_ms: 1 }).await;
    let facts = followed.recv().await.unwrap();
    assert!(!facts.is_empty());
    let (told, mut late) = mpsc::unbounded_channel();
    let (second, _) = Actor::spawn(None, Exports, told).await.unwrap();
    queue.cast(queue::Message::Follow(second.get_derived())).unwrap();
    assert!(!late.recv().await.unwrap().is_empty(), "one that comes later begins with all");

    let (session, _) = Actor::spawn(None, PolledSession, ()).await.unwrap();
    assert!(poll(&session).await.is_err());
    let join = Join {
        session: SessionId(1),
        worker: public(1),
        address: "127.0.0.1:9".into(),
        boot: BootId([1; 16]),
        offer: offer(1),
        enrolment: None,
        exporter: [0; 32],
    };
    queue.cast(queue::Message::Join(Box::new(join), session.get_derived())).unwrap();
    let status = Status {
        seen: GrantNumber(0),
        running: vec![],
        spooled: vec![],
        free_memory: 1 << 32,
        free_disk: 1 << 40,
    };
    durably(&queue, Event::StatusReceived(SessionId(1), status)).await;
    let messages = poll(&session).await.unwrap();
    assert!(matches!(&messages[..], [ToWorker::Assign { .. }]), "{messages:?}");
    assert_eq!(poll(&session).await, Ok(vec![]), "what was asked for is gone");
    // Both followers heard that the job is leased.
    assert!(!followed.recv().await.unwrap().is_empty());
    assert!(!late.recv().await.unwrap().is_empty());

    let (reply, answer) = oneshot::channel();
    let worker = public(1).to_string();
    queue.cast(queue::Message::Order(Order::Revoke { worker }, reply)).unwrap();
    answer.await.unwrap();
    assert!(poll(&session).await.is_err(), "a revoked worker's session is closed");
}
