use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::sync::{Arc, Mutex};
use tokio::sync::{Semaphore, oneshot};

use super::connection::Credentials;
use super::log::{self, Logs};
use super::runner::Shared;
use super::{link, runners, spool};
use crate::actor::coordinator::Open;
use crate::actor::supervisor::{Children, TreeEnd};
use crate::port::{
    Backend, BlobError, Blobs, Blocking, Clock, CloseReason, Network, Signer, Spool, SpoolError,
};
use crate::protocol::wire::Offer;
use crate::protocol::wire::v1::worker::Condition;

/// All that a worker needs of the world.
#[derive(Clone)]
pub struct Parts {
    /// Opens the spool.
    pub spool: Open<dyn Spool, SpoolError>,
    /// Opens the worker's own copies of its logs.
    pub logs: Open<dyn Blobs, BlobError>,
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
    /// Bytes of one log that are kept.
    pub log_bytes_max: u64,
}

/// To the tree.
pub enum Message {
    /// Stop everything, in reverse order; attempts under way end without a report.
    Stop,
    /// The same, as the coordinator will not let this worker in again.
    Refused(CloseReason),
}

/// The supervisor: rest for one, as in the coordinator.
pub struct Worker;

/// The children, in order; each knows only those before it.
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
        state.children.stop(0).await;
        state.children.end(match message {
            Message::Stop => TreeEnd::Stopped,
            Message::Refused(reason) => TreeEnd::Refused { reason },
        });
        myself.stop(None);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Message>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let Some((at, mut last)) = state.children.failed(event) else { return Ok(()) };
        state.children.stop(at).await;
        while state.children.may_restart(state.parts.clock.monotonic()) {
            match state.start(&myself).await {
                Ok(()) => return Ok(()),
                Err(error) => last = error.to_string(),
            }
            state.children.stop(at).await;
        }
        state.children.stop(0).await;
        state.children.end(TreeEnd::GaveUp { reason: last });
        myself.stop(None);
        Ok(())
    }
}

impl State {
    async fn start(&mut self, me: &ActorRef<Message>) -> Result<(), ActorProcessingErr> {
        let parts = self.parts.clone();
        let spool = match self.children.get(0) {
            Some(spool) => spool,
            None => {
                let arguments =
                    spool::Arguments { spool: (parts.spool)()?, blocking: parts.blocking };
                let me = me.get_cell();
                let spool = self.children.spawn(me, "spool", spool::SpoolActor, arguments).await?;
                // The link asks for the reports before it connects, and so gets them after this.
                let logs = self.logs.clone();
                let collect = Box::new(move |spooled: Vec<String>| log::collect(&logs, &spooled));
                spool.cast(spool::Message::Names(collect))?;
                spool
            }
        };
        let link = match self.children.get(1) {
            Some(link) => link,
            None => {
                let arguments = link::Arguments {
                    network: parts.network,
                    credentials: parts.credentials,
                    offer: parts.offer,
                    clock: parts.clock,
                    spool: spool.clone(),
                    measure: parts.measure,
                    condition: parts.condition,
                    logs: self.logs.clone(),
                    tree: me.clone(),
                };
                let me = me.get_cell();
                self.children.spawn(me, "link", link::LinkActor, arguments).await?
            }
        };
        if self.children.len() == 2 {
            let shared = Shared {
                backend: parts.backend,
                signer: parts.signer,
                spool,
                link,
                log_bytes_max: parts.log_bytes_max,
                differences: Arc::new(Semaphore::new(1)),
                logs: self.logs.clone(),
            };
            let me = me.get_cell();
            self.children.spawn(me, "runners", runners::RunnersActor, shared).await?;
        }
        Ok(())
    }
}
