use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::sync::{Arc, Mutex};
use tokio::sync::{Semaphore, oneshot};

use super::connection::Credentials;
use super::log::{self, Logs};
use super::runner::Shared;
use super::{link, runners, spool};
use crate::actor::derived::accepts;
use crate::actor::open::Open;
use crate::actor::supervisor::{self, ChildName, Children, Tree, TreeEnd};
use crate::port::{
    self, Backend, BlobError, Blocking, Clock, Monotonic, Network, Signer, Spool, SpoolError,
};
use crate::protocol::wire::Offer;
use crate::protocol::wire::v1::worker::{Capabilities, Condition};

/// All that a worker needs of the world.
#[derive(Clone)]
pub struct Parts {
    /// Opens the spool.
    pub spool: Open<dyn Spool, SpoolError>,
    /// Opens the worker's own copies of its logs.
    pub logs: Open<dyn port::Parts, BlobError>,
    /// Where the spool may block.
    pub blocking: Arc<dyn Blocking>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The worker's key.
    pub signer: Arc<dyn Signer>,
    /// The endpoint.
    pub network: Arc<dyn Network>,
    /// Whom to connect to, and how.
    pub credentials: Credentials,
    /// What it can build.
    pub offer: Offer,
    /// Rebuilds.
    pub backend: Arc<dyn Backend>,
    /// Free memory and disk, bytes.
    pub measure: Arc<dyn Fn() -> (u64, u64) + Send + Sync>,
    /// How the machine is; at once.
    pub condition: Arc<dyn Fn() -> Condition + Send + Sync>,
    /// What the machine gives to builds; nothing is said of one without any.
    pub capabilities: Capabilities,
    /// Bytes of one log that are kept.
    pub log_bytes_max: u64,
}

/// To the tree.
pub enum Message {
    /// Stop everything, in reverse order; attempts under way end without a report.
    Stop,
    /// The same, as the coordinator will not let this worker in again.
    Refused(link::Refused),
}

accepts!(Message, Refused, link::Refused);

/// The supervisor.
pub struct Worker;

// The children, in the order in which they start: each knows only those before it.
const SPOOL: ChildName<spool::Message> = ChildName::new("spool");
const LINK: ChildName<link::Message> = ChildName::new("link");
const RUNNERS: ChildName<runners::Message> = ChildName::new("runners");

/// The children, and what outlives their restarts.
pub struct State {
    parts: Parts,
    logs: Logs,
    children: Children,
}

impl Actor for Worker {
    type Msg = Message;
    type State = State;
    type Arguments = (Parts, oneshot::Sender<TreeEnd>);

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        (parts, ended): Self::Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let logs = Arc::new(Mutex::new((parts.logs)()?));
        let mut state = State { parts, logs, children: Children::new(ended) };
        state.start(&myself).await?;
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let end = match message {
            Message::Stop => TreeEnd::Stopped,
            Message::Refused(link::Refused(reason)) => TreeEnd::Refused { reason },
        };
        supervisor::stop(state, &myself, end).await;
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

    async fn start(&mut self, tree: &ActorRef<Message>) -> Result<(), ActorProcessingErr> {
        let (parts, me) = (self.parts.clone(), tree.get_cell());
        let spool = match self.children.get(&SPOOL) {
            Some(spool) => spool,
            None => {
                let arguments =
                    spool::Arguments { spool: (parts.spool)()?, blocking: parts.blocking };
                let spool = spool::SpoolActor;
                let spool = self.children.spawn(me.clone(), &SPOOL, spool, arguments).await?;
                // The link asks for the reports before it connects, and so gets them after this.
                let logs = self.logs.clone();
                let collect = Box::new(move |spooled: Vec<String>| log::collect(&logs, &spooled));
                spool.cast(spool::Message::Names(collect))?;
                spool
            }
        };
        let arguments = link::Arguments {
            network: parts.network,
            credentials: parts.credentials,
            offer: parts.offer,
            clock: parts.clock,
            spool: spool.clone(),
            measure: parts.measure,
            condition: parts.condition,
            capabilities: parts.capabilities,
            logs: self.logs.clone(),
            tree: tree.get_derived(),
        };
        let link = self.children.get_or_spawn(me.clone(), &LINK, link::LinkActor, arguments);
        let link = link.await?;
        let shared = Shared {
            backend: parts.backend,
            signer: parts.signer,
            spool,
            link,
            log_bytes_max: parts.log_bytes_max,
            differences: Arc::new(Semaphore::new(1)),
            logs: self.logs.clone(),
        };
        self.children.get_or_spawn(me, &RUNNERS, runners::RunnersActor, shared).await?;
        Ok(())
    }
}
