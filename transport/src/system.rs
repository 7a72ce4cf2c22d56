//! Endpoints in the real world: UDP sockets of the system, tokio, the system's randomness.
//!
//! The functions must be called inside a tokio runtime with I/O and time enabled.

use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::io;
use std::net::UdpSocket;
use std::sync::Arc;

use quinn::{Runtime, TokioRuntime};
use rebuilder_actors::port::BoxFuture;
use ring::rand::{SecureRandom, SystemRandom};
use rustls::time_provider::DefaultTimeProvider;
use socket2::{Domain, Protocol, Socket, Type};

use crate::crypto;
use crate::endpoint::{EndpointError, EndpointParts, Quic};
use crate::identity::Identity;
use crate::limits::Limits;
use crate::resolver::Resolver;

/// Listens on `address`; port 0 lets the system choose. `[::]` takes IPv4 too.
///
/// # Errors
/// The address cannot be bound, or the system has no randomness.
pub fn server(
    address: SocketAddr,
    identity: Identity,
    limits: Limits,
) -> Result<Quic, EndpointError> {
    let socket = bind(address).map_err(|source| EndpointError::Bind { address, source })?;
    start(socket, identity, limits, true)
}

/// Connects only, from any port, to IPv6 and IPv4.
///
/// # Errors
/// The system gives no UDP socket, or has no randomness.
pub fn client(identity: Identity, limits: Limits) -> Result<Quic, EndpointError> {
    let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
    let any_v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    // A kernel without IPv6.
    let socket = bind(any)
        .or_else(|_| bind(any_v4))
        .map_err(|source| EndpointError::Bind { address: any_v4, source })?;
    start(socket, identity, limits, false)
}

/// Connects only, from this address; port 0 lets the system choose.
///
/// # Errors
/// The address cannot be bound, or the system has no randomness.
pub fn client_at(
    address: SocketAddr,
    identity: Identity,
    limits: Limits,
) -> Result<Quic, EndpointError> {
    let socket = bind(address).map_err(|source| EndpointError::Bind { address, source })?;
    start(socket, identity, limits, false)
}

/// Names from the system's resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn resolve<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host(address).await?.collect()) })
    }
}

fn start(
    socket: UdpSocket,
    identity: Identity,
    limits: Limits,
    accept: bool,
) -> Result<Quic, EndpointError> {
    let mut seed = [0; 32];
    SystemRandom::new().fill(&mut seed).map_err(|_| EndpointError::NoRandomness)?;
    let runtime = Arc::new(TokioRuntime);
    Quic::new(EndpointParts {
        socket: runtime.wrap_udp_socket(socket)?,
        runtime,
        identity,
        seed,
        crypto: Arc::new(crypto::provider()),
        time: Arc::new(DefaultTimeProvider),
        resolver: Some(Arc::new(SystemResolver)),
        accept,
        limits,
    })
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // Bursts of many workers; the kernel gives what its own limit allows, which is no error.
    socket.set_recv_buffer_size(RECEIVE_BUFFER_LEN)?;
    socket.set_send_buffer_size(SOCKET_BUFFER_LEN)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Asked for what is sent, bytes.
const SOCKET_BUFFER_LEN: usize = 2 << 20;
/// Asked for what comes, bytes: a flood fills it while the process has no processor, and what does
/// not fit then is lost, honest packets too, whose senders wait for up to a second before they send
/// again.
const RECEIVE_BUFFER_LEN: usize = 8 << 20;
