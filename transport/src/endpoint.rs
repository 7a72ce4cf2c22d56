use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;
use std::io;
use std::sync::{Arc, OnceLock};

use quinn::{AsyncUdpSocket, Runtime, TransportConfig};
use rebuilder_actors::port::{BoxFuture, CloseReason, ConnectError, Connection, Network};
use rebuilder_actors::protocol::PublicKey;
use rustls::crypto::CryptoProvider;
use rustls::time_provider::TimeProvider;
use tokio::sync::{Mutex, mpsc};

use crate::acceptor::Acceptor;
use crate::close::{CloseReasons, to_wire};
use crate::connection::QuicConnection;
use crate::dial::dial;
use crate::identity::Identity;
use crate::limits::Limits;
use crate::quic_config;
use crate::resolver::Resolver;
use crate::secrets::{ConnectionIds, Secrets};
use crate::timer::within;
use crate::tls::Tls;

/// Everything that an endpoint needs of the world.
pub struct EndpointParts {
    /// Datagrams.
    pub socket: Arc<dyn AsyncUdpSocket>,
    /// Timers, tasks and the monotonic clock.
    pub runtime: Arc<dyn Runtime>,
    /// The key of this node.
    pub identity: Identity,
    /// Secret, and another at every start: connection ids and Retry tokens come from it.
    pub seed: [u8; 32],
    /// Cryptography and randomness of TLS; [`crate::crypto::provider`] in production.
    pub crypto: Arc<CryptoProvider>,
    /// The wall clock of TLS.
    pub time: Arc<dyn TimeProvider>,
    /// Turns names into addresses; `None`: only numeric addresses can be connected to.
    pub resolver: Option<Arc<dyn Resolver>>,
    /// Whether peers may connect.
    pub accept: bool,
    /// Bounds.
    pub limits: Limits,
}

impl fmt::Debug for EndpointParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointParts")
            .field("socket", &self.socket)
            .field("identity", &self.identity)
            .field("accept", &self.accept)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// An endpoint that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The address is in use, not ours, or not allowed.
    #[error("cannot listen on UDP {address}: {source}")]
    Bind {
        /// As given.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The socket does not work.
    #[error("cannot use the UDP socket: {0}")]
    Socket(#[from] io::Error),
    /// The cryptography given does not fit together.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The cryptography given lacks what QUIC starts with.
    #[error("cannot set up TLS: TLS_AES_128_GCM_SHA256 is missing from the cipher suites")]
    NoInitialSuite,
    /// The system has no randomness.
    #[error("cannot read random bytes from the system")]
    NoRandomness,
}

impl From<quinn::crypto::rustls::NoInitialCipherSuite> for EndpointError {
    fn from(_: quinn::crypto::rustls::NoInitialCipherSuite) -> Self {
        Self::NoInitialSuite
    }
}

/// The network port over QUIC. Dropping it stops accepting; connections live on.
pub struct Quic {
    shared: Arc<Shared>,
    /// Connections whose handshake is done; `None` for a client.
    accepted: Option<Mutex<mpsc::Receiver<QuicConnection>>>,
    local_address: Option<SocketAddr>,
}

impl Quic {
    /// Starts an endpoint. Tasks run on `parts.runtime`.
    ///
    /// # Errors
    /// The socket has no address, or the cryptography does not fit together.
    pub fn new(parts: EndpointParts) -> Result<Self, EndpointError> {
        let EndpointParts { socket, runtime, identity, seed, crypto, time, limits, .. } = parts;
        let secrets = Secrets::new(&seed);
        let transport = Arc::new(quic_config::transport(&limits));
        let tls = Tls::new(&identity, crypto, time.clone())?;
        let first_ids = secrets.connection_ids("first connection ids");
        // What would fail in every connection fails here.
        let client = tls.client(tls.verifier(None))?;
        quic_config::client(client, first_ids.clone(), transport.clone())?;
        let unknown = Arc::new(quic_config::transport_unknown(&limits));
        let server = quic_config::server(tls.server()?, &secrets, time, unknown, &limits);
        let address = socket.local_addr()?;
        let endpoint = quinn::Endpoint::new_with_abstract_socket(
            quic_config::endpoint(&identity, &secrets),
            if parts.accept { Some(server?) } else { None },
            socket,
            runtime.clone(),
        )?;
        let shared = Arc::new(Shared {
            endpoint,
            runtime,
            tls,
            first_ids,
            transport,
            resolver: parts.resolver,
            limits: Arc::new(limits),
            closed: Arc::default(),
        });
        let accepted = parts.accept.then(|| {
            let (acceptor, accepted) = Acceptor::new(shared.clone());
            shared.runtime.spawn(Box::pin(acceptor.run()));
            Mutex::new(accepted)
        });
        Ok(Self { shared, accepted, local_address: parts.accept.then_some(address) })
    }

    async fn resolve(&self, address: &str) -> Result<Vec<SocketAddr>, ConnectError> {
        if let Ok(numeric) = address.parse() {
            return Ok(vec![numeric]);
        }
        let failed = |reason: &str| ConnectError::Resolve {
            address: address.to_owned(),
            reason: reason.to_owned(),
        };
        let Some(resolver) = &self.shared.resolver else {
            return Err(failed("not a numeric address, and names are not resolved here"));
        };
        let limit = self.shared.limits.handshake_timeout;
        match within(&*self.shared.runtime, limit, resolver.resolve(address)).await {
            Some(Ok(targets)) if targets.is_empty() => Err(failed("the name has no address")),
            Some(Ok(targets)) => Ok(targets),
            Some(Err(error)) => Err(failed(&error.to_string())),
            None => Err(failed(&format!("no answer within {limit:?}"))),
        }
    }
}

impl Network for Quic {
    fn accept(&self) -> BoxFuture<'_, Option<Box<dyn Connection>>> {
        Box::pin(async move {
            let connection = self.accepted.as_ref()?.lock().await.recv().await?;
            Some(Box::new(connection) as Box<dyn Connection>)
        })
    }

    fn connect<'a>(
        &'a self,
        address: &'a str,
        expect: Option<PublicKey>,
    ) -> BoxFuture<'a, Result<Box<dyn Connection>, ConnectError>> {
        Box::pin(async move {
            let targets = self.resolve(address).await?;
            let connection = dial(&self.shared, address, targets, expect).await?;
            Ok(Box::new(connection) as Box<dyn Connection>)
        })
    }

    fn local_address(&self) -> Option<SocketAddr> {
        self.local_address
    }

    fn close(&self, reason: CloseReason) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let reason = self.shared.closed.get_or_init(|| reason);
            let (code, text) = to_wire(reason);
            self.shared.endpoint.close(code, text);
            // A peer that does not answer learns it from its own silence.
            let idle = self.shared.endpoint.wait_idle();
            within(&*self.shared.runtime, CLOSE_TIMEOUT, idle).await;
        })
    }
}

/// What the tasks of one endpoint share.
pub(crate) struct Shared {
    pub(crate) endpoint: quinn::Endpoint,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) tls: Tls,
    pub(crate) first_ids: ConnectionIds,
    pub(crate) transport: Arc<TransportConfig>,
    pub(crate) limits: Arc<Limits>,
    resolver: Option<Arc<dyn Resolver>>,
    /// Why the whole endpoint was closed; empty while it is open.
    closed: Arc<OnceLock<CloseReason>>,
}

impl Shared {
    pub(crate) fn close_reasons(&self) -> CloseReasons {
        CloseReasons::new(self.closed.clone(), self.limits.idle_timeout)
    }
}

/// How long [`Network::close`] waits for the peers.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);
