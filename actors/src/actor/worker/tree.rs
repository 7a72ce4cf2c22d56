use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::sync::{Arc, Mutex};
use tokio::sync::{Semaphore, oneshot};

use super::connection::Credentials;
use super::log::Logs;
use super::runner::Shared;
use super::{link, runners, spool};
use crate::actor::coordinator::Open;
use crate::actor::supervisor::{Restarts, TreeEnd};
use crate::port::{Backend, BlobError, Blobs, Blocking, Clock, Network, Signer, Spool, SpoolError};
use crate::protocol::wire::Offer;

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
    /// Bytes of one log that are kept.
    pub log_bytes_max: u64,
}

/// To the tree.
pub enum Message {
    /// Stop everything, in reverse order; attempts under way end without a report.
    Stop,
}

/// The supervisor: rest for one, as in the coordinator.
pub struct Worker;

/// The children, in order; each knows only those before it.
pub struct State {
    parts: Parts,
    logs: Logs,
    ended: Option<oneshot::Sender<TreeEnd>>,
    restarts: Restarts,
    children: Vec<(&'static str, ActorCell)>,
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
        let (ended, restarts) = (Some(ended), Restarts::new());
        let mut state = State { parts, logs, ended, restarts, children: Vec::new() };
        state.start(&myself).await?;
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        Message::Stop: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        state.stop(0).await;
        state.end(TreeEnd::Stopped);
        myself.stop(None);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Message>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let (cell, reason) = match event {
            SupervisionEvent::ActorFailed(cell, error) => (cell, error.to_string()),
            SupervisionEvent::ActorTerminated(cell, _, reason) => {
                (cell, reason.unwrap_or_else(|| "it stopped by itself".into()))
            }
            _ => return Ok(()),
        };
        let failed = state.children.iter().position(|(_, child)| child.get_id() == cell.get_id());
        let Some(at) = failed else { return Ok(()) };
        let mut last = format!("{} failed: {reason}", state.children[at].0);
        tracing::error!(target: "rebuilder", "{last}; it is started again, with all after it");
        state.stop(at).await;
        while state.restarts.allow(state.parts.clock.monotonic()) {
            match state.start(&myself).await {
                Ok(()) => return Ok(()),
                Err(error) => last = error.to_string(),
            }
            state.stop(at).await;
        }
        state.stop(0).await;
        state.end(TreeEnd::GaveUp { reason: last });
        myself.stop(None);
        Ok(())
    }
}

impl State {
    fn end(&mut self, end: TreeEnd) {
        if let Some(ended) = self.ended.take() {
            let _ = ended.send(end);
        }
    }

    async fn stop(&mut self, at: usize) {
        for (_, child) in self.children.split_off(at).into_iter().rev() {
            let wait = core::time::Duration::from_secs(5);
            let _ = child.stop_and_wait(None, Some(wait)).await;
        }
    }

    async fn start(&mut self, me: &ActorRef<Message>) -> Result<(), ActorProcessingErr> {
        let parts = self.parts.clone();
        let spool: ActorRef<spool::Message> = match self.children.first() {
            Some((_, cell)) => cell.clone().into(),
            None => {
                let (spool, blocking) = ((parts.spool)()?, parts.blocking);
                let arguments = spool::Arguments { spool, blocking };
                let (spool, _) =
                    Actor::spawn_linked(None, spool::SpoolActor, arguments, me.get_cell()).await?;
                self.children.push(("spool", spool.get_cell()));
                spool
            }
        };
        let link: ActorRef<link::Message> = match self.children.get(1) {
            Some((_, cell)) => cell.clone().into(),
            None => {
                let arguments = link::Arguments {
                    network: parts.network,
                    credentials: parts.credentials,
                    offer: parts.offer,
                    clock: parts.clock,
                    spool: spool.clone(),
                    measure: parts.measure,
                    logs: self.logs.clone(),
                };
                let (link, _) =
                    Actor::spawn_linked(None, link::LinkActor, arguments, me.get_cell()).await?;
                self.children.push(("link", link.get_cell()));
                link
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
            let (runners, _) =
                Actor::spawn_linked(None, runners::RunnersActor, shared, me.get_cell()).await?;
            self.children.push(("runners", runners.get_cell()));
        }
        Ok(())
    }
}
