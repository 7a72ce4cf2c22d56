use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use ractor::ActorRef;
use tokio::sync::{Semaphore, oneshot};

use super::quarantine::Quarantine;
use super::refusals::Refusals;
use super::standings::Standings;
use super::turn::Reading;

pub use super::views::Gone;
use super::views::Views;
use super::{blobs, queue, results, store, syncs};
use crate::domain::places::PlaceLimits;
use crate::domain::queue::Order;
use crate::domain::results::ReadModel;
use crate::port::{
    BlobError, BlobName, Blocking, Clock, Entropy, Monotonic, Signer, StoreRead, StoreReader,
};
use crate::protocol::wire::v1::ctl::{Response, Status};
use crate::protocol::wire::{BootId, SOFTWARE};
use crate::protocol::{PublicKey, Sha256};

/// What every session is given: the other actors, and what it needs of the world.
#[derive(Clone)]
pub struct Services {
    /// The database, for what is to be written.
    pub store: ActorRef<store::Message>,
    /// Reads it without waiting for what is to be written.
    pub reader: StoreReader,
    /// Where that may block.
    pub blocking: Arc<dyn Blocking>,
    /// Logs and differences.
    pub blobs: ActorRef<blobs::Message>,
    /// Jobs and workers.
    pub queue: ActorRef<queue::Message>,
    /// Folds in what readers are shown.
    pub results: ActorRef<results::Message>,
    /// What readers are shown.
    pub views: Views,
    /// The profiles' syncs.
    pub syncs: ActorRef<syncs::Message>,
    /// Messages set aside.
    pub quarantine: Arc<Quarantine>,
    /// Both clocks.
    pub clock: Arc<dyn Clock>,
    /// When the coordinator was started.
    pub started: Monotonic,
    /// The coordinator's key.
    pub signer: Arc<dyn Signer>,
    /// Reports that are verified at a time.
    pub verifying: Arc<Semaphore>,
    /// For invitations.
    pub entropy: Arc<dyn Entropy>,
    /// Keys that may change things.
    pub admins: Arc<BTreeSet<PublicKey>>,
    /// What every key is here.
    pub standings: Arc<Standings>,
    /// What is refused, for the log.
    pub refusals: Arc<Refusals>,
    /// How many connections there may be.
    pub places: PlaceLimits,
    /// Sessions so far: a number is never used twice, whatever restarts.
    pub sessions: Arc<AtomicU64>,
    /// Work that is done for keys that may only read, at a time.
    pub reading: Arc<Reading>,
    /// This process.
    pub boot: BootId,
    /// Where workers reach the coordinator, for invitations.
    pub public_address: String,
    /// Bytes of one log that are taken.
    pub log_bytes_max: u64,
    /// Bytes of one difference that are taken.
    pub difference_bytes_max: u64,
}

impl Services {
    /// Asks an actor and waits; for tasks only, never for an actor's handler.
    ///
    /// # Errors
    /// The actor is gone.
    pub async fn ask<M: ractor::Message, T>(
        &self,
        actor: &ActorRef<M>,
        message: impl FnOnce(oneshot::Sender<T>) -> M,
    ) -> Result<T, Gone> {
        let (reply, answer) = oneshot::channel();
        actor.cast(message(reply)).map_err(|_| Gone)?;
        answer.await.map_err(|_| Gone)
    }

    /// Reads from the store beside its owner.
    ///
    /// # Errors
    /// The read panicked; a failed one says so itself.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn StoreRead) -> T + Send + 'static,
    ) -> Result<T, Gone> {
        let (reply, answer) = oneshot::channel();
        let reader = self.reader.clone();
        self.blocking.run(Box::new(move || {
            let _ = reply.send(read(&*reader));
        }));
        answer.await.map_err(|_| Gone)
    }

    /// Has an order of an admin carried out; as ctl is answered.
    ///
    /// # Errors
    /// The queue is gone.
    pub async fn order(&self, order: Order) -> Result<Vec<Response>, Gone> {
        self.ask(&self.queue, |reply| queue::Message::Order(order, reply)).await
    }

    /// How the coordinator is.
    ///
    /// # Errors
    /// The results are gone.
    pub async fn status(&self) -> Result<Status, Gone> {
        let now = self.clock.utc();
        let look = |model: &ReadModel| (model.job_counts(now), model.counts(), model.running(now));
        let (jobs, artifacts, running) = self.views.look_at(now, look).await?;
        let uptime = self.clock.monotonic().since(self.started);
        Ok(Status {
            software: SOFTWARE.into(),
            uptime_ms: u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX),
            key: self.signer.public_key(),
            jobs,
            artifacts,
            running,
            quarantined: u32::try_from(self.quarantine.records().len()).unwrap_or(u32::MAX),
        })
    }

    /// Reads from a kept blob or from one that is growing.
    ///
    /// # Errors
    /// The blobs are gone; a failed medium is told inside.
    pub async fn read_blob(
        &self,
        blob: Blob,
        offset: u64,
        length: usize,
    ) -> Result<Result<Option<bytes::Bytes>, BlobError>, Gone> {
        self.ask(&self.blobs, |reply| {
            blobs::Message::Do(Box::new(move |blobs| {
                let name = match &blob {
                    Blob::Kept(digest) => BlobName::Sealed(*digest),
                    Blob::Growing(part) => BlobName::Part(part),
                };
                let _ = reply.send(blobs.read(name, offset, length));
                Ok(())
            }))
        })
        .await
    }
}

/// What to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blob {
    /// Kept whole.
    Kept(Sha256),
    /// Being received.
    Growing(String),
}
