//! What can be asked.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use ractor::ActorRef;
use rebuilder_actors::actor::coordinator::{Gone, Message, Services};
use tokio::sync::oneshot;

use super::figures;
use super::gather::gather;

/// As Prometheus asks for the text format of OpenMetrics 1.0.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All routes, of this tree.
pub fn routes(tree: ActorRef<Message>) -> Router {
    Router::new()
        .route("/", get(root))
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(tree))
}

type Tree = State<Arc<ActorRef<Message>>>;

/// The actors as they are now: they may have been started again since the last request.
async fn services(tree: &ActorRef<Message>) -> Result<Services, Gone> {
    let (reply, answer) = oneshot::channel();
    tree.cast(Message::Services(reply)).map_err(|_| Gone)?;
    answer.await.map_err(|_| Gone)
}

async fn root() -> &'static str {
    "This is a rebuilder: it rebuilds the packages of a distribution and says whether they are the \
     same.\n\n/health   200 while the process lives\n/ready    200 when questions are answered\n\
     /metrics  figures for Prometheus\n"
}

/// The process lives: whatever its actors do, starting it again would not help sooner.
async fn health() -> &'static str {
    "ok\n"
}

/// Everything that is stored was read, and questions are answered from it.
async fn ready(State(tree): Tree) -> Response {
    let look = async { services(&tree).await?.views.look(|_| ()).await };
    match look.await {
        Ok(()) => "ready\n".into_response(),
        Err(gone) => unavailable(&gone),
    }
}

async fn metrics(State(tree): Tree) -> Response {
    let figures = async { gather(&services(&tree).await?).await };
    match figures.await {
        Ok(figures) => {
            let kind = [(header::CONTENT_TYPE, HeaderValue::from_static(OPEN_METRICS))];
            (kind, figures::text(figures)).into_response()
        }
        Err(gone) => unavailable(&gone),
    }
}

fn unavailable(gone: &Gone) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{gone}\n")).into_response()
}
