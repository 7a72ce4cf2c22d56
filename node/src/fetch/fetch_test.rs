use std::sync::{Arc, Mutex};
use std::time::Duration;

use rebuilder_actors::protocol::{RemoteFile, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// What the server does with one request.
#[derive(Clone)]
enum Answer {
    /// Send these bytes and close.
    Send(String),
    /// Send these bytes, then nothing more, with the connection open.
    Stall(String),
}

/// A real HTTP server on loopback that gives its answers in order, the last one again and again,
/// and keeps the requests.
struct Server {
    base: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(answers: Vec<Answer>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            let mut held = Vec::new();
            for n in 0.. {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                seen.lock().unwrap().push(String::from_utf8(head).unwrap());
                match &answers[usize::min(n, answers.len() - 1)] {
                    Answer::Send(bytes) => {
                        stream.write_all(bytes.as_bytes()).await.unwrap();
                        let _ = stream.shutdown().await;
                    }
                    Answer::Stall(bytes) => {
                        stream.write_all(bytes.as_bytes()).await.unwrap();
                        held.push(stream);
                    }
                }
            }
        });
        Self { base, requests }
    }

    fn url(&self) -> String {
        format!("{}/dists/x", self.base)
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn ok(body: &str) -> Answer {
    Answer::Send(answer("200 OK", body.len(), "", body))
}

fn status(status: &str) -> Answer {
    Answer::Send(answer(status, 0, "", ""))
}

fn answer(status: &str, length: usize, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}\r\n{body}")
}

fn fetcher() -> Fetcher {
    patient(Duration::from_secs(20))
}

/// Bears a server that says nothing for so long.
fn patient(stall: Duration) -> Fetcher {
    Fetcher::new(FetchLimits {
        connect: Duration::from_secs(20),
        stall,
        bytes_per_sec_min: 4096,
        tries: 3,
        pause: Duration::from_millis(5),
    })
    .unwrap()
}

fn file(url: String, content: &str) -> RemoteFile {
    RemoteFile {
        url: url.into(),
        size: Some(content.len() as u64),
        sha256: Some(Sha256::of(content.as_bytes())),
    }
}

#[tokio::test]
async fn a_whole_answer_is_given_and_the_agent_named() {
    let server = Server::start(vec![ok("hello")]).await;
    assert_eq!(&*fetcher().get(&server.url(), 5).await.unwrap(), b"hello");
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    let agent = format!("user-agent: rebuilder/{}\r\n", env!("CARGO_PKG_VERSION"));
    assert!(requests[0].to_lowercase().contains(&agent), "{}", requests[0]);
}

#[tokio::test]
async fn missing_files_are_not_asked_for_twice() {
    for code in ["404 Not Found", "410 Gone"] {
        let server = Server::start(vec![status(code), ok("late")]).await;
        let url = server.url();
        assert_eq!(fetcher().get(&url, 9).await, Err(FetchError::NotFound { url, status: None }));
        assert_eq!(server.requests().len(), 1);
    }
}

/// Object stores say so of a missing file to strangers.
#[tokio::test]
async fn a_forbidden_file_is_a_missing_one_and_the_answer_is_named() {
    let server = Server::start(vec![status("403 Forbidden"), ok("late")]).await;
    let error = fetcher().get(&server.url(), 9).await.unwrap_err();
    assert!(matches!(error, FetchError::NotFound { status: Some(403), .. }), "{error}");
    assert!(error.to_string().ends_with("is not there (the server answered 403)"), "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_plus_is_sent_so_that_object_stores_find_it_and_then_as_it_is() {
    for written in ["pool/c++_1+b1%3a2.deb", "pool/c%2B%2b_1+b1%3a2.deb"] {
        let server = Server::start(vec![status("403 Forbidden"), ok("x")]).await;
        let url = format!("{}/{written}?a+b", server.base);
        assert_eq!(&*fetcher().get(&url, 9).await.unwrap(), b"x");
        let requests = server.requests();
        assert!(requests[0].starts_with("GET /pool/c%2B%2B_1%2Bb1%3a2.deb?a+b "), "{requests:?}");
        assert!(requests[1].starts_with("GET /pool/c++_1+b1%3a2.deb?a+b "), "{requests:?}");
    }
    let server = Server::start(vec![status("404 Not Found")]).await;
    let url = format!("{}/g++.deb", server.base);
    let error = fetcher().get(&url, 9).await.unwrap_err();
    assert_eq!(error, FetchError::NotFound { url, status: None });
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn requests_go_through_the_proxy_but_for_the_exceptions() {
    let proxy = Server::start(vec![ok("proxied")]).await;
    let direct = Server::start(vec![ok("direct")]).await;
    let address = proxy.base.replace("http://", "http://me:secret@");
    let fetcher = |except: &[String]| {
        let proxies = Proxies::new(Some(&address), None, except).unwrap();
        Fetcher::through(&proxies, FetchLimits { tries: 1, ..FetchLimits::default() }).unwrap()
    };
    let get = async |url: &str, except: &str| {
        let fetched = fetcher(&[except.to_owned()]).get(url, 9).await;
        fetched.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
    };
    assert_eq!(get("http://archive.invalid/x", "other").await.unwrap(), "proxied");
    let requests = proxy.requests();
    assert!(requests[0].starts_with("GET http://archive.invalid/x "), "{requests:?}");
    assert!(requests[0].to_lowercase().contains("proxy-authorization: basic "), "{requests:?}");
    assert_eq!(get(&direct.url(), "127.0.0.0/8").await.unwrap(), "direct");
    assert_eq!(get(&direct.url(), "*").await.unwrap(), "direct");
    let error = get("http://archive.invalid/x", "archive.invalid").await.unwrap_err().to_string();
    assert!(!error.contains("secret"), "{error}");
    assert_eq!(proxy.requests().len(), 1);
}

#[tokio::test]
async fn a_server_in_trouble_is_tried_again() {
    let server = Server::start(vec![status("503 Busy"), status("429 Slow"), ok("x")]).await;
    assert_eq!(&*fetcher().get(&server.url(), 9).await.unwrap(), b"x");
    assert_eq!(server.requests().len(), 3);

    let server = Server::start(vec![status("503 Busy")]).await;
    let error = fetcher().get(&server.url(), 9).await.unwrap_err();
    assert!(matches!(&error, FetchError::Unavailable { reason, .. } if reason.contains("503")));
    assert_eq!(server.requests().len(), 3);

    let server = Server::start(vec![status("401 Unauthorized")]).await;
    let error = fetcher().get(&server.url(), 9).await.unwrap_err();
    assert!(matches!(&error, FetchError::Unavailable { reason, .. } if reason.contains("401")));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_stalled_answer_is_broken_off() {
    let fetcher = || patient(Duration::from_millis(200));
    let server = Server::start(vec![Answer::Stall(answer("200 OK", 10, "", "he"))]).await;
    let error = fetcher().get(&server.url(), 10).await.unwrap_err();
    assert!(matches!(error, FetchError::Unavailable { .. }), "{error}");
    assert_eq!(server.requests().len(), 3);
    let server = Server::start(vec![Answer::Stall(String::new()), ok("hello")]).await;
    assert_eq!(&*fetcher().get(&server.url(), 10).await.unwrap(), b"hello");
}

#[tokio::test]
async fn a_truncated_file_is_resumed_where_a_digest_guards_it() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("f");
    let content = "0123456789";
    let server = Server::start(vec![
        Answer::Send(answer("200 OK", 10, "", "01234")),
        Answer::Send(answer("206 Partial", 5, "Content-Range: bytes 5-9/10\r\n", "56789")),
    ])
    .await;
    let digest = fetcher().to_file(&file(server.url(), content), 10, &to).await.unwrap();
    assert_eq!(digest.sha256, Sha256::of(content.as_bytes()));
    assert_eq!(std::fs::read_to_string(&to).unwrap(), content);
    assert!(server.requests()[1].to_lowercase().contains("range: bytes=5-\r\n"));

    // A server that knows no ranges sends the whole file: taken from the start.
    let server =
        Server::start(vec![Answer::Send(answer("200 OK", 10, "", "01234")), ok(content)]).await;
    fetcher().to_file(&file(server.url(), content), 10, &to).await.unwrap();
    assert_eq!(std::fs::read_to_string(&to).unwrap(), content);

    // Without a digest nothing tells whether the pieces fit.
    let server =
        Server::start(vec![Answer::Send(answer("200 OK", 10, "", "01234")), ok("abcdefghij")])
            .await;
    let blind = RemoteFile { url: server.url().into(), size: None, sha256: None };
    fetcher().to_file(&blind, 10, &to).await.unwrap();
    assert_eq!(std::fs::read_to_string(&to).unwrap(), "abcdefghij");
    assert!(!server.requests()[1].to_lowercase().contains("range:"));
}

#[tokio::test]
async fn a_truncated_answer_is_never_taken_for_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(vec![Answer::Send(answer("200 OK", 10, "", "01234"))]).await;
    let blind = RemoteFile { url: server.url().into(), size: None, sha256: None };
    let error = fetcher().to_file(&blind, 10, &folder.path().join("f")).await.unwrap_err();
    assert!(matches!(error, FetchError::Unavailable { .. }), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn another_file_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("f");
    std::fs::write(&to, "before").unwrap();
    let server = Server::start(vec![ok("evil!")]).await;
    let error = fetcher().to_file(&file(server.url(), "hello"), 10, &to).await.unwrap_err();
    assert!(
        matches!(&error, FetchError::Mismatch { expected, .. }
            if *expected == format!("sha256 {}", Sha256::of(b"hello"))),
        "{error}"
    );
    let error = fetcher().to_file(&file(server.url(), "hell"), 10, &to).await.unwrap_err();
    assert!(matches!(error, FetchError::Mismatch { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(&to).unwrap(), "before");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn limits_hold_whatever_the_server_announces() {
    let endless = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_owned() + &"x".repeat(1000);
    for server in [ok(&"x".repeat(1000)), Answer::Send(endless)] {
        let server = Server::start(vec![server]).await;
        let url = server.url();
        let error = fetcher().get(&url, 999).await.unwrap_err();
        assert_eq!(error, FetchError::TooLarge { url, bytes_max: 999 });
    }
}

#[tokio::test]
async fn redirects_are_followed_but_not_for_ever() {
    let moved = Answer::Send(answer("302 Found", 0, "Location: /there\r\n", ""));
    let here = Server::start(vec![moved, ok("found")]).await;
    assert_eq!(&*fetcher().get(&here.url(), 9).await.unwrap(), b"found");
    assert!(here.requests()[1].starts_with("GET /there "));
    let absolute = format!("Location: {}/there\r\n", here.base);
    let moved = Answer::Send(answer("307 Moved", 0, &absolute, ""));
    let away = Server::start(vec![moved]).await;
    assert!(fetcher().get(&away.url(), 9).await.is_err(), "another port of the loopback");
    assert_eq!(here.requests().len(), 2);
    let circle = Answer::Send(answer("302 Found", 0, "Location: /again\r\n", ""));
    let circle = Server::start(vec![circle]).await;
    let error = fetcher().get(&circle.url(), 9).await.unwrap_err();
    assert!(error.to_string().contains("more than 5 redirects"), "{error}");
    assert_eq!(circle.requests().len(), 6);
}

#[tokio::test]
async fn redirects_to_addresses_that_a_server_must_not_choose_are_named_and_not_followed() {
    let inner = Server::start(vec![ok("secret")]).await;
    let port = inner.base.rsplit_once(':').unwrap().1;
    for target in [
        format!("http://127.0.0.1:{port}/x"),
        format!("http://[::ffff:127.0.0.1]:{port}/x"),
        format!("http://0.0.0.0:{port}/x"),
        // Found out only when the name is resolved.
        format!("http://localhost:{port}/x"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://10.0.0.1/x".to_owned(),
        "http://[fd00::1]/x".to_owned(),
        "file:///etc/passwd".to_owned(),
    ] {
        let location = format!("Location: {target}\r\n");
        let moved = Answer::Send(answer("302 Found", 0, &location, ""));
        let mirror = Server::start(vec![moved]).await;
        let error = fetcher().get(&mirror.url(), 9).await.unwrap_err();
        let host = target.split('/').nth(2).unwrap().trim_end_matches(&format!(":{port}"));
        assert!(error.to_string().contains("redirected to"), "{error}");
        assert!(error.to_string().contains(host), "{error}");
        assert_eq!(mirror.requests().len(), 1, "not tried again");
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("f");
        let error = fetcher().to_file(&file(mirror.url(), "secret"), 9, &to).await.unwrap_err();
        assert!(matches!(error, FetchError::Unavailable { .. }), "{error}");
        assert!(!to.exists());
    }
    assert_eq!(inner.requests(), [] as [String; 0]);
}

#[tokio::test]
async fn a_file_is_never_longer_than_its_size_is_known_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("f");
    let endless = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_owned() + &"x".repeat(1000);
    for server in [ok(&"x".repeat(1000)), Answer::Send(endless)] {
        let server = Server::start(vec![server]).await;
        let error = fetcher().to_file(&file(server.url(), "hello"), 9_999, &to).await.unwrap_err();
        assert!(matches!(error, FetchError::Mismatch { .. }), "{error}");
        assert!(!to.exists());
    }
}

#[tokio::test]
async fn an_unchanged_file_is_not_sent_again() {
    let tagged = answer("200 OK", 1, "ETag: \"v1\"\r\nLast-Modified: then\r\n", "x");
    let server = Server::start(vec![Answer::Send(tagged), status("304 Not Modified")]).await;
    let Fetched::Changed(bytes, validator) =
        fetcher().get_if_changed(&server.url(), None, 9).await.unwrap()
    else {
        panic!("nothing to be unchanged since")
    };
    assert_eq!(&*bytes, b"x");
    let again = fetcher().get_if_changed(&server.url(), Some(&validator), 9).await.unwrap();
    assert_eq!(again, Fetched::Unchanged);
    let request = server.requests()[1].to_lowercase();
    assert!(request.contains("if-none-match: \"v1\"\r\nif-modified-since: then\r\n"), "{request}");
}

#[tokio::test]
async fn local_files_are_read_by_path_and_file_url() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a b");
    std::fs::write(&path, "local").unwrap();
    let plain = path.to_str().unwrap().to_owned();
    let url = format!("file://{}", plain.replace(' ', "%20"));
    for name in [&plain, &url] {
        assert_eq!(&*fetcher().get(name, 5).await.unwrap(), b"local");
        assert!(matches!(fetcher().get(name, 4).await, Err(FetchError::TooLarge { .. })));
        let Fetched::Changed(_, validator) = fetcher().get_if_changed(name, None, 5).await.unwrap()
        else {
            panic!("nothing to be unchanged since")
        };
        let again = fetcher().get_if_changed(name, Some(&validator), 5).await.unwrap();
        assert_eq!(again, Fetched::Unchanged);
    }
    let to = folder.path().join("copy");
    fetcher().to_file(&file(url.clone(), "local"), 9, &to).await.unwrap();
    assert_eq!(std::fs::read(&to).unwrap(), b"local");

    let gone = format!("{plain}/under/a/file");
    assert_eq!(
        fetcher().get(&gone, 5).await,
        Err(FetchError::NotFound { url: gone, status: None })
    );
    let is_folder = folder.path().to_str().unwrap();
    assert!(matches!(fetcher().get(is_folder, 5).await, Err(FetchError::Io { .. })));
    let relative = fetcher().get("some/file", 5).await.unwrap_err();
    assert!(relative.to_string().contains("not an http"), "{relative}");
}
