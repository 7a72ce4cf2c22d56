//! The interface of rebuilderd: `/api/v1`, and `/api/v0` for older clients. Names and shapes are
//! the peer's, for its clients are to work unchanged; `docs/http-api.md` says where answers differ.

mod answer;
mod asked;
mod blob;
mod bodies;
mod builds;
mod dashboard;
mod list;
mod meta;
mod orders;
mod packages;
mod queue;
mod shapes;
mod time;
mod v0;
mod workers;

use axum::Router;
use axum::routing::get;
use core::time::Duration;
use std::sync::{Arc, Mutex, PoisonError};

use ractor::ActorRef;
use rebuilder_actors::actor::coordinator::{Message, Services, services};
use rebuilder_actors::domain::results::QueuePosition;
use rebuilder_actors::protocol::InputId;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use answer::Failure;

/// What every route is given.
#[derive(Clone)]
pub(super) struct Api {
    /// Asked for its actors at each request.
    tree: ActorRef<Message>,
    /// Where rows of the queue stood that ended a page, for who goes on behind them; the newest at
    /// the end.
    places: Arc<Mutex<Vec<(InputId, QueuePosition)>>>,
    /// Long answers that are in memory at a time.
    long: Arc<Semaphore>,
    /// Looks at everything, at a time.
    scans: Arc<Semaphore>,
}

/// Places of the queue that are remembered: pages of a thousand readers.
const PLACES_MAX: usize = 1_000;
/// Rows from which an answer is a long one.
const LONG: usize = 1_000;
/// Long answers at a time: with ten thousand rows each has some ten megabytes. One that may be even
/// longer is made alone.
const LONG_MAX: u32 = 4;
/// Looks at everything at a time: two processors have other work as well.
const SCANS_MAX: usize = 2;
/// Time to wait for a turn.
const WAIT: Duration = Duration::from_secs(20);

impl Api {
    fn new(tree: ActorRef<Message>) -> Self {
        Self {
            tree,
            places: Arc::default(),
            long: Arc::new(Semaphore::new(LONG_MAX as usize)),
            scans: Arc::new(Semaphore::new(SCANS_MAX)),
        }
    }

    /// The actors, once everything that is stored was read: nobody waits for that.
    async fn services(&self) -> Result<Services, Failure> {
        let services = services(&self.tree).await?;
        if services.views.is_ready() {
            return Ok(services);
        }
        Err(Failure::Later("the store is being read".to_owned()))
    }

    fn remember(&self, job: InputId, position: QueuePosition) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.retain(|(other, _)| *other != job);
        places.push((job, position));
        let over = places.len().saturating_sub(PLACES_MAX);
        places.drain(..over);
    }

    fn remembered(&self, job: InputId) -> Option<QueuePosition> {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.iter().find(|(other, _)| *other == job).map(|(_, position)| *position)
    }

    /// Room for an answer of up to so many rows, to be held until it was sent; `None`: it is short.
    async fn room(&self, rows: usize) -> Result<Option<OwnedSemaphorePermit>, Failure> {
        if rows <= LONG {
            return Ok(None);
        }
        let share = if rows <= asked::ROWS_MAX { 1 } else { LONG_MAX };
        turn(self.long.clone().acquire_many_owned(share)).await.map(Some)
    }

    /// Held while everything that there is is looked at.
    async fn scan(&self) -> Result<OwnedSemaphorePermit, Failure> {
        turn(self.scans.clone().acquire_owned()).await
    }
}

async fn turn(
    permit: impl Future<Output = Result<OwnedSemaphorePermit, AcquireError>>,
) -> Result<OwnedSemaphorePermit, Failure> {
    match tokio::time::timeout(WAIT, permit).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(Failure::Later("too much is asked for at a time".to_owned())),
    }
}

/// The routes of both versions.
pub(super) fn routes(tree: ActorRef<Message>) -> Router {
    let v1 = Router::new()
        .route("/packages/source", get(packages::sources))
        .route("/packages/source/{id}", get(packages::source))
        .route("/packages/binary", get(packages::binaries))
        .route("/packages/binary/{id}", get(packages::binary))
        .route("/packages/transition_packages", get(packages::transition))
        .route("/queue", get(queue::list).post(orders::push).delete(orders::drop))
        .route("/queue/{id}", get(queue::one).delete(orders::drop_one))
        .route("/builds", get(builds::list))
        .route("/builds/{id}", get(builds::one))
        .route("/builds/{id}/log", get(builds::log))
        .route("/builds/{id}/artifacts", get(builds::artifacts))
        .route("/builds/{id}/artifacts/{artifact}", get(builds::artifact))
        .route("/builds/{id}/artifacts/{artifact}/diffoscope", get(builds::diffoscope))
        .route("/builds/{id}/artifacts/{artifact}/attestation", get(builds::attestation))
        .route("/builds/diffoscope/{id}", get(builds::diffoscope_of))
        .route("/workers", get(workers::list))
        .route("/workers/{id}", get(workers::one))
        .route("/dashboard", get(dashboard::v1))
        .route("/meta/distributions", get(meta::distributions))
        .route("/meta/distributions/{distribution}/releases", get(meta::releases))
        .route("/meta/distributions/{distribution}/architectures", get(meta::architectures))
        .route(
            "/meta/distributions/{distribution}/releases/{release}/architectures",
            get(meta::architectures_of),
        )
        .route("/meta/public-keys", get(meta::public_keys));
    Router::new().nest("/api/v1", v1).nest("/api/v0", v0::routes()).with_state(Api::new(tree))
}
