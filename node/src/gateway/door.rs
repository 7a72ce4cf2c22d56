use core::net::IpAddr;
use core::time::Duration;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::request::Parts;
use rebuilder_actors::port::Clock;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::address::{Origin, Proxies};
use super::cookie::Cookie;
use super::limits::HttpLimits;
use super::path::Prefix;
use super::places::{Place, Places};
use super::rate::Rate;

/// Large bodies that are read at a time: each may hold twice `body_bytes_max`, packed and not.
const BODIES_AT_A_TIME: usize = 2;

/// How requests come in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DoorSettings {
    /// What strangers may cost.
    pub limits: HttpLimits,
    /// Who speaks for others.
    pub proxies: Proxies,
    /// What stands before paths.
    pub prefix: Prefix,
    /// Pages of every site may ask.
    pub permissive_cors: bool,
}

/// What every request passes before it is routed, and what it is measured with.
pub struct Door {
    cookie: Cookie,
    settings: DoorSettings,
    clock: Arc<dyn Clock>,
    bodies: Semaphore,
    places: Places,
    /// `None`: there is no bound.
    rate: Option<Mutex<Rate>>,
}

impl Door {
    /// A door that lets admins through with this cookie.
    pub fn new(cookie: Cookie, settings: DoorSettings, clock: Arc<dyn Clock>) -> Self {
        let bodies = Semaphore::new(BODIES_AT_A_TIME);
        let rate = settings.limits.rate.map(|per_sec| Mutex::new(Rate::new(per_sec)));
        Self { cookie, settings, clock, bodies, places: Places::default(), rate }
    }

    pub(super) fn settings(&self) -> &DoorSettings {
        &self.settings
    }

    /// What a request may cost.
    pub(super) fn limits(&self) -> &HttpLimits {
        &self.settings.limits
    }

    /// Waits until a large body may be read. `None`: the gateway stops.
    pub(super) async fn body_place(&self) -> Option<SemaphorePermit<'_>> {
        self.bodies.acquire().await.ok()
    }

    /// Lets a connection in, which is counted as long as its place lives. `None`: it is a trusted
    /// proxy's, which has many clients, and is not counted.
    pub(super) fn admit(&self, peer: IpAddr) -> Result<Option<Place>, Enough> {
        match self.settings.limits.connections_per_address_max {
            Some(most) if !self.settings.proxies.trusts(peer) => {
                self.places.take(peer, most).map(Some).ok_or(Enough)
            }
            _ => Ok(None),
        }
    }

    /// Counts a request of `client`, unless it is a proxy that does not say whose it is.
    ///
    /// # Errors
    /// It is one too many; how long to wait.
    pub(super) fn count(&self, client: IpAddr) -> Result<(), Duration> {
        let Some(rate) = self.rate.as_ref().filter(|_| !self.settings.proxies.trusts(client))
        else {
            return Ok(());
        };
        let mut rate = rate.lock().unwrap_or_else(PoisonError::into_inner);
        rate.take(Origin::of(client), self.clock.monotonic())
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// An address has as many connections as it may.
#[derive(Clone, Copy, Debug)]
pub(super) struct Enough;

/// An extension of a request whose sender proved who it is.
#[derive(Clone, Copy, Debug)]
struct Admitted;

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

    /// Notes that the sender proved who it is: its body may be large. To be called by the
    /// extractors that check such a proof, before a handler reads the body.
    pub fn admit(parts: &mut Parts) {
        parts.extensions.insert(Admitted);
    }

    /// True after [`Self::admit`].
    pub(super) fn is_admitted(parts: &Parts) -> bool {
        parts.extensions.get::<Admitted>().is_some()
    }

    /// Who asks: the peer, or whom a trusted proxy names.
    pub fn client(&self) -> IpAddr {
        self.client
    }

    /// The whole path without prefix, also where a nested router sees only the rest of it.
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
