use core::net::IpAddr;
use std::sync::Arc;

use axum::http::request::Parts;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::cookie::Cookie;
use super::limits::HttpLimits;

/// Large bodies that are read at a time: each may hold twice `body_bytes_max`, packed and not.
const BODIES_AT_A_TIME: usize = 2;

/// What every request passes before it is routed, and what it is measured with.
#[derive(Debug)]
pub struct Door {
    cookie: Cookie,
    limits: HttpLimits,
    bodies: Semaphore,
}

impl Door {
    /// A door that lets admins through with this cookie.
    pub fn new(cookie: Cookie, limits: HttpLimits) -> Self {
        Self { cookie, limits, bodies: Semaphore::new(BODIES_AT_A_TIME) }
    }

    /// What a request may cost.
    pub(super) fn limits(&self) -> &HttpLimits {
        &self.limits
    }

    /// Waits until a large body may be read. `None`: the gateway stops.
    pub(super) async fn body_place(&self) -> Option<SemaphorePermit<'_>> {
        self.bodies.acquire().await.ok()
    }
}

/// What the door knows of a request; an extension of each that it let in.
#[derive(Clone, Debug)]
pub struct Asked {
    door: Arc<Door>,
    client: IpAddr,
    path: Arc<str>,
}

impl Asked {
    pub(super) fn new(door: Arc<Door>, client: IpAddr, path: &str) -> Self {
        Self { door, client, path: path.into() }
    }

    /// Of this request. `None`: it did not come through a door.
    pub fn of(parts: &Parts) -> Option<&Self> {
        parts.extensions.get()
    }

    /// Who asks: the peer, or whom a trusted proxy names.
    pub fn client(&self) -> IpAddr {
        self.client
    }

    /// The whole path, also where a nested router sees only the rest of it.
    pub fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn door(&self) -> &Door {
        &self.door
    }

    pub(super) fn cookie(&self) -> &Cookie {
        &self.door.cookie
    }
}
