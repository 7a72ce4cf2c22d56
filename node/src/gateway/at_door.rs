use core::convert::Infallible;
use core::net::IpAddr;
use core::panic::AssertUnwindSafe;
use core::pin::{Pin, pin};
use core::task::Poll;
use core::time::Duration;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, StatusCode, Version, header};
use axum::response::IntoResponse as _;
use hyper::body::{Body as _, Incoming};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;

use super::accept::Packing;
use super::compress::pack;
use super::cors;
use super::door::{Asked, Door};
use super::lingering::Lingering;
use super::path::{Odd, routed};
use super::refusal::Refusal;

/// The routes behind the door, for one connection.
#[derive(Clone, Debug)]
pub(super) struct AtDoor {
    door: Arc<Door>,
    routes: Router,
    peer: IpAddr,
}

impl AtDoor {
    pub(super) fn new(door: Arc<Door>, routes: Router, peer: IpAddr) -> Self {
        Self { door, routes, peer }
    }

    async fn answer(self, request: Request<Incoming>) -> Response<Body> {
        let permits_all = self.door.settings().permissive_cors;
        let limits = *self.door.limits();
        let request = request.map(|body| {
            // Most requests have none.
            if body.is_end_stream() {
                return Body::empty();
            }
            // What is too large is usually not much too large.
            let bytes_max = limits.body_bytes_max.saturating_mul(2);
            Body::new(Lingering::new(body, bytes_max, limits.head))
        });
        let mut answer = match self.enter(request) {
            Ok(None) => return cors::preflight(),
            Ok(Some((request, asked))) => behind(self.routes, request, &asked).await,
            Err(refusal) => refusal.into_response(),
        };
        if permits_all {
            cors::permit(&mut answer);
        }
        answer
    }

    /// What is to be routed. `None`: a preflight, which is answered here.
    fn enter(&self, mut request: Request<Body>) -> Result<Option<(Request<Body>, Asked)>, Refusal> {
        let (door, headers) = (&self.door, request.headers());
        let settings = door.settings();
        let client = settings.proxies.client(self.peer, headers);
        door.count(client).map_err(too_many)?;
        // RFC 9112 §3.2; of two, proxies and servers choose differently.
        let hosts = headers.get_all(header::HOST).iter().count();
        if hosts > 1 || hosts == 0 && request.version() == Version::HTTP_11 {
            return Err(Refusal::bad_request("one header `Host` is needed"));
        }
        if settings.permissive_cors && cors::is_preflight(request.method(), headers) {
            return Ok(None);
        }
        let uri = routed(request.uri(), &settings.prefix);
        let uri = uri.map_err(|Odd(why)| Refusal::bad_request(why))?;
        let asked = Asked::new(door.clone(), client, uri.path());
        *request.uri_mut() = uri;
        request.extensions_mut().insert(asked.clone());
        Ok(Some((request, asked)))
    }
}

/// The answer of the routes, packed as it is wanted.
async fn behind(routes: Router, request: Request<Body>, asked: &Asked) -> Response<Body> {
    let wanted = Packing::wanted(request.headers());
    let method = request.method().clone();
    let answer = TowerToHyperService::new(routes).call(request);
    let Some(answer) = or_panic(answer).await else {
        // The hook of panics has said where. Of what was asked only the path is ours to tell.
        let path = asked.path();
        tracing::error!(target: "rebuilder", "the answer to {method} {path:?} panicked: 500");
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let answer = answer.unwrap_or_else(|never| match never {});
    // As the peer answers a method that a path does not have.
    if answer.status() == StatusCode::METHOD_NOT_ALLOWED {
        return Refusal::not_found().into_response();
    }
    pack(answer, wanted).await
}

/// What a future ends with; `None`: it panicked. It is not polled again, so that nobody sees what
/// it may have left half done, but what handlers share is behind locks and seen by the next one.
async fn or_panic<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    core::future::poll_fn(|cx| {
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
        match polled {
            Ok(polled) => polled.map(Some),
            Err(_) => Poll::Ready(None),
        }
    })
    .await
}

/// What a client that asks too often is told.
fn too_many(wait: Duration) -> Refusal {
    let secs = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let secs = HeaderValue::from(secs.max(1));
    Refusal::new(StatusCode::TOO_MANY_REQUESTS, "too many requests from this address\n")
        .with(header::RETRY_AFTER, secs)
}

impl Service<Request<Incoming>> for AtDoor {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move { Ok(this.answer(request).await) })
    }
}
