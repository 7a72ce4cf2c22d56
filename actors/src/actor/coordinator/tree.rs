use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::sync::{Semaphore, oneshot};

use super::quarantine::Quarantine;
use super::refusals::Refusals;
use super::services::Services;
use super::standings::Standings;
use super::turn::Reading;
use super::{blobs, endpoint, gc, queue, results, sessions, store, syncs};
use crate::actor::supervisor::{Children, TreeEnd};
use crate::domain::places::PlaceLimits;
use crate::domain::queue::Settings;
use crate::port::{BlobError, Blobs, Blocking, Clock, Entropy, Network, Signer, Store, StoreError};
use crate::protocol::PublicKey;
use crate::protocol::stored;
use crate::protocol::stored::key::table;
use crate::protocol::stored::v1::{EnrolledBy, QuarantineRecord, WorkerRecord};
use crate::protocol::wire::BootId;

/// Opens something again after its owner failed.
pub type Open<T, E> = Arc<dyn Fn() -> Result<Box<T>, E> + Send + Sync>;

/// All that the coordinator needs of the world.
#[derive(Clone)]
pub struct Parts {
    /// Opens the database.
    pub store: Open<dyn Store, StoreError>,
    /// Opens the blobs.
    pub blobs: Open<dyn Blobs, BlobError>,
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

/// The supervisor: rest for one. A child that fails takes those after it along, and all start again
/// in order; too often, and the tree gives up.
pub struct Coordinator;

/// The children, in order; each knows only those before it.
pub struct State {
    parts: Parts,
    quarantine: Arc<Quarantine>,
    children: Children,
    services: Option<Services>,
    /// Read from the store, and followed since.
    standings: Arc<Standings>,
    refusals: Arc<Refusals>,
    reading: Arc<Reading>,
    /// Outlives restarts.
    sessions: Arc<AtomicU64>,
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
            parts,
            standings: Arc::default(),
            refusals,
            reading,
            quarantine: Arc::default(),
            children: Children::new(ended),
            services: None,
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
            Message::Stop => {
                state.children.stop(0).await;
                state.children.end(TreeEnd::Stopped);
                myself.stop(None);
            }
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
        let mut damage = damage_of(&event);
        let Some((at, mut last)) = state.children.failed(event) else { return Ok(()) };
        state.children.stop(at).await;
        // A report that the queue died of is set aside soon: several of them are not too often.
        let mut explained = state.quarantine.take_blame();
        while damage.is_none()
            && (core::mem::take(&mut explained)
                || state.children.may_restart(state.parts.clock.monotonic()))
        {
            match state.start(&myself).await {
                Ok(()) => return Ok(()),
                Err(error) => {
                    damage = damage_in(&error);
                    last = error.to_string();
                }
            }
            state.children.stop(at).await;
        }
        state.children.stop(0).await;
        state.children.end(match damage {
            Some(reason) => TreeEnd::Damaged { reason },
            None => TreeEnd::GaveUp { reason: last },
        });
        myself.stop(None);
        Ok(())
    }
}

/// What a child failed of, if that is damage of what is stored: no restart mends it.
fn damage_of(event: &SupervisionEvent) -> Option<String> {
    match event {
        SupervisionEvent::ActorFailed(_, error) => damage_in(error),
        _ => None,
    }
}

/// The text of an error that is damage of what is stored.
pub fn damage_in(error: &ActorProcessingErr) -> Option<String> {
    let error = error.downcast_ref::<StoreError>()?;
    matches!(error, StoreError::Damaged { .. }).then(|| error.to_string())
}

impl State {
    /// Starts every child that is not there, in order.
    async fn start(&mut self, me: &ActorRef<Message>) -> Result<(), ActorProcessingErr> {
        let parts = self.parts.clone();
        let store = match self.children.get(0) {
            Some(store) => store,
            None => {
                let store = (parts.store)()?;
                self.restore_quarantine(store.as_ref())?;
                self.standings = Arc::new(self.restore_standings(store.as_ref())?);
                let arguments = store::Arguments { store, blocking: parts.blocking.clone() };
                self.children.spawn(me.get_cell(), "store", store::StoreActor, arguments).await?
            }
        };
        let blobs = match self.children.get(1) {
            Some(blobs) => blobs,
            None => {
                let blobs = (parts.blobs)()?;
                let arguments = blobs::Arguments { blobs, blocking: parts.blocking.clone() };
                let blobs =
                    self.children.spawn(me.get_cell(), "blobs", blobs::BlobsActor, arguments);
                let blobs = blobs.await?;
                gc::collect(&store, &blobs)?;
                blobs
            }
        };
        let queue = match self.children.get(2) {
            Some(queue) => queue,
            None => {
                let arguments = queue::Arguments {
                    store: store.clone(),
                    clock: parts.clock.clone(),
                    settings: parts.settings.clone(),
                    quarantine: self.quarantine.clone(),
                    standings: self.standings.clone(),
                    refusals: self.refusals.clone(),
                    wrap: parts.wrap.clone(),
                };
                self.children.spawn(me.get_cell(), "queue", queue::QueueActor, arguments).await?
            }
        };
        let results = match self.children.get(3) {
            Some(results) => results,
            None => {
                let arguments = results::Arguments {
                    store: store.clone(),
                    queue: queue.clone(),
                    clock: parts.clock.clone(),
                    seed: parts.settings.seed,
                };
                self.children
                    .spawn(me.get_cell(), "results", results::ResultsActor, arguments)
                    .await?
            }
        };
        self.start_edge(me, store, blobs, queue, results).await
    }

    /// The children that talk to the outside.
    async fn start_edge(
        &mut self,
        me: &ActorRef<Message>,
        store: ActorRef<store::Message>,
        blobs: ActorRef<blobs::Message>,
        queue: ActorRef<queue::Message>,
        results: ActorRef<results::Message>,
    ) -> Result<(), ActorProcessingErr> {
        let parts = self.parts.clone();
        let syncs = match self.children.get(4) {
            Some(syncs) => syncs,
            None => {
                let arguments = syncs::Arguments {
                    profiles: parts.profiles,
                    store: store.clone(),
                    queue: queue.clone(),
                    results: results.clone(),
                    clock: parts.clock.clone(),
                };
                self.children.spawn(me.get_cell(), "syncs", syncs::SyncsActor, arguments).await?
            }
        };
        let services = Services {
            store,
            blobs,
            queue,
            results,
            syncs,
            quarantine: self.quarantine.clone(),
            clock: parts.clock,
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
        };
        self.services = Some(services.clone());
        let sessions = match self.children.get(5) {
            Some(sessions) => sessions,
            None => {
                self.children
                    .spawn(me.get_cell(), "sessions", sessions::SessionsActor, services)
                    .await?
            }
        };
        if self.children.len() == 6 {
            let arguments = endpoint::Arguments { network: parts.network, sessions };
            let _: ActorRef<endpoint::Message> = self
                .children
                .spawn(me.get_cell(), "endpoint", endpoint::EndpointActor, arguments)
                .await?;
        }
        Ok(())
    }

    /// Keys that may work, by the records of those that were let in. The list in the configuration
    /// does not bring back what was revoked.
    fn restore_standings(&self, store: &dyn Store) -> Result<Standings, ActorProcessingErr> {
        let mut enrolled = self.parts.settings.enrolment.authorized.clone();
        store::scan_table(store, table::WORKER, |key, value| {
            let key = key.get(1..).and_then(|key| key.try_into().ok()).map(PublicKey);
            stored::read(value).map(|record: WorkerRecord| match key {
                Some(key) if record.revoked_at.is_some() => drop(enrolled.remove(&key)),
                // One that was listed has rights as long as it is.
                Some(key) if record.by != EnrolledBy::List => drop(enrolled.insert(key)),
                _ => {}
            })
        })?;
        Ok(Standings::new(Arc::new(self.parts.admins.clone()), enrolled))
    }

    /// Messages that were set aside before this process, or before the store failed.
    fn restore_quarantine(&self, store: &dyn Store) -> Result<(), ActorProcessingErr> {
        let (mut records, mut last) = (Vec::<QuarantineRecord>::new(), 0);
        store::scan_table(store, table::QUARANTINE, |key, value| {
            last = key.get(1..).and_then(|k| k.try_into().ok()).map_or(last, u64::from_be_bytes);
            stored::read(value).map(|record| records.push(record))
        })?;
        self.quarantine.restore(records, last);
        Ok(())
    }
}
