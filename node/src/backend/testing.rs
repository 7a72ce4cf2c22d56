//! What the tests of this folder share.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rebuilder_actors::port::{BoxFuture, Progress};
use rebuilder_actors::protocol::{
    Artifact, Assignment, AttemptId, AttemptLimits, BuildInput, Epoch, IndexTrust, InputId, JobKey,
    Sha256, Stage,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use crate::fetch::{FetchLimits, Fetcher};
use crate::sandbox::{Sandbox, Settings};

/// Keeps what an attempt tells.
#[derive(Default)]
pub(crate) struct Recorder {
    log: Mutex<Vec<u8>>,
    stages: Mutex<Vec<Stage>>,
    pub(crate) cancel: CancellationToken,
}

impl Recorder {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.log.lock().unwrap()).into_owned()
    }

    pub(crate) fn stages(&self) -> Vec<Stage> {
        self.stages.lock().unwrap().clone()
    }
}

impl Progress for Recorder {
    fn stage(&self, stage: Stage) {
        self.stages.lock().unwrap().push(stage);
    }

    fn log(&self, bytes: &[u8]) {
        self.log.lock().unwrap().extend_from_slice(bytes);
    }

    fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    fn cancelled(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.cancel.cancelled())
    }
}

/// A real HTTP server on loopback with some files; it counts what was asked for.
pub(crate) struct Server {
    pub(crate) base: String,
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let files: Arc<Mutex<BTreeMap<String, Vec<u8>>>> = Arc::default();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (served, seen) = (Arc::clone(&files), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                let path = head.split(' ').nth(1).unwrap().trim_start_matches('/').to_owned();
                seen.lock().unwrap().push(path.clone());
                let body = served.lock().unwrap().get(&path).cloned();
                let (status, body) = match body {
                    _ if path == "broken" => ("503 Service Unavailable", Vec::new()),
                    Some(body) => ("200 OK", body),
                    None => ("404 Not Found", Vec::new()),
                };
                let length = body.len();
                let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n");
                stream.write_all(head.as_bytes()).await.unwrap();
                stream.write_all(&body).await.unwrap();
                let _ = stream.shutdown().await;
            }
        });
        Self { base, files, asked }
    }

    pub(crate) fn put(&self, path: &str, body: &[u8]) {
        self.files.lock().unwrap().insert(path.to_owned(), body.to_owned());
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

pub(crate) fn fetcher() -> Fetcher {
    let limits = FetchLimits {
        connect: Duration::from_secs(5),
        stall: Duration::from_secs(5),
        tries: 2,
        pause: Duration::from_millis(10),
        ..FetchLimits::default()
    };
    Fetcher::new(limits).unwrap()
}

/// The one of this machine.
pub(crate) fn sandbox() -> Sandbox {
    Sandbox::detect(Settings::default())
}

/// An artifact at `{base}/{file}`.
pub(crate) fn artifact(base: &str, file: &str, sha256: Option<Sha256>) -> Artifact {
    Artifact {
        name: "hello".into(),
        version: "1-1".into(),
        component: None,
        architecture: "amd64".into(),
        file: file.into(),
        url: format!("{base}/{file}").into(),
        size: None,
        sha256,
    }
}

/// Builds from the input at `url`, and compares `artifacts`.
pub(crate) fn assignment(url: &str, artifacts: Vec<Artifact>) -> Assignment {
    Assignment {
        attempt: AttemptId { job: InputId(7), epoch: Epoch(2) },
        key: JobKey {
            distribution: "debian".into(),
            backend: "debian".into(),
            source: "hello".into(),
            version: "1-1".into(),
            architecture: "amd64".into(),
            input: "hello_1-1_amd64.buildinfo".into(),
        },
        input: BuildInput::Recorded { url: url.into(), sha256: None },
        source: None,
        archives: Vec::new(),
        artifacts,
        index: IndexTrust::Signed,
        index_sha256: None,
        check_published: false,
        limits: AttemptLimits { build_secs_max: 60, stage_secs_max: 60, ..Default::default() },
    }
}

/// Writes a program of `sh`.
pub(crate) fn script(path: &Path, body: &str) {
    use std::os::unix::fs::PermissionsExt as _;

    std::fs::write(path, format!("#!/bin/sh\n{body}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}
