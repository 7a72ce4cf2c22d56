//! Identity, closing and failing of connections, over real sockets.

use core::time::Duration;

use crate::common::{frame, identity, loopback, pair, pair_with, reason, server_with, soon};
use rebuilder_actors::port::{ConnectError, Network, StreamError};
use rebuilder_transport::{Limits, codes, system};

#[tokio::test]
async fn both_ends_see_the_key_that_the_other_proved() {
    let (server, address) = server_with(Limits::default());
    let client = system::client(identity(2), Limits::default()).unwrap();
    let pin = Some(identity(1).public_key());
    let (at_client, at_server) =
        soon(async { tokio::join!(client.connect(&address, pin), server.accept()) }).await;
    let (at_client, at_server) = (at_client.unwrap(), at_server.unwrap());
    assert_eq!(at_client.peer(), identity(1).public_key());
    assert_eq!(at_server.peer(), identity(2).public_key());
    assert_eq!(at_client.remote_address(), server.local_address().unwrap());
    assert!(at_server.remote_address().is_ipv4(), "mapped addresses are shown as IPv4");
    assert_eq!(client.local_address(), None);
    assert!(soon(client.accept()).await.is_none(), "a client accepts nobody");
}

#[tokio::test]
async fn another_key_than_the_pinned_one_is_refused_and_named() {
    let (server, address) = server_with(Limits::default());
    let client = system::client(identity(2), Limits::default()).unwrap();
    let expected = identity(9).public_key();
    let error = soon(client.connect(&address, Some(expected))).await.err().unwrap();
    let found = identity(1).public_key();
    assert_eq!(error, ConnectError::WrongKey { address: address.clone(), expected, found });
    // The failed peer never reaches the caller: the next one does.
    let other = system::client(identity(3), Limits::default()).unwrap();
    let (_at_client, at_server) =
        soon(async { tokio::join!(other.connect(&address, None), server.accept()) }).await;
    assert_eq!(at_server.unwrap().peer(), identity(3).public_key());
}

#[tokio::test]
async fn names_are_resolved_and_failures_say_why() {
    let (server, address) = server_with(Limits::default());
    let limits = Limits { handshake_timeout: Duration::from_millis(1500), ..Limits::default() };
    let client = system::client(identity(2), limits).unwrap();
    let port = server.local_address().unwrap().port();
    // May give ::1 first, where nobody answers.
    let name = format!("localhost:{port}");
    let (connection, _accepted) =
        soon(async { tokio::join!(client.connect(&name, None), server.accept()) }).await;
    assert_eq!(connection.unwrap().peer(), identity(1).public_key());

    let error = soon(client.connect("no port here", None)).await.err().unwrap();
    assert!(matches!(error, ConnectError::Resolve { .. }), "{error}");
    drop(server);
    let silent = std::net::UdpSocket::bind(loopback()).unwrap();
    let silent = silent.local_addr().unwrap().to_string();
    let error = soon(client.connect(&silent, None)).await.err().unwrap();
    let reason = "no answer within 1.5s".to_owned();
    assert_eq!(error, ConnectError::Unreachable { address: silent, reason });
    assert_ne!(address, "");
}

#[tokio::test]
async fn the_exporter_is_the_same_on_both_ends_and_bound_to_its_input() {
    let one = soon(pair()).await;
    let two = soon(pair()).await;
    let secret = one.at_client.exporter(b"EXPORTER-rebuilder-test", b"context");
    assert_eq!(secret, one.at_server.exporter(b"EXPORTER-rebuilder-test", b"context"));
    assert_ne!(secret, one.at_server.exporter(b"EXPORTER-rebuilder-test", b"other"));
    assert_ne!(secret, one.at_server.exporter(b"EXPORTER-rebuilder-other", b"context"));
    assert_ne!(secret, two.at_server.exporter(b"EXPORTER-rebuilder-test", b"context"));
}

#[tokio::test]
async fn a_close_reason_travels_and_ends_the_streams_of_both_sides() {
    let pair = soon(pair()).await;
    let (mut send, mut receive) = soon(pair.at_client.open(10)).await.unwrap();
    soon(send.send(frame("hello"))).await.unwrap();
    let (mut back, mut from) = soon(pair.at_server.accept(10)).await.unwrap();
    assert_eq!(soon(from.receive()).await, Ok(Some(frame("hello"))));

    let revoked = reason(17, "this worker was revoked");
    pair.at_server.close(revoked.clone());
    pair.at_server.close(reason(18, "too late"));
    assert_eq!(soon(pair.at_client.closed()).await, revoked);
    assert_eq!(soon(pair.at_server.closed()).await, revoked);
    let error = StreamError::Closed(revoked.clone());
    assert_eq!(soon(receive.receive()).await, Err(error.clone()));
    assert_eq!(soon(send.send(frame("x"))).await, Err(error.clone()));
    assert_eq!(soon(back.send(frame("x"))).await, Err(error.clone()));
    assert_eq!(soon(pair.at_client.accept(10)).await.err(), Some(error.clone()));
    assert_eq!(soon(pair.at_client.open_one_way()).await.err(), Some(error.clone()));
    assert_eq!(soon(pair.at_server.accept_one_way(10)).await.err(), Some(error));
}

#[tokio::test]
async fn closing_the_endpoint_tells_every_peer() {
    let pair = soon(pair()).await;
    let stopping = reason(2, "the coordinator stops");
    soon(pair.server.close(stopping.clone())).await;
    assert_eq!(soon(pair.at_client.closed()).await, stopping);
    assert_eq!(soon(pair.at_server.closed()).await, stopping);
    assert!(soon(pair.server.accept()).await.is_none());
}

#[tokio::test]
async fn a_connection_closes_with_its_last_handle_and_stream() {
    let pair = soon(pair()).await;
    let second = pair.at_client.clone_handle();
    let (mut send, receive) = soon(second.open(10)).await.unwrap();
    drop((pair.at_client, second, receive));
    soon(send.send(frame("still here"))).await.unwrap();
    let (_back, mut from) = soon(pair.at_server.accept(10)).await.unwrap();
    assert_eq!(soon(from.receive()).await, Ok(Some(frame("still here"))));
    drop(send);
    let closed = soon(pair.at_server.closed()).await;
    assert_eq!(closed, reason(codes::DROPPED, "the peer dropped the connection"));
}

#[tokio::test]
async fn a_silent_peer_is_given_up() {
    let limits = Limits { idle_timeout: Duration::from_secs(1), ..Limits::default() };
    let pair = soon(pair_with(limits)).await;
    assert_eq!(soon(pair.at_client.closed()).await, reason(codes::SILENT, "peer silent for 1 s"));
}

#[test]
fn a_peer_that_was_killed_and_restarted_says_so_at_once() {
    let killed = tokio::runtime::Runtime::new().unwrap();
    let alive = tokio::runtime::Runtime::new().unwrap();
    let (server, address) = killed.block_on(async { server_with(Limits::default()) });
    let client = alive.block_on(async { system::client(identity(2), Limits::default()).unwrap() });
    let at_client = alive.block_on(soon(client.connect(&address, None))).unwrap();
    // As a kill does: every task and the socket go, and nothing is sent.
    killed.shutdown_timeout(Duration::from_secs(5));
    drop(server);

    alive.block_on(soon(async {
        let again =
            system::server(address.parse().unwrap(), identity(1), Limits::default()).unwrap();
        // Fails when a probe of QUIC was answered before: just as well.
        if let Ok(mut send) = at_client.open_one_way().await {
            send.send(frame(&"a status of a worker".repeat(10))).await.ok();
        }
        let closed = tokio::time::timeout(Duration::from_secs(5), at_client.closed()).await;
        assert_eq!(closed.expect("well before the idle timeout").code, codes::RESTARTED);
        let (connected, _accepted) = tokio::join!(client.connect(&address, None), again.accept());
        connected.unwrap();
    }));
}

#[tokio::test]
async fn connections_over_the_limit_are_refused() {
    let (server, address) = server_with(Limits { connections_max: 1, ..Limits::default() });
    let client = system::client(identity(2), Limits::default()).unwrap();
    let (first, _accepted) =
        soon(async { tokio::join!(client.connect(&address, None), server.accept()) }).await;
    let error = soon(client.connect(&address, None)).await.err().unwrap();
    assert!(error.to_string().contains("refused"), "{error}");
    drop(first);
}

#[tokio::test]
async fn a_dropped_endpoint_accepts_nobody_and_its_connections_live_on() {
    let pair = soon(pair()).await;
    let address = pair.server.local_address().unwrap().to_string();
    drop(pair.server);
    let mut send = soon(pair.at_client.open_one_way()).await.unwrap();
    soon(send.send(frame("x"))).await.unwrap();
    let mut receive = soon(pair.at_server.accept_one_way(1)).await.unwrap();
    assert_eq!(soon(receive.receive()).await, Ok(Some(frame("x"))));
    let limits = Limits { handshake_timeout: Duration::from_millis(300), ..Limits::default() };
    let other = system::client(identity(3), limits).unwrap();
    assert!(soon(other.connect(&address, None)).await.is_err());
}

#[tokio::test]
async fn a_peer_that_is_there_acknowledges_and_one_that_is_gone_does_not() {
    let there = pair().await;
    for _ in 0..20 {
        soon(there.at_server.alive()).await;
        soon(there.at_client.alive()).await;
    }
    // Nothing of a stream was used up, and the window is what it was.
    let (mut send, _receive) = soon(there.at_client.open(9)).await.unwrap();
    send.send(frame("hello")).await.unwrap();
    let (_send, mut receive) = soon(there.at_server.accept(9)).await.unwrap();
    assert_eq!(soon(receive.receive()).await.unwrap().unwrap(), frame("hello"));

    // A process that is killed sends no close: here its tasks end with its runtime.
    let (server, address) = server_with(Limits::default());
    let killed = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let connection = runtime.block_on(async {
            let client = system::client(identity(2), Limits::default()).unwrap();
            client.connect(&address, None).await.unwrap()
        });
        core::mem::forget(connection);
    });
    let at_server = soon(server.accept()).await.unwrap();
    killed.await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let answered = tokio::time::timeout(Duration::from_secs(1), at_server.alive()).await;
    assert!(answered.is_err(), "nobody is there");
}
