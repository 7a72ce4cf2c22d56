use core::future::poll_fn;
use core::net::SocketAddr;
use core::pin::pin;
use core::task::Poll;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use quinn::{Connecting, ConnectionError, Incoming};
use rebuilder_actors::domain::places::{Counted, Handshakes, Lingering, Pace, SAID_EVERY, Tally};
use rebuilder_actors::port::Monotonic;
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, info, warn};

use crate::close::printable;
use crate::connection::{QuicConnection, canonical};
use crate::endpoint::Shared;
use crate::timer::within;

/// Takes the attempts of peers and runs their handshakes side by side, in bounds.
pub(crate) struct Acceptor {
    shared: Arc<Shared>,
    done: mpsc::Sender<QuicConnection>,
    gate: Arc<Gate>,
}

impl Acceptor {
    /// Connections arrive on the second; dropping that stops accepting.
    pub(crate) fn new(shared: Arc<Shared>) -> (Self, mpsc::Receiver<QuicConnection>) {
        // A handshake that is done and waits here keeps its place among those under way.
        let (done, accepted) = mpsc::channel(1);
        let gate = Arc::new(Gate {
            started: shared.runtime.now(),
            shared: shared.clone(),
            inside: Mutex::new(Inside {
                handshakes: Handshakes::new(shared.limits.handshakes_max),
                given_up: BTreeMap::new(),
                lingering: Lingering::default(),
                replaced: Pace::new(REPLACED_A_SECOND),
                replaced_here: Pace::new(REPLACED_HERE_A_SECOND),
                refused: Tally::default(),
            }),
        });
        (Self { shared, done, gate }, accepted)
    }

    pub(crate) async fn run(self) {
        loop {
            // What a flood leaves uncounted is said when it is over too.
            let attempt = if self.gate.has_more_to_say() {
                within(&*self.shared.runtime, SAID_EVERY, self.next()).await
            } else {
                Some(self.next().await)
            };
            self.gate.say_rest();
            match attempt {
                Some(Some(incoming)) => self.admit(incoming),
                Some(None) => break,
                None => {}
            }
        }
        self.shared.endpoint.set_server_config(None);
    }

    /// The next attempt; `None` once the endpoint is closed or nobody takes connections.
    async fn next(&self) -> Option<Incoming> {
        let mut abandoned = pin!(self.done.closed());
        let mut incoming = pin!(self.shared.endpoint.accept());
        poll_fn(|cx| match abandoned.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => incoming.as_mut().poll(cx),
        })
        .await
    }

    fn admit(&self, incoming: Incoming) {
        let address = canonical(incoming.remote_address());
        let limits = &self.shared.limits;
        let open = self.shared.endpoint.open_connections();
        if open >= limits.connections_max {
            self.gate.refuse(Kind::Connections, || {
                format!("{open} connections are open: peer {address} is refused")
            });
            incoming.refuse();
            return;
        }
        // Peers that begin and leave at once are a load as well as those that do not go on.
        let under_way = self.gate.load();
        if under_way >= limits.handshakes_unproven_max && !incoming.remote_address_validated() {
            debug!(%address, under_way, "peer must prove its address");
            // Fails only for a peer that came with a token, which is validated.
            incoming.retry().ok();
            return;
        }
        if !self.gate.has_room(address) {
            let text = || format!("too many handshakes: the attempt of {address} is ignored");
            self.gate.refuse(Kind::Ignored, text);
            incoming.ignore();
            return;
        }
        match incoming.accept() {
            Ok(connecting) => {
                let (place, given_up) = self.gate.begin(address);
                let done = self.done.clone();
                let handshake = Handshake { shared: self.shared.clone(), done, address, place };
                self.shared.runtime.spawn(Box::pin(handshake.run(connecting, given_up)));
            }
            Err(error) => self.gate.failed(address, &error.to_string()),
        }
    }
}

/// What is refused before the peer has a key, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Connections,
    Ignored,
    GivenUp,
    Failed,
    Slow,
}

/// The handshakes under way, and what became of others.
struct Gate {
    shared: Arc<Shared>,
    started: Instant,
    inside: Mutex<Inside>,
}

struct Inside {
    handshakes: Handshakes,
    /// By number: dropped to give a handshake up.
    given_up: BTreeMap<u64, oneshot::Sender<()>>,
    /// Those that ended before they were done.
    lingering: Lingering,
    replaced: Pace,
    replaced_here: Pace,
    refused: Tally<Kind>,
}

impl Gate {
    /// A handshake begins; what it holds while it is under way, and what ends when it is given up.
    fn begin(self: &Arc<Self>, address: SocketAddr) -> (Place, oneshot::Receiver<()>) {
        let (alive, given_up) = oneshot::channel();
        let mut inside = self.lock();
        let (number, victim) = inside.handshakes.begin(address.ip().into());
        inside.given_up.insert(number, alive);
        let victim = victim.and_then(|victim| inside.given_up.remove(&victim));
        drop(inside);
        drop(victim);
        (Place { gate: self.clone(), number }, given_up)
    }

    /// True unless handshakes end, or must be given up for others, faster than QUIC forgets them.
    fn has_room(&self, address: SocketAddr) -> bool {
        let now = self.now();
        let inside = &mut *self.lock();
        if !inside.lingering.has_room(now, address.ip().into()) {
            return false;
        }
        match inside.handshakes.ends_for(address.ip().into()) {
            None => true,
            Some(true) => inside.replaced_here.pass(now),
            Some(false) => inside.replaced.pass(now),
        }
    }

    /// Handshakes under way, and those that QUIC keeps though they are over.
    fn load(&self) -> usize {
        let now = self.now();
        let inside = &mut *self.lock();
        inside.handshakes.len() + inside.lingering.len(now)
    }

    /// A handshake ended before it was done.
    fn ended(&self, address: SocketAddr) {
        let now = self.now();
        self.lock().lingering.ended(now, address.ip().into());
    }

    fn failed(&self, address: SocketAddr, reason: &str) {
        let reason = printable(reason.as_bytes());
        let text = || format!("connection attempt failed: {address}: {reason}");
        self.refuse(Kind::Failed, text);
    }

    fn refuse(&self, kind: Kind, text: impl FnOnce() -> String) {
        let said = self.lock().refused.count(self.now(), kind, text);
        if let Some(line) = said {
            say(&line, kind);
        }
    }

    fn has_more_to_say(&self) -> bool {
        self.lock().refused.next_due().is_some()
    }

    fn say_rest(&self) {
        for line in self.lock().refused.due(self.now()) {
            warn!("{line}");
        }
    }

    fn now(&self) -> Monotonic {
        Monotonic(self.shared.runtime.now().saturating_duration_since(self.started))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inside> {
        // No panic can come between two changes that belong together.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Handshakes given up in a second for others, of other addresses than theirs and of the same: QUIC
/// keeps each for three timeouts of at least a second (RFC 9000 §10.2), so that 2,250 are kept,
/// fewer than there is room for beside the places. An attempt that is ignored is repeated.
const REPLACED_A_SECOND: u32 = 500;
const REPLACED_HERE_A_SECOND: u32 = 250;

/// One failed attempt is ordinary; load is not.
fn say(line: &Counted, kind: Kind) {
    match kind {
        Kind::Connections | Kind::Ignored | Kind::GivenUp => warn!("{line}"),
        Kind::Failed | Kind::Slow => info!("{line}"),
    }
}

/// A place among the handshakes under way, until it is dropped.
struct Place {
    gate: Arc<Gate>,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inside = self.gate.lock();
        inside.handshakes.end(self.number);
        inside.given_up.remove(&self.number);
    }
}

/// One peer that is not known yet.
struct Handshake {
    shared: Arc<Shared>,
    done: mpsc::Sender<QuicConnection>,
    address: SocketAddr,
    place: Place,
}

impl Handshake {
    async fn run(self, connecting: Connecting, given_up: oneshot::Receiver<()>) {
        let Self { shared, done, address, place } = self;
        let limit = shared.limits.handshake_timeout;
        let mut given_up = pin!(given_up);
        let mut attempt = pin!(within(&*shared.runtime, limit, connecting));
        let outcome = poll_fn(|cx| match attempt.as_mut().poll(cx) {
            Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
            Poll::Pending => given_up.as_mut().poll(cx).map(|_| None),
        })
        .await;
        let gate = &place.gate;
        if matches!(outcome, Some(Some(Err(_)) | None)) {
            gate.ended(address);
        }
        match outcome {
            Some(Some(Ok(connection))) => match QuicConnection::new(connection, &shared) {
                // An error means that nobody accepts any more; the connection is dropped.
                Ok(connection) => drop(done.send(connection).await),
                Err(error) => gate.failed(address, &error.to_string()),
            },
            Some(Some(Err(ConnectionError::LocallyClosed))) => {}
            Some(Some(Err(error))) => gate.failed(address, &error.to_string()),
            Some(None) => gate.refuse(Kind::Slow, || {
                format!("connection attempt failed: {address}: handshake not done after {limit:?}")
            }),
            None => gate.refuse(Kind::GivenUp, || {
                let max = shared.limits.handshakes_max;
                format!("{max} handshakes are under way: that of {address} is given up for another")
            }),
        }
    }
}
