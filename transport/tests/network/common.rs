//! Two real endpoints over loopback.

use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;

use bytes::Bytes;
use rebuilder_actors::port::{CloseReason, Connection, Network};
use rebuilder_transport::{Identity, Limits, Quic, system};

pub fn identity(number: u8) -> Identity {
    Identity::from_seed([number; 32])
}

pub fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

pub fn server_with(limits: Limits) -> (Quic, String) {
    let server = system::server(loopback(), identity(1), limits).unwrap();
    let address = server.local_address().unwrap().to_string();
    (server, address)
}

/// Both ends of one connection; the client's endpoint is gone, the connection lives on.
pub struct Pair {
    pub server: Quic,
    pub at_server: Box<dyn Connection>,
    pub at_client: Box<dyn Connection>,
}

pub async fn pair() -> Pair {
    pair_with(Limits::default()).await
}

pub async fn pair_with(limits: Limits) -> Pair {
    let (server, address) = server_with(limits.clone());
    let client = system::client(identity(2), limits).unwrap();
    let (at_client, at_server) = tokio::join!(client.connect(&address, None), server.accept());
    Pair { server, at_server: at_server.unwrap(), at_client: at_client.unwrap() }
}

pub fn reason(code: u32, text: &str) -> CloseReason {
    CloseReason { code, text: text.into() }
}

pub fn frame(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// Fails instead of hanging.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("done in 20 s")
}
