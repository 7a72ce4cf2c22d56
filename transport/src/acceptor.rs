use core::future::poll_fn;
use core::pin::pin;
use core::task::Poll;
use std::sync::Arc;

use quinn::{Connecting, ConnectionError, Incoming};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tracing::{debug, info, warn};

use crate::close::printable;
use crate::connection::{QuicConnection, canonical};
use crate::endpoint::Shared;
use crate::timer::within;

/// Takes the attempts of peers and runs their handshakes side by side, in bounds.
pub(crate) struct Acceptor {
    shared: Arc<Shared>,
    done: mpsc::Sender<QuicConnection>,
    handshakes: Arc<Semaphore>,
    overloaded: bool,
}

impl Acceptor {
    /// Connections arrive on the second; dropping that stops accepting.
    pub(crate) fn new(shared: Arc<Shared>) -> (Self, mpsc::Receiver<QuicConnection>) {
        // A handshake that is done and waits here keeps its place among those under way.
        let (done, accepted) = mpsc::channel(1);
        let handshakes = Arc::new(Semaphore::new(shared.limits.handshakes_max));
        (Self { shared, done, handshakes, overloaded: false }, accepted)
    }

    pub(crate) async fn run(mut self) {
        while let Some(incoming) = self.next().await {
            self.admit(incoming);
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

    fn admit(&mut self, incoming: Incoming) {
        let address = canonical(incoming.remote_address());
        let limits = &self.shared.limits;
        let open = self.shared.endpoint.open_connections();
        if open >= limits.connections_max {
            self.warn_of_load(open, "connections are open: peers are refused");
            incoming.refuse();
            return;
        }
        let under_way = limits.handshakes_max - self.handshakes.available_permits();
        if under_way >= limits.handshakes_unproven_max && !incoming.remote_address_validated() {
            debug!(%address, under_way, "peer must prove its address");
            // Fails only for a peer that came with a token, which is validated.
            incoming.retry().ok();
            return;
        }
        let Ok(place) = self.handshakes.clone().try_acquire_owned() else {
            self.warn_of_load(under_way, "handshakes are under way: attempts are ignored");
            incoming.ignore();
            return;
        };
        self.overloaded = false;
        match incoming.accept() {
            Ok(connecting) => {
                let handshake = Handshake { shared: self.shared.clone(), done: self.done.clone() };
                self.shared.runtime.spawn(Box::pin(handshake.run(connecting, place)));
            }
            Err(error) => info!(%address, reason = %error, "connection attempt failed"),
        }
    }

    /// Once an overload: a flood must not become a flood of lines.
    fn warn_of_load(&mut self, count: usize, what: &str) {
        if !self.overloaded {
            warn!(count, "{what}");
        }
        self.overloaded = true;
    }
}

/// One peer that is not known yet.
struct Handshake {
    shared: Arc<Shared>,
    done: mpsc::Sender<QuicConnection>,
}

impl Handshake {
    async fn run(self, connecting: Connecting, place: OwnedSemaphorePermit) {
        let address = canonical(connecting.remote_address());
        let limit = self.shared.limits.handshake_timeout;
        match within(&*self.shared.runtime, limit, connecting).await {
            Some(Ok(connection)) => {
                match QuicConnection::new(connection, self.shared.close_reasons()) {
                    // An error means that nobody accepts any more; the connection is dropped.
                    Ok(connection) => drop(self.done.send(connection).await),
                    Err(error) => info!(%address, reason = %error, "connection attempt failed"),
                }
            }
            Some(Err(ConnectionError::LocallyClosed)) => {}
            Some(Err(error)) => {
                let reason = printable(error.to_string().as_bytes());
                info!(%address, reason, "connection attempt failed");
            }
            None => {
                info!(%address, "connection attempt failed: handshake not done after {limit:?}");
            }
        }
        drop(place);
    }
}
