use core::convert::Infallible;
use core::net::IpAddr;
use core::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;

use super::accept::Packing;
use super::compress::pack;
use super::door::{Asked, Door};
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
        let mut request = request.map(Body::new);
        let asked = Asked::new(self.door, self.peer, request.uri().path());
        request.extensions_mut().insert(asked);
        let wanted = Packing::wanted(request.headers());
        let answer = TowerToHyperService::new(self.routes).call(request).await;
        let answer = answer.unwrap_or_else(|never| match never {});
        // As the peer answers a method that a path does not have.
        if answer.status() == StatusCode::METHOD_NOT_ALLOWED {
            return axum::response::IntoResponse::into_response(Refusal::not_found());
        }
        pack(answer, wanted).await
    }
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
