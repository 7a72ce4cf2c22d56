//! What handlers take from requests, and what wrong requests are told.

use axum::Router;
use axum::routing::{get, post};
use serde::Deserialize;

use super::server_test::{COOKIE, answer, answer_bytes, start_with};
use super::{Admin, HttpLimits, Json, Path, Query};

#[derive(Deserialize)]
struct Push {
    distribution: String,
    #[serde(default)]
    log: Vec<u8>,
}

#[derive(Deserialize)]
struct Page {
    limit: Option<i32>,
}

fn routes() -> Router {
    let push = |_: Admin, Json(push): Json<Push>| async move {
        format!("{} {}", push.distribution, push.log.len())
    };
    let pages = |Query(page): Query<Page>| async move { format!("{:?}", page.limit) };
    let v0 = Router::new().route("/queue", post(|_: Admin| async { "old" }));
    Router::new()
        .route("/api/v1/queue", get(pages).post(push))
        .route("/api/v1/builds/{id}", get(|Path(id): Path<i32>| async move { id.to_string() }))
        .route(
            "/api/v1/builds/{id}/artifacts/{artifact}",
            get(|Path((a, b)): Path<(i32, i32)>| async move { format!("{a} {b}") }),
        )
        .route("/open", post(|Json(push): Json<Push>| async move { push.distribution }))
        .route("/long", get(async || "a text that is long\n".repeat(100_000)))
        .nest("/api/v0", v0)
}

/// A POST of `body` to `path` with these header lines.
fn to(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let bytes = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
    let head = format!("{head}{headers}content-length: {bytes}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// The status and the body of an answer.
pub(super) fn said(answer: &str) -> (&str, &str) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    (head.get(9..12).unwrap_or_default(), body)
}

/// Path, header lines, body; status and body of the answer.
type Row<'a> = (&'a str, &'a str, &'a [u8], (&'a str, &'a str));

const JSON: &str = "content-type: application/json\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_are_unpacked_and_read_for_admins_alone() {
    let limits = HttpLimits { body_bytes_max: 100_000, ..HttpLimits::default() };
    let gateway = start_with(routes(), limits).await;
    let address = gateway.address();
    let admin = format!("{JSON}x-auth-cookie: {COOKIE}\r\n");
    let zstd = format!("{admin}content-encoding: zstd\r\n");
    let text = br#"{"distribution":"debian","log":[1,2,3]}"#;
    let packed = zstd::encode_all(&text[..], 11).unwrap();
    let log = |bytes: usize| format!(r#"{{"distribution":"d","log":[0{}]}}"#, ",0".repeat(bytes));
    let bomb = zstd::encode_all(log(100_000).as_bytes(), 3).unwrap();
    let (fits, more) = (log(40_000), log(60_000));
    let empty = ("403", "");
    let parse = "Json deserialize error: missing field `distribution` at line 1 column 2";
    let large = "the body is larger than 100000 bytes, packed or not";
    let open = "the body is larger than 65536 bytes, packed or not";
    let open_zstd = format!("{JSON}content-encoding: zstd\r\n");
    let packed_fits = zstd::encode_all(fits.as_bytes(), 3).unwrap();
    let v1 = "/api/v1/queue";
    let latin = format!("{JSON}x-auth-cookie: {}ü\r\n", &COOKIE[1..]);
    let twice = format!("{admin}x-auth-cookie: {COOKIE}\r\n");
    let wrong = format!("{JSON}x-auth-cookie: wrong\r\n");
    let suffix = admin.replace("application/json", "a/b+json; charset=utf-8");
    let plain = admin.replace("application/json", "text/plain");
    let (none, lzma) = (admin.replace("content-type", "x"), zstd.replace("zstd", "lzma"));
    let rows: &[Row<'_>] = &[
        (v1, &admin, text, ("200", "debian 3")),
        (v1, &zstd, &packed, ("200", "debian 3")),
        (v1, &admin, fits.as_bytes(), ("200", "d 40001")),
        (v1, &admin, more.as_bytes(), ("413", large)),
        (v1, &zstd, &bomb, ("413", large)),
        (v1, &suffix, text, ("200", "debian 3")),
        (v1, &plain, text, ("400", "Content type error")),
        (v1, &none, text, ("400", "Content type error")),
        (v1, &lzma, text, ("415", "unknown encoding")),
        (v1, &admin, b"{}", ("400", parse)),
        (v1, JSON, text, empty),
        (v1, &wrong, b"{", empty),
        (v1, &latin, text, empty),
        (v1, &twice, text, empty),
        ("/api/v0/queue", JSON, b"", ("403", "Authentication failed\n")),
        ("/api/v0/queue", &admin, b"", ("200", "old")),
        ("/open", JSON, text, ("200", "debian")),
        ("/open", JSON, fits.as_bytes(), ("413", open)),
        ("/open", &open_zstd, &packed, ("200", "debian")),
        ("/open", &open_zstd, &packed_fits, ("413", open)),
    ];
    tokio::task::block_in_place(|| {
        for (path, headers, body, expected) in rows {
            let answer = answer(address, to(path, headers, body));
            assert_eq!(said(&answer), *expected, "{path} {headers}");
            if !expected.1.is_empty() {
                assert!(answer.contains("text/plain; charset=utf-8"), "{answer}");
            }
        }
        let answer = answer(address, to(v1, &zstd, text));
        assert!(said(&answer).1.starts_with("the body cannot be unpacked: "), "{answer}");
    });
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_and_queries_are_read_as_the_peer_reads_them() {
    let gateway = start_with(routes(), HttpLimits::default()).await;
    let address = gateway.address();
    let pages = "/api/v1/queue";
    let rows = [
        (format!("{pages}?limit=-1"), ("200", "Some(-1)")),
        (format!("{pages}?other=1"), ("200", "None")),
        (
            format!("{pages}?limit=x"),
            ("400", "Query deserialize error: invalid digit found in string"),
        ),
        (
            format!("{pages}?limit=1&limit=2"),
            ("400", "Query deserialize error: duplicate field `limit`"),
        ),
        ("/api/v1/builds/12".to_owned(), ("200", "12")),
        ("/api/v1/builds/abc".to_owned(), ("404", r#"can not parse "abc" to a i32"#)),
        ("/api/v1/builds/9999999999".to_owned(), ("404", r#"can not parse "9999999999" to a i32"#)),
        ("/api/v1/builds/1/artifacts/2".to_owned(), ("200", "1 2")),
        ("/api/v1/builds/1/artifacts/x".to_owned(), ("404", r#"can not parse "x" to a i32"#)),
        ("/api/v1/builds/%ff".to_owned(), ("400", "the path is not UTF-8")),
        ("/nothing".to_owned(), ("404", "")),
    ];
    tokio::task::block_in_place(|| {
        for (path, expected) in &rows {
            let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            assert_eq!(said(&answer(address, request)), *expected, "{path}");
        }
        let delete = "DELETE /api/v1/queue HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        assert_eq!(said(&answer(address, delete)), ("404", ""));
        let head = "HEAD /api/v1/builds/12 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let head = answer(address, head);
        assert_eq!(said(&head), ("200", ""));
        assert!(head.contains("content-length: 2\r\n"), "{head}");
    });
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_packed_as_they_are_wanted() {
    let gateway = start_with(routes(), HttpLimits::default()).await;
    let address = gateway.address();
    tokio::task::block_in_place(|| {
        let ask = |method: &str, wanted: &str| {
            let head = format!("{method} /long HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
            let answer = answer_bytes(address, format!("{head}accept-encoding: {wanted}\r\n\r\n"));
            let at = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
            (String::from_utf8_lossy(&answer[..at]).into_owned(), answer[at..].to_vec())
        };
        let (head, body) = ask("GET", "zstd");
        assert!(head.contains("content-encoding: zstd\r\n"), "{head}");
        assert!(head.contains("vary: accept-encoding\r\n"), "{head}");
        assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");
        assert!(body.len() < 10_000, "{}", body.len());
        let (head, body) = ask("GET", "identity");
        assert!(head.contains("content-length: 2000000\r\n") && body.len() == 2_000_000, "{head}");
        let (head, body) = ask("HEAD", "gzip");
        assert!(head.contains("content-encoding: gzip\r\n") && body.is_empty(), "{head}");
        assert!(!head.contains("content-length"), "{head}");
    });
    gateway.stop().await;
}
