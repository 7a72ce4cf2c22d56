//! Connections: taken in bounds, served, and closed in order.

use core::time::Duration;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::at_door::AtDoor;
use super::door::Door;
use super::limits::HttpLimits;
use super::stalled::Stalled;

/// Why there is no gateway.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} (TCP) for HTTP: {source}; it is `bind_addr` in [http]")]
pub struct GatewayError {
    address: SocketAddr,
    source: std::io::Error,
}

/// Time for answers under way when the node stops.
const STOP: Duration = Duration::from_secs(5);
/// Wait after the system could not take a connection in: it has no descriptors, or no memory.
const FULL: Duration = Duration::from_millis(100);
/// What an address is told that has as many connections as it may.
const ENOUGH: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 10\r\ncontent-length: 0\r\n\
                        connection: close\r\n\r\n";

/// A listener that serves.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// An address that is listened on; who connects waits until it is served.
#[derive(Debug)]
pub struct Bound(TcpListener, SocketAddr);

impl Bound {
    /// Takes the address; port 0: any that is free.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn new(address: SocketAddr) -> Result<Self, GatewayError> {
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|source| GatewayError { address, source })?;
        let address = listener.local_addr().unwrap_or(address);
        Ok(Self(listener, address))
    }

    /// Serves from now on what comes through `door`.
    pub fn serve(self, routes: Router, door: Door) -> Gateway {
        let Self(listener, address) = self;
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(listener, routes, Arc::new(door), stop.clone()));
        Gateway { address, stop, task }
    }
}

impl Gateway {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no connection any more, and waits a little for the answers under way.
    pub async fn stop(self) {
        self.stop.cancel();
        let _ = self.task.await;
    }
}

async fn serve(listener: TcpListener, routes: Router, door: Arc<Door>, stop: CancellationToken) {
    let limits = *door.limits();
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let open = GracefulShutdown::new();
    loop {
        let accepted = async {
            let place = places.clone().acquire_owned().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = accepted => accepted,
        };
        let Ok((stream, peer)) = accepted else {
            // No descriptor, or the peer left again: nothing that ends the gateway.
            tokio::time::sleep(FULL).await;
            continue;
        };
        let peer = peer.ip().to_canonical();
        let Ok(counted) = door.admit(peer) else {
            // It may be cut off before it reads this: what it sent is not read.
            let _ = stream.try_write(ENOUGH);
            continue;
        };
        let behind = AtDoor::new(door.clone(), routes.clone(), peer);
        let connection = open.watch(connection(stream, behind, &limits));
        tokio::spawn(async move {
            // What a peer does wrong is its own matter; hyper answered where it could.
            let _ = connection.await;
            drop((counted, place));
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(STOP, open.shutdown()).await;
}

type Connection = http1::Connection<TokioIo<Stalled<TcpStream>>, AtDoor>;

fn connection(stream: TcpStream, behind: AtDoor, limits: &HttpLimits) -> Connection {
    // An answer is one write: waiting for more to send would only delay it.
    let _ = stream.set_nodelay(true);
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_headers(limits.headers_max)
        .max_buf_size(limits.head_bytes_max)
        .serve_connection(TokioIo::new(Stalled::new(stream, limits.progress)), behind)
}
