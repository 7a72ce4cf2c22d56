//! Whom the door lets in, and as whom.

use axum::Router;
use axum::http::Uri;
use axum::http::request::Parts;
use axum::routing::{get, post};
use core::time::Duration;
use std::io::{Read as _, Write as _};

use super::extract_test::said;
use super::server_test::{answer, connect, rest, start_at, start_with};
use super::{Asked, DoorSettings, HttpLimits, Json, Prefix, Proxies};

fn routes() -> Router {
    Router::new()
        .route("/health", get(async || "ok\n"))
        .route(
            "/who",
            get(|parts: Parts| async move { Asked::of(&parts).unwrap().client().to_string() }),
        )
        .route("/api/v1/where", get(async |uri: Uri| uri.to_string()))
        .route("/panic", get(|| async { panic_on_purpose() }))
        .route("/body", post(async |Json(value): Json<u64>| value.to_string()))
        .route("/large", get(async || vec![b'x'; 64 << 20]))
}

fn panic_on_purpose() -> &'static str {
    panic!("a secret of ours")
}

fn ask(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n")
}

/// As [`routes`], with an `X-Forwarded-For` that programs of this machine may write.
fn behind_a_proxy() -> DoorSettings {
    let real_ip_header = Some("x-forwarded-for".parse().unwrap());
    DoorSettings {
        proxies: Proxies { real_ip_header, ..Proxies::default() },
        prefix: Prefix::Only("/amd64".to_owned()),
        permissive_cors: true,
        limits: HttpLimits {
            rate: Some(1),
            connections_per_address_max: Some(1),
            ..HttpLimits::default()
        },
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trusted_proxy_says_who_asks_and_limits_count_for_that_one() {
    let gateway = start_at(routes(), behind_a_proxy()).await;
    let address = gateway.address();
    tokio::task::block_in_place(|| {
        // The proxy's own requests and connections are not counted.
        let _open = [connect(address), connect(address), connect(address)];
        for _ in 0..15 {
            assert_eq!(said(&answer(address, ask("/amd64/who", ""))), ("200", "127.0.0.1"));
        }
        let of = |who: &str| {
            answer(address, ask("/who/", &format!("x-forwarded-for: 203.0.113.1, {who}\r\n")))
        };
        for _ in 0..10 {
            assert_eq!(said(&of("192.0.2.1")), ("200", "192.0.2.1"));
        }
        let refused = of("192.0.2.1");
        assert_eq!(said(&refused).0, "429");
        assert!(refused.contains("retry-after: 1\r\n"), "{refused}");
        assert!(refused.contains("access-control-allow-origin: *\r\n"), "{refused}");
        assert_eq!(said(&of("192.0.2.2")), ("200", "192.0.2.2"));
        assert_eq!(
            said(&answer(address, ask("//amd64//api/v1/where/?a=/", ""))),
            ("200", "/api/v1/where?a=/")
        );
        assert_eq!(said(&answer(address, ask("/x/api/v1/where", ""))).0, "404");
        let preflight = "origin: http://a\r\naccess-control-request-method: POST\r\n";
        let preflight = answer(address, ask("/who", preflight).replace("GET", "OPTIONS"));
        assert_eq!(said(&preflight), ("204", ""));
        assert!(preflight.contains("access-control-allow-headers: *\r\n"), "{preflight}");
    });
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_speaks_for_itself_and_does_not_take_all_places() {
    let limits = HttpLimits { connections_per_address_max: Some(2), ..HttpLimits::default() };
    let gateway = start_with(routes(), limits).await;
    let address = gateway.address();
    tokio::task::block_in_place(|| {
        let forged = "x-forwarded-for: 192.0.2.1\r\n";
        assert_eq!(said(&answer(address, ask("/who", forged))), ("200", "127.0.0.1"));
        assert_eq!(
            said(&answer(address, ask("/any/thing/api/v1/where", ""))),
            ("200", "/api/v1/where")
        );
        assert_eq!(said(&answer(address, ask("/any/health", ""))).0, "404");
        assert!(!answer(address, ask("/health", "")).contains("access-control"));
        let mut open = [connect(address), connect(address)];
        // Both are in when both were answered.
        for stream in &mut open {
            stream.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
            assert!(stream.read(&mut [0; 999]).unwrap() > 0);
        }
        let third = rest(&connect(address));
        assert!(third.is_empty() || third.starts_with("HTTP/1.1 429"), "{third}");
        drop(open);
        let again = (0..1000).any(|_| {
            std::thread::sleep(Duration::from_millis(1));
            said(&answer(address, ask("/health", ""))) == ("200", "ok\n")
        });
        assert!(again, "places come back");
    });
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tricks_are_refused_and_a_panic_says_nothing() {
    let gateway = start_with(routes(), HttpLimits::default()).await;
    let address = gateway.address();
    let long = format!("/health?{}", "q".repeat(100_000));
    let chunked = "POST /body HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    let both = format!(
        "{chunked}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n42\r\n0\r\n\r\n"
    );
    // What a proxy that goes by the length takes for a body must not become a request.
    let smuggled = format!("{both}GET /who HTTP/1.1\r\nhost: x\r\n\r\n");
    let rows = [
        (ask("/../health", ""), "400"),
        (ask("/%2e%2e/health", ""), "400"),
        (ask("/health%00", ""), "400"),
        (ask("/health%", ""), "400"),
        (ask("/nothing//here", ""), "404"),
        (ask(&long, ""), "431"),
        (ask("/health", "host: y\r\n"), "400"),
        ("GET /health HTTP/1.1\r\nconnection: close\r\n\r\n".to_owned(), "400"),
        ("GET * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_owned(), "400"),
        ("OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_owned(), "400"),
        ("CONNECT x:1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_owned(), "400"),
        (ask("http://other/health", ""), "200"),
        (ask("/health", "bad header: x\r\n"), "400"),
        (ask("/health", " folded: x\r\n"), "400"),
        (ask("/health", &format!("{}\r\n", "h: v\r\n".repeat(100))), "431"),
        (ask("/panic", ""), "500"),
        (format!("{chunked}content-length: 1\r\ncontent-length: 2\r\n\r\n42"), "400"),
        (format!("{chunked}content-length: -1\r\n\r\n42"), "400"),
        (format!("{chunked}transfer-encoding: chunked, gzip\r\n\r\n2\r\n42\r\n0\r\n\r\n"), "400"),
        (format!("{chunked}transfer-encoding: chunked\r\nconnection: close\r\n\r\nz\r\n"), "400"),
        (smuggled, "200"),
    ];
    tokio::task::block_in_place(|| {
        for (request, status) in &rows {
            let answer = answer(address, request);
            let start: String = request.chars().take(80).collect();
            assert_eq!(said(&answer).0, *status, "{start:?}: {answer}");
            assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{start:?}: {answer}");
            assert!(!answer.contains("secret of ours"), "{answer}");
            assert_eq!(said(&self::answer(address, ask("/health", ""))), ("200", "ok\n"));
        }
    });
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_a_body_for_nothing_reads_why() {
    let limits = HttpLimits { body_bytes_max: 10 << 20, ..HttpLimits::default() };
    let gateway = start_with(routes(), limits).await;
    let address = gateway.address();
    let json = "content-type: application/json\r\n";
    let packed = "content-encoding: compress\r\n";
    tokio::task::block_in_place(|| {
        let body = vec![b'1'; 12 << 20];
        for (path, headers, length, status) in [
            ("/body", json.to_owned(), 12 << 20, "413"),
            ("/body", format!("{json}{packed}"), 9 << 20, "415"),
            ("/body", String::new(), 9 << 20, "400"),
            ("/nothing", json.to_owned(), 9 << 20, "404"),
            ("/..", json.to_owned(), 1 << 20, "400"),
        ] {
            let mut stream = connect(address);
            let head =
                format!("POST {path} HTTP/1.1\r\nhost: x\r\n{headers}content-length: {length}\r\n");
            stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
            // All of it goes out, and only then the answer is read.
            stream.write_all(&body[..length]).unwrap();
            stream.write_all(ask("/health", "").as_bytes()).unwrap();
            let answers = rest(&stream);
            assert_eq!(said(&answers).0, status, "{path} {headers}: {answers}");
            assert!(answers.ends_with("ok\n"), "the connection goes on: {answers}");
        }
        // More than that is not taken.
        let head = "POST /nothing HTTP/1.1\r\nhost: x\r\ncontent-length: 999999999\r\n\r\n";
        let mut stream = connect(address);
        stream.write_all(head.as_bytes()).unwrap();
        let sent = (0..20).take_while(|_| stream.write_all(&body).is_ok()).count();
        assert!(sent < 20, "{sent}");
    });
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_slow_loses_its_place_and_who_goes_on_does_not() {
    let limits = HttpLimits {
        head: Duration::from_millis(300),
        progress: Duration::from_millis(300),
        body: Duration::from_millis(900),
        ..HttpLimits::default()
    };
    let gateway = start_with(routes(), limits).await;
    let address = gateway.address();
    tokio::task::block_in_place(|| {
        let head = "POST /body HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
        let (mut idle, mut slow_body, mut no_reader) =
            (connect(address), connect(address), connect(address));
        idle.write_all(ask("/health", "").replace("close", "keep-alive").as_bytes()).unwrap();
        slow_body.write_all(format!("{head}content-length: 60000\r\n\r\n4").as_bytes()).unwrap();
        no_reader.write_all(ask("/large", "").as_bytes()).unwrap();
        let slow_head = connect(address);
        let feeder = slow_head.try_clone().unwrap();
        let mut body_feeder = slow_body.try_clone().unwrap();
        // A byte now and then is no progress of a head, and a body has an end all the same.
        let feed = std::thread::spawn(move || {
            let mut feeder = &feeder;
            for byte in b"GET /health HTTP/1.1\r\nhost: x\r\nx: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy" {
                let sent = [feeder.write_all(&[*byte]), body_feeder.write_all(b"2")];
                if sent.iter().all(Result::is_err) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        // Others are served meanwhile.
        assert_eq!(said(&answer(address, ask("/health", ""))), ("200", "ok\n"));
        let idle = rest(&idle);
        assert!(idle.ends_with("ok\n") && idle.matches("HTTP/1.1").count() == 1, "{idle}");
        assert!(!rest(&slow_head).contains("200 OK"));
        let slow_body = rest(&slow_body);
        assert!(slow_body.is_empty() || slow_body.starts_with("HTTP/1.1 408"), "{slow_body}");
        feed.join().unwrap();
        std::thread::sleep(Duration::from_millis(400));
        // What was on the way is all that it gets.
        let got = rest(&no_reader).len();
        assert!(got < 64 << 20, "{got}");
        // Longer than the bound in all, but it goes on.
        let mut reader = connect(address);
        reader.write_all(ask("/large", "").as_bytes()).unwrap();
        let mut piece = vec![0; 8 << 20];
        for _ in 0..4 {
            reader.read_exact(&mut piece).unwrap();
            std::thread::sleep(Duration::from_millis(100));
        }
        assert!(rest(&reader).len() > 32 << 20);
    });
    gateway.stop().await;
}
