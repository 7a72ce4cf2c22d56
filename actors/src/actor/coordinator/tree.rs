use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::{Semaphore, oneshot};

use super::quarantine::Quarantine;
use super::refusals::Refusals;
use super::services::{Gone, Services};
use super::standings::Standings;
use super::turn::Reading;
use super::views::{self, Published, Views};
use super::{blobs, endpoint, gc, queue, results, sessions, store, syncs};
use crate::actor::open::Open;
use crate::actor::supervisor::{self, ChildName, Children, Tree, TreeEnd};
use crate::domain::places::PlaceLimits;
use crate::domain::queue::Settings;
use crate::port::{
    BlobError, Blobs, Blocking, Clock, Entropy, Fence, Monotonic, Network, Signer, Store,
    StoreError, StoreOwner, StoreRead, StoreReader,
};
use crate::protocol::PublicKey;
use crate::protocol::stored::{EnrolledBy, QuarantineRecord, WorkerRecord};
use crate::protocol::wire::BootId;

/// All that the coordinator needs of the world.
#[derive(Clone)]
pub struct Parts {
    /// Opens the database.
    pub store: Open<dyn Store, StoreError>,
    /// Opens the blobs.
    pub blobs: Open<Blobs, BlobError>,
    /// Where they may block.
    pub blocking: Arc<dyn Blocking>,
    /// Both clocks.
    pub clock: Arc<dyn Clock>,
    /// The coordinator's key.
    pub signer: Arc<dyn Signer>,
    /// For invitations.
    pub entropy: Arc<dyn Entropy>,
    /// The endpoint.
    pub network: Arc<dyn Network>,
    /// How the queue behaves.
    pub settings: Settings,
    /// Keys that may change things.
    pub admins: BTreeSet<PublicKey>,
    /// How many connections there may be.
    pub places: PlaceLimits,
    /// Where workers reach the coordinator.
    pub public_address: String,
    /// What to sync.
    pub profiles: Vec<syncs::Profile>,
    /// Bytes of one difference that are taken.
    pub difference_bytes_max: u64,
    /// Reports that are verified at a time, at least 1: more than there are processors only wait
    /// for each other.
    pub verifying_max: usize,
    /// See [`queue::Wrap`].
    pub wrap: queue::Wrap,
    /// This process.
    pub boot: BootId,
}

/// To the tree.
pub enum Message {
    /// Stop everything, in reverse order.
    Stop,
    /// The actors as they are now.
    Services(oneshot::Sender<Services>),
}

/// The actors of a tree as they are now: they may have been started again since the last answer.
///
/// # Errors
/// The tree has ended.
pub async fn services(tree: &ActorRef<Message>) -> Result<Services, Gone> {
    let (reply, answer) = oneshot::channel();
    tree.cast(Message::Services(reply)).map_err(|_| Gone)?;
    answer.await.map_err(|_| Gone)
}

/// The supervisor.
pub struct Coordinator;

// The children, in the order in which they start: each knows only those before it.
const STORE: ChildName<store::Message> = ChildName::new("store");
const BLOBS: ChildName<blobs::Message> = ChildName::new("blobs");
const QUEUE: ChildName<queue::Message> = ChildName::new("queue");
const RESULTS: ChildName<results::Message> = ChildName::new("results");
const SYNCS: ChildName<syncs::Message> = ChildName::new("syncs");
const SESSIONS: ChildName<sessions::Message> = ChildName::new("sessions");
const ENDPOINT: ChildName<endpoint::Message> = ChildName::new("endpoint");

/// The children, and what outlives their restarts.
pub struct State {
    parts: Parts,
    quarantine: Arc<Quarantine>,
    children: Children,
    services: Option<Services>,
    /// Of the results that are alive.
    views: Option<Views>,
    /// Outlives restarts.
    published: Arc<Published>,
    /// Read from the store, and followed since.
    standings: Arc<Standings>,
    refusals: Arc<Refusals>,
    reading: Arc<Reading>,
    /// The token with which this process owns the store; `None`: it was not opened yet.
    fence: Option<Fence>,
    /// Of the store that is open.
    reader: Option<StoreReader>,
    /// Outlives restarts.
    sessions: Arc<AtomicU64>,
    started: Monotonic,
}

/// Log slack over the worker's own limit: the note about what was cut.
const LOG_SLACK: u64 = 4 << 20;

impl Actor for Coordinator {
    type Msg = Message;
    type State = State;
    type Arguments = (Parts, oneshot::Sender<TreeEnd>);

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        (parts, ended): Self::Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let refusals = Arc::new(Refusals::new(parts.clock.clone()));
        let reading = Arc::new(Reading::new(parts.clock.clone()));
        let mut state = State {
            started: parts.clock.monotonic(),
            parts,
            standings: Arc::default(),
            refusals,
            reading,
            quarantine: Arc::default(),
            children: Children::new(ended),
            services: None,
            fence: None,
            reader: None,
            views: None,
            published: Arc::default(),
            sessions: Arc::default(),
        };
        state.start(&myself).await?;
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Stop => supervisor::stop(state, &myself, TreeEnd::Stopped).await,
            Message::Services(reply) => {
                if let Some(services) = state.services.clone() {
                    let _ = reply.send(services);
                }
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Message>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        supervisor::restart(state, &myself, event).await;
        Ok(())
    }
}

impl Tree for State {
    type Msg = Message;

    fn children(&mut self) -> &mut Children {
        &mut self.children
    }

    fn now(&self) -> Monotonic {
        self.parts.clock.monotonic()
    }

    /// A report that the queue died of is set aside soon: several of them are not too often.
    fn is_explained(&mut self) -> bool {
        self.quarantine.take_blame()
    }

    async fn start(&mut self, me: &ActorRef<Message>) -> Result<(), ActorProcessingErr> {
        let store = self.start_store(me).await?;
        let blobs = self.start_blobs(me, &store).await?;
        let (parts, me) = (self.parts.clone(), me.get_cell());
        let arguments = queue::Arguments {
            store: store.clone(),
            clock: parts.clock.clone(),
            settings: parts.settings.clone(),
            quarantine: self.quarantine.clone(),
            standings: self.standings.clone(),
            refusals: self.refusals.clone(),
            published: self.published.clone(),
            wrap: parts.wrap.clone(),
        };
        let queue = queue::QueueActor;
        let queue = self.children.get_or_spawn(me.clone(), &QUEUE, queue, arguments).await?;
        let reader = self.reader.clone().ok_or("the store is not open")?;
        let (results, views) = self.start_results(me.clone(), &reader, &queue).await?;
        let arguments = syncs::Arguments {
            profiles: parts.profiles.clone(),
            store: store.clone(),
            queue: queue.clone(),
            results: results.clone(),
            clock: parts.clock.clone(),
        };
        let syncs = syncs::SyncsActor;
        let syncs = self.children.get_or_spawn(me.clone(), &SYNCS, syncs, arguments).await?;
        let services = self.services((store, reader), (blobs, queue, syncs), (results, views));
        self.services = Some(services.clone());
        let sessions = sessions::SessionsActor;
        let sessions =
            self.children.get_or_spawn(me.clone(), &SESSIONS, sessions, services).await?;
        let arguments = endpoint::Arguments { network: parts.network, sessions };
        self.children.get_or_spawn(me, &ENDPOINT, endpoint::EndpointActor, arguments).await?;
        Ok(())
    }
}

impl State {
    async fn start_store(
        &mut self,
        me: &ActorRef<Message>,
    ) -> Result<ActorRef<store::Message>, ActorProcessingErr> {
        if let Some(store) = self.children.get(&STORE) {
            return Ok(store);
        }
        let store = StoreOwner::take((self.parts.store)()?, self.fence)?;
        self.fence = Some(store.fence());
        self.reader = Some(store.reader());
        self.restore_quarantine(&store)?;
        self.standings = Arc::new(self.restore_standings(&store)?);
        let arguments = store::Arguments { store, blocking: self.parts.blocking.clone() };
        self.children.spawn(me.get_cell(), &STORE, store::StoreActor, arguments).await
    }

    async fn start_results(
        &mut self,
        me: ActorCell,
        reader: &StoreReader,
        queue: &ActorRef<queue::Message>,
    ) -> Result<(ActorRef<results::Message>, Views), ActorProcessingErr> {
        if let Some(results) = self.children.get(&RESULTS)
            && let Some(views) = self.views.clone()
        {
            return Ok((results, views));
        }
        let (fold, views) = views::views(self.parts.settings.seed, self.published.clone());
        self.views = Some(views.clone());
        let (reader, blocking) = (reader.clone(), self.parts.blocking.clone());
        let arguments = results::Arguments { reader, blocking, queue: queue.clone(), fold };
        let results = self.children.spawn(me, &RESULTS, results::ResultsActor, arguments);
        Ok((results.await?, views))
    }

    async fn start_blobs(
        &mut self,
        me: &ActorRef<Message>,
        store: &ActorRef<store::Message>,
    ) -> Result<ActorRef<blobs::Message>, ActorProcessingErr> {
        if let Some(blobs) = self.children.get(&BLOBS) {
            return Ok(blobs);
        }
        let blobs = (self.parts.blobs)()?;
        let arguments = blobs::Arguments { blobs, blocking: self.parts.blocking.clone() };
        let blobs = self.children.spawn(me.get_cell(), &BLOBS, blobs::BlobsActor, arguments);
        let blobs = blobs.await?;
        gc::collect(store, &blobs)?;
        Ok(blobs)
    }

    fn services(
        &self,
        (store, reader): (ActorRef<store::Message>, StoreReader),
        (blobs, queue, syncs): (
            ActorRef<blobs::Message>,
            ActorRef<queue::Message>,
            ActorRef<syncs::Message>,
        ),
        (results, views): (ActorRef<results::Message>, Views),
    ) -> Services {
        let parts = self.parts.clone();
        Services {
            store,
            reader,
            blocking: parts.blocking,
            blobs,
            queue,
            results,
            views,
            syncs,
            quarantine: self.quarantine.clone(),
            clock: parts.clock,
            started: self.started,
            signer: parts.signer,
            verifying: Arc::new(Semaphore::new(parts.verifying_max.max(1))),
            entropy: parts.entropy,
            admins: Arc::new(parts.admins),
            standings: self.standings.clone(),
            refusals: self.refusals.clone(),
            places: parts.places,
            sessions: self.sessions.clone(),
            reading: self.reading.clone(),
            boot: parts.boot,
            public_address: parts.public_address,
            log_bytes_max: parts.settings.limits.log_bytes_max + LOG_SLACK,
            difference_bytes_max: parts.difference_bytes_max,
        }
    }

    /// Keys that may work, by the records of those that were let in. The list in the configuration
    /// does not bring back what was revoked.
    fn restore_standings(&self, store: &dyn StoreRead) -> Result<Standings, ActorProcessingErr> {
        let mut enrolled = self.parts.settings.enrolment.authorized.clone();
        store::scan_records(store, |key, record: WorkerRecord| {
            if record.revoked_at.is_some() {
                enrolled.remove(&key);
            } else if record.by != EnrolledBy::List {
                // One that was listed has rights as long as it is.
                enrolled.insert(key);
            }
        })?;
        Ok(Standings::new(Arc::new(self.parts.admins.clone()), enrolled))
    }

    /// Messages that were set aside before this process, or before the store failed.
    fn restore_quarantine(&self, store: &dyn StoreRead) -> Result<(), ActorProcessingErr> {
        let (mut records, mut last) = (Vec::<QuarantineRecord>::new(), 0);
        store::scan_records(store, |sequence, record| {
            last = sequence;
            records.push(record);
        })?;
        self.quarantine.restore(records, last);
        Ok(())
    }
}
