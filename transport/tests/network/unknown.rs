//! What a peer may have under way before it is known.

use core::time::Duration;
use std::sync::Arc;

use bytes::Bytes;
use rebuilder_actors::port::{Connection, Network};
use rebuilder_transport::{Limits, system};

use crate::common::{frame, identity, loopback, pair_with, server_with, soon};

/// Streams that open without waiting.
async fn opened(connection: &dyn Connection, most: usize) -> usize {
    let mut streams = Vec::new();
    let limit = Duration::from_millis(500);
    while streams.len() < most {
        let Ok(stream) = tokio::time::timeout(limit, connection.open(10)).await else { break };
        streams.push(stream.unwrap());
    }
    streams.len()
}

/// Bytes that a stream takes although the other end does not read.
async fn taken(connection: &dyn Connection, most: usize) -> usize {
    let mut send = soon(connection.open_one_way()).await.unwrap();
    let chunk = Bytes::from(vec![7; 16 << 10]);
    let mut taken = 0;
    while taken < most {
        let sent = tokio::time::timeout(Duration::from_millis(500), send.send(chunk.clone())).await;
        if sent.is_err() {
            break;
        }
        taken += chunk.len();
    }
    taken
}

#[tokio::test]
async fn an_unknown_peer_has_eight_streams_and_a_known_one_320() {
    let pair = soon(pair_with(Limits::default())).await;
    assert_eq!(opened(&*pair.at_client, 400).await, 8);
    let other = soon(pair_with(Limits::default())).await;
    other.at_server.widen();
    assert_eq!(opened(&*other.at_client, 400).await, 320);
}

#[tokio::test]
async fn what_an_unknown_peer_sends_unread_is_bounded() {
    let pair = soon(pair_with(Limits::default())).await;
    // 128 KiB, and a chunk that is under way. The client itself would take 4 MiB.
    let most = 160 << 10;
    let sent = taken(&*pair.at_client, 8 << 20).await;
    assert!(sent <= most, "{sent}");

    pair.at_server.widen();
    let sent = taken(&*pair.at_client, 8 << 20).await;
    assert!(sent >= 512 << 10, "{sent}");
}

#[tokio::test]
async fn a_frame_limit_that_was_raised_holds_for_what_comes_then() {
    let pair = soon(pair_with(Limits::default())).await;
    let (mut send, _receive) = soon(pair.at_client.open(10)).await.unwrap();
    soon(send.send(frame("0123456789"))).await.unwrap();
    let (_back, mut from) = soon(pair.at_server.accept(10)).await.unwrap();
    assert_eq!(soon(from.receive()).await, Ok(Some(frame("0123456789"))));
    from.set_limit(20);
    soon(send.send(frame("0123456789abcdef"))).await.unwrap();
    assert_eq!(soon(from.receive()).await, Ok(Some(frame("0123456789abcdef"))));
    from.set_limit(10);
    soon(send.send(frame("0123456789abcdef"))).await.unwrap();
    assert!(soon(from.receive()).await.is_err());
}

/// Many peers whose handshakes never end, from several addresses: one that means it gets in.
#[tokio::test]
async fn stuck_handshakes_of_many_addresses_make_room() {
    let limits = Limits { handshakes_max: 8, handshakes_unproven_max: 8, ..Limits::default() };
    let (server, address) = server_with(limits);
    let target: core::net::SocketAddr = address.parse().unwrap();
    for number in 0..40_u8 {
        let catcher = tokio::net::UdpSocket::bind(loopback()).await.unwrap();
        let trap = catcher.local_addr().unwrap().to_string();
        let client = system::client(identity(7), Limits::default()).unwrap();
        let dialing = tokio::spawn(async move { client.connect(&trap, None).await.map(drop) });
        let mut datagram = vec![0; 2000];
        let (len, _) = soon(catcher.recv_from(&mut datagram)).await.unwrap();
        dialing.abort();
        let source = core::net::SocketAddr::from(([127, 8, 0, 1 + number % 5], 0));
        let socket = tokio::net::UdpSocket::bind(source).await.unwrap();
        socket.send_to(&datagram[..len], target).await.unwrap();
    }
    let local = ([127, 8, 0, 99], 0).into();
    let client = system::client_at(local, identity(2), Limits::default()).unwrap();
    let (at_client, at_server) =
        soon(async { tokio::join!(client.connect(&address, None), server.accept()) }).await;
    assert_eq!(at_server.unwrap().remote_address().ip(), local.ip());
    assert!(at_client.is_ok());
}

/// Peers that begin a handshake and leave at once, thousands of them from one address, fill neither
/// the endpoint nor its memory: one that means it gets in, and an address that is forged proves
/// nothing.
#[tokio::test]
async fn peers_that_leave_at_once_do_not_fill_the_endpoint() {
    let limits = Limits { connections_max: 300, ..Limits::default() };
    let (server, address) = server_with(limits);
    let target: core::net::SocketAddr = address.parse().unwrap();
    let catcher = tokio::net::UdpSocket::bind(loopback()).await.unwrap();
    let trap = catcher.local_addr().unwrap().to_string();
    let client = Arc::new(system::client(identity(7), Limits::default()).unwrap());
    let socket = tokio::net::UdpSocket::bind("127.8.1.1:0").await.unwrap();
    let mut datagram = vec![0; 2000];
    for _ in 0..900 {
        let (client, trap) = (client.clone(), trap.clone());
        let dialing = tokio::spawn(async move { client.connect(&trap, None).await.map(drop) });
        // A first datagram, or the one by which the attempt before it is given up.
        let (len, _) = soon(catcher.recv_from(&mut datagram)).await.unwrap();
        dialing.abort();
        socket.send_to(&datagram[..len], target).await.unwrap();
    }
    let local = ([127, 8, 1, 99], 0).into();
    let client = system::client_at(local, identity(2), Limits::default()).unwrap();
    let (at_client, at_server) =
        soon(async { tokio::join!(client.connect(&address, None), server.accept()) }).await;
    assert_eq!(at_server.unwrap().remote_address().ip(), local.ip());
    assert!(at_client.is_ok());
}
