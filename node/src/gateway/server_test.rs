//! What a peer can do to a listener, and cannot.

use core::time::Duration;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use super::{Bound, Cookie, Door, DoorSettings, Gateway, HttpLimits, Proxies};
use crate::clock::SystemClock;

pub(super) const COOKIE: &str = "0123456789abcdefghijklmnopqrstuv";

async fn start(limits: HttpLimits) -> Gateway {
    start_with(Router::new().route("/health", get(async || "ok\n")), limits).await
}

/// Nobody is trusted, not even this machine.
pub(super) async fn start_with(routes: Router, limits: HttpLimits) -> Gateway {
    let proxies = Proxies { trusted: Vec::new(), ..Proxies::default() };
    start_at(routes, DoorSettings { limits, proxies, ..DoorSettings::default() }).await
}

pub(super) async fn start_at(routes: Router, settings: DoorSettings) -> Gateway {
    let cookie = Cookie::new(COOKIE).unwrap();
    let bound = Bound::new((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    bound.serve(routes, Door::new(cookie, settings, Arc::new(SystemClock::new())))
}

pub(super) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// All that comes until the end of the connection.
pub(super) fn rest(stream: &TcpStream) -> String {
    String::from_utf8_lossy(&rest_bytes(stream)).into_owned()
}

fn rest_bytes(mut stream: &TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A connection that is reset has ended too.
    let _ = stream.read_to_end(&mut bytes);
    bytes
}

/// What is answered to this, on a connection of its own.
pub(super) fn answer(address: SocketAddr, request: impl AsRef<[u8]>) -> String {
    String::from_utf8_lossy(&answer_bytes(address, request)).into_owned()
}

pub(super) fn answer_bytes(address: SocketAddr, request: impl AsRef<[u8]>) -> Vec<u8> {
    let mut stream = connect(address);
    let _ = stream.write_all(request.as_ref());
    rest_bytes(&stream)
}

const ASK: &str = "GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_requests_are_refused_and_the_next_one_is_answered() {
    let gateway = start(HttpLimits::default()).await;
    let address = gateway.address();
    tokio::task::block_in_place(|| {
        let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(64 << 10));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(1_000));
        let odd = ["GET /%00/../health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"];
        for request in [long.as_str(), &many, "\0\0\0\0\r\n\r\n", "GET /\r\n\r\n", odd[0]] {
            let said = answer(address, request);
            let refused = said.is_empty() || said.starts_with("HTTP/1.1 4");
            assert!(refused, "{:?}: {said}", request.chars().take(40).collect::<String>());
            let said = answer(address, ASK);
            assert!(said.starts_with("HTTP/1.1 200") && said.ends_with("ok\n"), "{said}");
        }
        let post = ASK.replace("GET", "POST");
        assert!(answer(address, &post).starts_with("HTTP/1.1 404"));
    });
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_slow_or_idle_gives_its_place_back() {
    let head = Duration::from_millis(200);
    let gateway = start(HttpLimits { connections_max: 2, head, ..HttpLimits::default() }).await;
    let address = gateway.address();
    tokio::task::block_in_place(|| {
        let (idle, mut slow) = (connect(address), connect(address));
        slow.write_all(b"GET /health HTTP/1.1\r\nhost:").unwrap();
        // Both places are taken until the time of their heads is over.
        assert!(answer(address, ASK).ends_with("ok\n"));
        assert!(!rest(&idle).contains("200 OK"));
        assert!(!rest(&slow).contains("200 OK"));
    });
    gateway.stop().await;
}

#[tokio::test]
async fn an_address_in_use_is_said_with_its_key() {
    let first = start(HttpLimits::default()).await;
    let second = Bound::new(first.address()).await;
    let said = second.unwrap_err().to_string();
    assert!(said.contains(&first.address().to_string()) && said.contains("`bind_addr`"), "{said}");
    first.stop().await;
}
