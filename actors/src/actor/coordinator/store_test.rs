//! A tree whose store fails is started again; one whose store was taken over ends.

use core::time::Duration;
use ractor::SupervisionEvent;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::oneshot;

use super::*;
use crate::actor::supervisor::{self, ChildName, Children, Tree, TreeEnd};
use crate::actor::testing::{AtOnce, Memory};
use crate::port::{Fence, Monotonic};

const STORE: ChildName<Message> = ChildName::new("store");

/// A tree of one store.
struct House;

struct Rooms {
    memory: Memory,
    children: Children,
    fence: Option<Fence>,
    starts: Arc<AtomicUsize>,
}

type Started = (Memory, oneshot::Sender<TreeEnd>, Arc<AtomicUsize>);

impl Actor for House {
    type Msg = oneshot::Sender<ActorRef<Message>>;
    type State = Rooms;
    type Arguments = Started;

    async fn pre_start(
        &self,
        me: ActorRef<Self::Msg>,
        (memory, ended, starts): Started,
    ) -> Result<Rooms, ActorProcessingErr> {
        let mut rooms = Rooms { memory, children: Children::new(ended), fence: None, starts };
        rooms.start(&me).await?;
        Ok(rooms)
    }

    async fn handle(
        &self,
        _: ActorRef<Self::Msg>,
        asked: Self::Msg,
        rooms: &mut Rooms,
    ) -> Result<(), ActorProcessingErr> {
        let _ = asked.send(rooms.children.get(&STORE).ok_or("the store runs")?);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        me: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        rooms: &mut Rooms,
    ) -> Result<(), ActorProcessingErr> {
        supervisor::restart(rooms, &me, event).await;
        Ok(())
    }
}

impl Tree for Rooms {
    type Msg = oneshot::Sender<ActorRef<Message>>;

    fn children(&mut self) -> &mut Children {
        &mut self.children
    }

    fn now(&self) -> Monotonic {
        Monotonic(Duration::from_secs(1))
    }

    async fn start(&mut self, me: &ActorRef<Self::Msg>) -> Result<(), ActorProcessingErr> {
        let store = StoreOwner::take(self.memory.open(), self.fence)?;
        self.fence = Some(store.fence());
        self.starts.fetch_add(1, Ordering::SeqCst);
        let arguments = Arguments { store, blocking: Arc::new(AtOnce) };
        self.children.spawn(me.get_cell(), &STORE, StoreActor, arguments).await?;
        Ok(())
    }
}

async fn commit(house: &ActorRef<oneshot::Sender<ActorRef<Message>>>) -> Result<(), ()> {
    let (asked, store) = oneshot::channel();
    house.cast(asked).unwrap();
    let (done, wait) = oneshot::channel();
    let done = Box::new(move || {
        let _ = done.send(());
    });
    let mut batch = Batch::default();
    batch.put("k", "v");
    store.await.unwrap().cast(Message::Commit { batch, done }).unwrap();
    wait.await.map_err(drop)
}

#[tokio::test]
async fn a_tree_whose_store_was_taken_over_ends_and_takes_nothing_back() {
    let memory = Memory::default();
    let (end, mut ended) = oneshot::channel();
    let starts = Arc::<AtomicUsize>::default();
    let arguments = (memory.clone(), end, starts.clone());
    let (house, _) = Actor::spawn(None, House, arguments).await.unwrap();
    assert_eq!(commit(&house).await, Ok(()));

    // A failure is no takeover: the process opens its store again and goes on.
    let (asked, store) = oneshot::channel();
    house.cast(asked).unwrap();
    let broken = Box::new(|_: &dyn StoreRead| {
        Err(StoreError::Io { action: "read", path: "k".into(), reason: "as planted".into() })
    });
    store.await.unwrap().cast(Message::Read(broken)).unwrap();
    while starts.load(Ordering::SeqCst) < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(commit(&house).await, Ok(()));
    assert!(ended.try_recv().is_err());

    let mut second = StoreOwner::take(memory.open(), None).unwrap();
    assert_eq!(commit(&house).await, Err(()), "never acknowledged");
    let end = ended.await.unwrap();
    assert!(matches!(&end, TreeEnd::TakenOver { reason } if reason.contains("memory")), "{end:?}");
    assert_eq!(starts.load(Ordering::SeqCst), 2, "it was not started again");
    second.commit(&[]).unwrap();
}
