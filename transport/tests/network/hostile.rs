//! Peers that do not play by the rules.

use core::net::SocketAddr;
use core::time::Duration;
use std::sync::Arc;

use crate::common::{frame, identity, loopback, server_with, soon};
use quinn::crypto::rustls::QuicClientConfig;
use rebuilder_actors::port::Network;
use rebuilder_transport::{Limits, Quic, crypto, system};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use tokio::net::UdpSocket;

/// The server serves an honest peer now.
async fn serves(server: &Quic, address: &str) {
    let client = system::client(identity(2), Limits::default()).unwrap();
    let (at_client, at_server) =
        soon(async { tokio::join!(client.connect(address, None), server.accept()) }).await;
    let (at_client, at_server) = (at_client.unwrap(), at_server.unwrap());
    assert_eq!(at_server.peer(), identity(2).public_key());
    let mut send = soon(at_client.open_one_way()).await.unwrap();
    soon(send.send(frame("x"))).await.unwrap();
    let mut receive = soon(at_server.accept_one_way(1)).await.unwrap();
    assert_eq!(soon(receive.receive()).await, Ok(Some(frame("x"))));
}

/// The first datagram that a client sends, caught before it reaches a server.
async fn first_datagram() -> Vec<u8> {
    let catcher = UdpSocket::bind(loopback()).await.unwrap();
    let address = catcher.local_addr().unwrap().to_string();
    let client = system::client(identity(7), Limits::default()).unwrap();
    let dialing = tokio::spawn(async move { client.connect(&address, None).await.map(drop) });
    let mut datagram = vec![0; 2000];
    let (len, _) = soon(catcher.recv_from(&mut datagram)).await.unwrap();
    dialing.abort();
    datagram.truncate(len);
    datagram
}

#[tokio::test]
async fn garbage_on_the_port_changes_nothing() {
    let (server, address) = server_with(Limits::default());
    let target: SocketAddr = address.parse().unwrap();
    let socket = UdpSocket::bind(loopback()).await.unwrap();
    let first = first_datagram().await;
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        noise
    };
    for round in 0..500 {
        let mut datagram: Vec<u8> = match round % 2 {
            0 => (0..next() % 1400).map(|_| next() as u8).collect(),
            _ => first.clone(),
        };
        for _ in 0..=next() % 4 {
            let at = (next() % datagram.len().max(1) as u64) as usize;
            if let Some(byte) = datagram.get_mut(at) {
                *byte = next() as u8;
            }
        }
        socket.send_to(&datagram, target).await.unwrap();
    }
    serves(&server, &address).await;
}

#[tokio::test]
async fn handshakes_that_never_end_do_not_keep_others_out() {
    let limits = Limits { handshakes_max: 6, handshakes_unproven_max: 3, ..Limits::default() };
    let (server, address) = server_with(limits);
    let socket = UdpSocket::bind(loopback()).await.unwrap();
    for _ in 0..12 {
        // Each with a connection id of its own: repeats of one would be one attempt.
        socket.send_to(&first_datagram().await, &address).await.unwrap();
    }
    serves(&server, &address).await;
}

#[tokio::test]
async fn a_handshake_that_hangs_makes_room_for_the_next() {
    let limits = Limits {
        handshakes_max: 1,
        handshakes_unproven_max: 1,
        handshake_timeout: Duration::from_secs(30),
        ..Limits::default()
    };
    let (server, address) = server_with(limits);
    let socket = UdpSocket::bind(loopback()).await.unwrap();
    for _ in 0..3 {
        socket.send_to(&first_datagram().await, &address).await.unwrap();
        // The only place is taken for 30 s; the honest peer has less time than that.
        let hasty = Limits { handshake_timeout: Duration::from_secs(5), ..Limits::default() };
        let hasty = system::client(identity(3), hasty).unwrap();
        let (at_client, at_server) =
            soon(async { tokio::join!(hasty.connect(&address, None), server.accept()) }).await;
        assert_eq!(at_server.unwrap().peer(), identity(3).public_key());
        assert!(at_client.is_ok());
    }
}

#[tokio::test]
async fn with_every_address_to_prove_peers_still_connect() {
    let (server, address) = server_with(Limits { handshakes_unproven_max: 0, ..Limits::default() });
    serves(&server, &address).await;
}

#[tokio::test]
async fn strangers_without_key_or_protocol_are_refused() {
    let (server, address) = server_with(Limits::default());
    for (alpn, with_key) in [("rebuilder/1", false), ("h3", false), ("rebuilder/2", true)] {
        let error = soon(dial_as_stranger(&address, alpn, with_key)).await;
        assert!(error.is_some(), "alpn {alpn}, key {with_key}");
    }
    // The control: the stranger differs from a peer in nothing else.
    assert_eq!(soon(dial_as_stranger(&address, "rebuilder/1", true)).await, None);
    let known = soon(server.accept()).await.unwrap();
    assert_eq!(known.peer(), identity(5).public_key());
    serves(&server, &address).await;
}

/// What became of a plain quinn client; `None`: it is let in and stays.
async fn dial_as_stranger(address: &str, alpn: &str, with_key: bool) -> Option<String> {
    let provider = Arc::new(crypto::provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyKey));
    let mut tls = if with_key {
        let spki = rebuilder_transport::encode_spki(&identity(5).public_key()).to_vec();
        let mut der = hex_bytes("302e020100300506032b657004220420");
        der.extend_from_slice(identity(5).seed());
        let key = provider.key_provider.load_private_key(der.try_into().unwrap()).unwrap();
        let key = rustls::sign::CertifiedKey::new(vec![CertificateDer::from(spki)], key);
        let resolver = rustls::client::AlwaysResolvesClientRawPublicKeys::new(Arc::new(key));
        builder.with_client_cert_resolver(Arc::new(resolver))
    } else {
        builder.with_no_client_auth()
    };
    tls.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    let endpoint = quinn::Endpoint::client(loopback()).unwrap();
    let connecting = endpoint.connect_with(config, address.parse().unwrap(), "x").unwrap();
    match connecting.await {
        Err(error) => Some(error.to_string()),
        // The server's verdict on the client's key comes after the client is done.
        Ok(connection) => tokio::time::timeout(Duration::from_millis(500), connection.closed())
            .await
            .ok()
            .map(|error| error.to_string()),
    }
}

fn hex_bytes(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

#[derive(Debug)]
struct AnyKey;

impl ServerCertVerifier for AnyKey {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("no TLS 1.2 here".into()))
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
