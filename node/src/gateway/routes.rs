//! What can be asked.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use ractor::ActorRef;
use rebuilder_actors::actor::coordinator::{Message, services};
use rebuilder_actors::port::Monotonic;
use tokio::sync::Mutex;

use super::figures;
use super::gather::gather;

/// As Prometheus asks for the text format of OpenMetrics 1.0.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How old figures may be: they are gathered at most so often, however many ask.
const AGE: Duration = Duration::from_secs(1);
/// Time to gather them.
const GATHER: Duration = Duration::from_secs(5);

/// All routes, of this tree.
pub fn routes(tree: ActorRef<Message>) -> Router {
    Router::new()
        .route("/", get(root))
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(Shared { tree: tree.clone(), last: Mutex::default() }))
        .merge(super::api::routes(tree))
}

/// What all requests share.
struct Shared {
    tree: ActorRef<Message>,
    /// The figures gathered last, and when. Held while they are gathered: one request does it for
    /// all that wait.
    last: Mutex<Option<(Monotonic, Bytes)>>,
}

type Tree = State<Arc<Shared>>;

async fn root() -> &'static str {
    "This is a rebuilder: it rebuilds the packages of a distribution and says whether they are the \
     same.\n\n/health   200 while the process lives\n/ready    200 when questions are answered\n\
     /metrics  figures for Prometheus\n/api/v1   what rebuilderd's clients ask, and /api/v0 for \
     older ones:\n          /api/v1/dashboard, /api/v1/packages/binary?name=…, /api/v0/pkgs/list\n"
}

/// The process lives: whatever its actors do, starting it again would not help sooner.
async fn health() -> &'static str {
    "ok\n"
}

/// Everything that is stored was read, and questions are answered from it. It waits for neither.
async fn ready(State(shared): Tree) -> Response {
    match services(&shared.tree).await {
        Ok(services) if services.views.is_ready() => "ready\n".into_response(),
        Ok(_) => unavailable("the store is being read"),
        Err(gone) => unavailable(&gone.to_string()),
    }
}

async fn metrics(State(shared): Tree) -> Response {
    let mut last = shared.last.lock().await;
    let services = match services(&shared.tree).await {
        Ok(services) => services,
        Err(gone) => return unavailable(&gone.to_string()),
    };
    let now = services.clock.monotonic();
    if let Some((_, text)) = last.as_ref().filter(|(at, _)| now.since(*at) < AGE) {
        return open_metrics(text.clone());
    }
    match tokio::time::timeout(GATHER, gather(&services)).await {
        Ok(Ok(figures)) => {
            let text = Bytes::from(figures::text(figures));
            *last = Some((now, text.clone()));
            open_metrics(text)
        }
        Ok(Err(gone)) => unavailable(&gone.to_string()),
        Err(_) => unavailable("the store is being read, or the machine is too busy"),
    }
}

fn open_metrics(text: Bytes) -> Response {
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static(OPEN_METRICS))];
    (kind, text).into_response()
}

fn unavailable(why: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response()
}
