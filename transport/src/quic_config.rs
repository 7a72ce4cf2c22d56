use core::time::Duration;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use quinn::crypto::rustls::{NoInitialCipherSuite, QuicClientConfig, QuicServerConfig};
use quinn::{
    ClientConfig, EndpointConfig, IdleTimeout, NoneTokenLog, NoneTokenStore, ServerConfig,
    TimeSource, TransportConfig, ValidationTokenConfig, VarInt,
};
use rustls::time_provider::TimeProvider;

use crate::identity::Identity;
use crate::limits::Limits;
use crate::secrets::{ConnectionIds, Secrets};

pub(crate) fn endpoint(identity: &Identity, secrets: &Secrets) -> EndpointConfig {
    // From the key that survives a restart: peers of the endpoint before learn at once that their
    // connections are gone, instead of after a silence.
    let reset_key = Secrets::new(identity.seed()).hmac_key("stateless reset");
    let mut config = EndpointConfig::new(Arc::new(reset_key));
    let ids = secrets.connection_ids("connection ids");
    config.cid_generator(move || Box::new(ids.clone()));
    config.rng_seed(Some(secrets.derive("quinn")));
    config
}

pub(crate) fn server(
    tls: rustls::ServerConfig,
    secrets: &Secrets,
    time: Arc<dyn TimeProvider>,
    transport: Arc<TransportConfig>,
    limits: &Limits,
) -> Result<ServerConfig, NoInitialCipherSuite> {
    let tls = QuicServerConfig::try_from(tls)?;
    let mut config = ServerConfig::new(Arc::new(tls), Arc::new(secrets.token_key()));
    let mut tokens = ValidationTokenConfig::default();
    tokens.sent(0).log(Arc::new(NoneTokenLog));
    config
        .transport_config(transport)
        .validation_token_config(tokens)
        .time_source(Arc::new(Wall(time)))
        // Attempts wait for the acceptor only for a moment; above this QUIC refuses, honest peers
        // too.
        .max_incoming(limits.handshakes_max.max(INCOMING_MAX))
        .incoming_buffer_size(64 << 10)
        .incoming_buffer_size_total(4 << 20);
    Ok(config)
}

pub(crate) fn client(
    tls: rustls::ClientConfig,
    first_ids: ConnectionIds,
    transport: Arc<TransportConfig>,
) -> Result<ClientConfig, NoInitialCipherSuite> {
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    config
        .transport_config(transport)
        .token_store(Arc::new(NoneTokenStore))
        .initial_dst_cid_provider(Arc::new(move || first_ids.take(FIRST_ID_LEN)));
    Ok(config)
}

/// For peers that connect here: they may be anybody until the connection is widened.
pub(crate) fn transport_unknown(limits: &Limits) -> TransportConfig {
    let mut config = transport(limits);
    config
        .max_concurrent_bidi_streams(limits.streams_max.min(limits.streams_unknown_max).into())
        .receive_window(limits.connection_window.min(limits.window_unknown).into())
        .send_window(limits.send_window.min(limits.window_unknown).into());
    config
}

pub(crate) fn transport(limits: &Limits) -> TransportConfig {
    let longest = IdleTimeout::from(VarInt::MAX);
    let mut config = TransportConfig::default();
    config
        .max_idle_timeout(Some(limits.idle_timeout.try_into().unwrap_or(longest)))
        .keep_alive_interval(limits.keep_alive)
        .initial_rtt(INITIAL_RTT)
        .max_concurrent_bidi_streams(VarInt::from_u32(limits.streams_max))
        .max_concurrent_uni_streams(VarInt::from_u32(limits.streams_one_way_max))
        .stream_receive_window(VarInt::from_u32(limits.stream_window))
        .receive_window(VarInt::from_u32(limits.connection_window))
        .send_window(u64::from(limits.send_window))
        .datagram_receive_buffer_size(None);
    config
}

/// The age of Retry tokens, on the clock of TLS.
struct Wall(Arc<dyn TimeProvider>);

impl TimeSource for Wall {
    fn now(&self) -> SystemTime {
        let since_epoch = self
            .0
            .current_time()
            .map_or(Duration::ZERO, |time| Duration::from_secs(time.as_secs()));
        UNIX_EPOCH + since_epoch
    }
}

/// Round trip that is assumed before one was measured. Three times this passes before a first
/// packet that was lost is sent again (RFC 9002 §6.2.2), in place of a second: under a flood of
/// others' packets some are lost. A peer that is farther away gets a few packets twice.
const INITIAL_RTT: Duration = Duration::from_millis(150);

/// Attempts that wait for the acceptor, at least.
const INCOMING_MAX: usize = 1_024;

/// Length of the id that a client makes up for its first packets (RFC 9000 §7.2: 8 to 20).
const FIRST_ID_LEN: usize = 16;
