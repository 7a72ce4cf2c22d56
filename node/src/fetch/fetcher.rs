use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use rebuilder_actors::domain::BackOff;
use rebuilder_actors::protocol::{FileDigest, RemoteFile};
use reqwest::header;
use reqwest::{StatusCode, Url};
use tokio::io::AsyncReadExt as _;

use super::body::{Body, Partial};
use super::redirect::{self, Clients, Reach};
use super::{FetchError, Proxies, local_path};

/// Fetches files; clones share connections.
#[derive(Clone, Debug)]
pub struct Fetcher {
    clients: Clients,
    limits: FetchLimits,
}

/// How patient a [`Fetcher`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchLimits {
    /// Longest wait for a connection.
    pub connect: Duration,
    /// Longest wait for an answer's first or next bytes.
    pub stall: Duration,
    /// Slowest mean rate of a transfer, in bytes per second; slower ones are broken off.
    pub bytes_per_sec_min: u64,
    /// How often a file is tried in all; at least 1.
    pub tries: u32,
    /// Pause before the second try; doubles with every further one.
    pub pause: Duration,
}

impl Default for FetchLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(20),
            stall: Duration::from_secs(60),
            bytes_per_sec_min: 4096,
            tries: 4,
            pause: Duration::from_secs(1),
        }
    }
}

/// What a server said about a file's version, to ask later whether it changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Validator {
    /// `ETag`; `None` when the server gave none.
    pub etag: Option<String>,
    /// `Last-Modified`; `None` when the server gave none.
    pub modified: Option<String>,
}

/// Answer of a conditional fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// As it was when the validator was given.
    Unchanged,
    /// The whole file, and the validator for the next time.
    Changed(Bytes, Validator),
}

impl Fetcher {
    /// A fetcher that trusts the system's TLS roots, through the proxies of the environment.
    ///
    /// # Errors
    /// [`FetchError::Unavailable`] when the TLS client cannot be made (no roots on this system).
    pub fn new(limits: FetchLimits) -> Result<Self, FetchError> {
        Self::through(&Proxies::of_environment().0, limits)
    }

    /// The same through these proxies, whatever the environment says.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn through(proxies: &Proxies, limits: FetchLimits) -> Result<Self, FetchError> {
        // Only `ring` is compiled in; a second call finds it installed, which is as good.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let client = || {
            reqwest::Client::builder()
                .user_agent(concat!("rebuilder/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(limits.connect)
                .read_timeout(limits.stall)
                // Followed here, where each step is looked at.
                .redirect(reqwest::redirect::Policy::none())
        };
        let clients = Clients::new(proxies, client).map_err(|error| FetchError::Unavailable {
            url: "https:".to_owned(),
            reason: format!("no TLS client: {}", chain(&error)),
        })?;
        Ok(Self { clients, limits })
    }

    /// The whole file, at most `bytes_max` bytes.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn get(&self, url: &str, bytes_max: u64) -> Result<Bytes, FetchError> {
        match self.get_if_changed(url, None, bytes_max).await? {
            Fetched::Changed(bytes, _) => Ok(bytes),
            Fetched::Unchanged => Err(unavailable(url, "answered 304 to a plain request")),
        }
    }

    /// The whole file, unless the server says that it is as it was when it gave `since`.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn get_if_changed(
        &self,
        url: &str,
        since: Option<&Validator>,
        bytes_max: u64,
    ) -> Result<Fetched, FetchError> {
        let mut body = Body::Memory(Vec::new());
        let request = Request { url, since, bytes_max, expected: None };
        match self.pull(&request, &mut body).await? {
            None => Ok(Fetched::Unchanged),
            Some(validator) => {
                let Body::Memory(bytes) = body else { unreachable!("made above as memory") };
                Ok(Fetched::Changed(bytes.into(), validator))
            }
        }
    }

    /// Streams `file` to the path `to` through a temporary file beside it, and answers what came.
    /// Size and SHA-256 are checked where `file` names them. A broken transfer is resumed where
    /// a digest will tell whether the pieces fit.
    ///
    /// # Errors
    /// See [`FetchError`]; then nothing is at `to` that was not there before.
    pub async fn to_file(
        &self,
        file: &RemoteFile,
        bytes_max: u64,
        to: &Path,
    ) -> Result<FileDigest, FetchError> {
        let url = &*file.url;
        if file.size.is_some_and(|size| size > bytes_max) {
            return Err(FetchError::TooLarge { url: url.to_owned(), bytes_max });
        }
        let mut body = Body::File(Box::new(Partial::create(to)?));
        let request = Request { url, since: None, bytes_max, expected: Some(file) };
        if self.pull(&request, &mut body).await?.is_none() {
            return Err(unavailable(url, "answered 304 to a plain request"));
        }
        let Body::File(partial) = body else { unreachable!("made above as a file") };
        let found = partial.digest();
        if let Some(size) = file.size.filter(|&size| size != found.size) {
            return Err(mismatch(url, format!("{size} bytes"), format!("{} bytes", found.size)));
        }
        if let Some(sha256) = file.sha256.filter(|&sha256| sha256 != found.sha256) {
            let found = format!("sha256 {}", found.sha256);
            return Err(mismatch(url, format!("sha256 {sha256}"), found));
        }
        partial.finish().await
    }

    /// Tries until the body is complete. `None`: unchanged since the request's validator.
    async fn pull(
        &self,
        request: &Request<'_>,
        body: &mut Body,
    ) -> Result<Option<Validator>, FetchError> {
        if let Some(path) = local_path(request.url) {
            return copy_local(&path, request, body).await;
        }
        let url = Url::parse(request.url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .ok_or_else(|| {
                unavailable(request.url, "not an http, https or file URL, nor an absolute path")
            })?;
        let mut last = None;
        for url in spellings(&url) {
            match self.pull_as(&url, request, body).await {
                Err(error @ FetchError::NotFound { .. }) => last = Some(error),
                ended => return ended,
            }
        }
        Err(last.expect("a URL has a spelling"))
    }

    /// Tries one spelling of the URL.
    async fn pull_as(
        &self,
        url: &Url,
        request: &Request<'_>,
        body: &mut Body,
    ) -> Result<Option<Validator>, FetchError> {
        let back_off = BackOff::new(self.limits.pause, PAUSE_MAX);
        let mut tries = 0;
        loop {
            tries += 1;
            let broken = match self.try_once(url, request, body).await {
                Ok(validator) => return Ok(validator),
                Err(broken) => broken,
            };
            if !broken.may_heal || tries >= self.limits.tries {
                return Err(broken.error);
            }
            tracing::debug!(error = %broken.error, "fetch failed, trying again");
            tokio::time::sleep(back_off.after(tries)).await;
        }
    }

    async fn try_once(
        &self,
        url: &Url,
        request: &Request<'_>,
        body: &mut Body,
    ) -> Result<Option<Validator>, Broken> {
        let bytes_due = request.bytes_due().max(1);
        let rate = self.limits.bytes_per_sec_min.max(1);
        let patience =
            self.limits.connect + self.limits.stall + Duration::from_secs(bytes_due.div_ceil(rate));
        match tokio::time::timeout(patience, self.transfer(url, request, body)).await {
            Ok(result) => result,
            Err(_) => {
                let reason = format!("slower than {rate} bytes per second");
                Err(Broken { error: unavailable(request.url, &reason), may_heal: true })
            }
        }
    }

    async fn transfer(
        &self,
        url: &Url,
        request: &Request<'_>,
        body: &mut Body,
    ) -> Result<Option<Validator>, Broken> {
        let again = |error: &reqwest::Error| broken_off(request.url, error);
        let resumable = request.expected.is_some_and(|file| file.sha256.is_some());
        if !resumable {
            body.restart().await?;
        }
        let offset = body.len();
        let mut answer = self.follow(url, request, offset).await?;
        match answer.status() {
            StatusCode::NOT_MODIFIED if request.since.is_some() => return Ok(None),
            StatusCode::PARTIAL_CONTENT if offset > 0 && continues(&answer, offset) => {}
            StatusCode::OK => body.restart().await?,
            StatusCode::RANGE_NOT_SATISFIABLE if offset > 0 => {
                body.restart().await?;
                return Err(status_error(request.url, answer.status(), true));
            }
            status => return Err(refused(request.url, status)),
        }
        let bytes_max = request.bytes_due();
        if answer.content_length().is_some_and(|n| body.len().saturating_add(n) > bytes_max) {
            return Err(request.too_large().into());
        }
        let validator = validator_of(&answer);
        while let Some(bytes) = answer.chunk().await.map_err(|error| again(&error))? {
            if body.len() + bytes.len() as u64 > bytes_max {
                return Err(request.too_large().into());
            }
            body.push(&bytes).await?;
        }
        Ok(Some(validator))
    }

    /// The first answer that is no redirect.
    async fn follow(
        &self,
        own: &Url,
        request: &Request<'_>,
        offset: u64,
    ) -> Result<reqwest::Response, Broken> {
        let stop = |reason: &str| Broken::from(unavailable(request.url, reason));
        let (mut url, mut reach) = (own.clone(), Reach::Everywhere);
        // Whatever a later server says, the reach is that of the operator's own URL.
        let mut beyond = None;
        for _ in 0..=REDIRECTS_MAX {
            let asked = self.clients.of(reach).get(url.clone());
            let answer = request.headers(asked, offset).send().await;
            let answer = answer.map_err(|error| broken_off(request.url, &error))?;
            if !redirect::is_redirect(&answer) {
                return Ok(answer);
            }
            let most =
                *beyond.get_or_insert_with(|| self.clients.reach_of(own, answer.remote_addr()));
            let location = &answer.headers()[header::LOCATION];
            (url, reach) = redirect::next(own, &url, location.as_bytes(), most)
                .map_err(|reason| stop(&reason))?;
        }
        Err(stop(&format!("more than {REDIRECTS_MAX} redirects")))
    }
}

/// How the path is sent, in order. Object stores take `+` for a blank, so that only `%2B` names a
/// file with a plus there; servers and caches that compare paths byte by byte may know the file
/// by the other spelling.
fn spellings(url: &Url) -> Vec<Url> {
    let plain = url.path().replace("%2B", "+").replace("%2b", "+");
    if !plain.contains('+') {
        return vec![url.clone()];
    }
    let as_path = |path: &str| {
        let mut url = url.clone();
        url.set_path(path);
        url
    };
    vec![as_path(&plain.replace('+', "%2B")), as_path(&plain)]
}

/// What is asked for, through all tries.
struct Request<'a> {
    url: &'a str,
    since: Option<&'a Validator>,
    bytes_max: u64,
    expected: Option<&'a RemoteFile>,
}

impl Request<'_> {
    /// Bytes that are taken at most: no more than the file is known to have.
    fn bytes_due(&self) -> u64 {
        let size = self.expected.and_then(|file| file.size);
        size.map_or(self.bytes_max, |size| size.min(self.bytes_max))
    }

    fn too_large(&self) -> FetchError {
        match self.expected.and_then(|file| file.size) {
            Some(size) => mismatch(self.url, format!("{size} bytes"), "more".to_owned()),
            None => FetchError::TooLarge { url: self.url.to_owned(), bytes_max: self.bytes_max },
        }
    }

    /// What every server that is asked may know.
    fn headers(&self, mut asked: reqwest::RequestBuilder, offset: u64) -> reqwest::RequestBuilder {
        if let Some(since) = self.since {
            if let Some(etag) = &since.etag {
                asked = asked.header(header::IF_NONE_MATCH, etag);
            }
            if let Some(modified) = &since.modified {
                asked = asked.header(header::IF_MODIFIED_SINCE, modified);
            }
        }
        if offset > 0 {
            asked = asked.header(header::RANGE, format!("bytes={offset}-"));
        }
        asked
    }
}

/// A failed try.
struct Broken {
    error: FetchError,
    may_heal: bool,
}

impl From<FetchError> for Broken {
    fn from(error: FetchError) -> Self {
        Self { error, may_heal: false }
    }
}

/// A request without an answer, or an answer without its end.
fn broken_off(url: &str, error: &reqwest::Error) -> Broken {
    if let Some(forbidden) = redirect::cause(error) {
        return unavailable(url, &forbidden.to_string()).into();
    }
    Broken { error: unavailable(url, &chain(error)), may_heal: !error.is_builder() }
}

/// Whether the answer starts at byte `offset`: `Content-Range: bytes 123-…`.
fn continues(answer: &reqwest::Response, offset: u64) -> bool {
    let range = answer.headers().get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
    range
        .and_then(|range| range.strip_prefix("bytes "))
        .and_then(|range| range.split_once('-'))
        .is_some_and(|(first, _)| first.trim().parse() == Ok(offset))
}

fn validator_of(answer: &reqwest::Response) -> Validator {
    let text = |name| {
        let value = answer.headers().get(name)?.to_str().ok()?;
        (value.len() <= VALIDATOR_BYTES_MAX).then(|| value.to_owned())
    };
    Validator { etag: text(header::ETAG), modified: text(header::LAST_MODIFIED) }
}

fn refused(url: &str, status: StatusCode) -> Broken {
    match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            FetchError::NotFound { url: url.to_owned(), status: None }.into()
        }
        StatusCode::FORBIDDEN => {
            FetchError::NotFound { url: url.to_owned(), status: Some(status.as_u16()) }.into()
        }
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            status_error(url, status, true)
        }
        _ => status_error(url, status, status.is_server_error()),
    }
}

fn status_error(url: &str, status: StatusCode, may_heal: bool) -> Broken {
    Broken { error: unavailable(url, &format!("the server answered {status}")), may_heal }
}

async fn copy_local(
    path: &Path,
    request: &Request<'_>,
    body: &mut Body,
) -> Result<Option<Validator>, FetchError> {
    use std::os::unix::fs::MetadataExt as _;

    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
            FetchError::NotFound { url: request.url.to_owned(), status: None }
        }
        _ => FetchError::io(path, &error),
    };
    let metadata = tokio::fs::metadata(path).await.map_err(failed)?;
    if !metadata.is_file() {
        // Opening a pipe would wait for ever.
        return Err(FetchError::Io {
            path: path.to_owned(),
            kind: std::io::ErrorKind::InvalidInput,
            reason: "not a regular file".to_owned(),
        });
    }
    let etag = format!(
        "{}-{}-{}-{}.{}",
        metadata.dev(),
        metadata.ino(),
        metadata.len(),
        metadata.mtime(),
        metadata.mtime_nsec()
    );
    let validator = Validator { etag: Some(etag), modified: None };
    if request.since == Some(&validator) {
        return Ok(None);
    }
    let mut file = tokio::fs::File::open(path).await.map_err(failed)?;
    let mut buffer = vec![0; LOCAL_CHUNK_BYTES];
    loop {
        let n = file.read(&mut buffer).await.map_err(failed)?;
        if n == 0 {
            return Ok(Some(validator));
        }
        if body.len() + n as u64 > request.bytes_max {
            let bytes_max = request.bytes_max;
            return Err(FetchError::TooLarge { url: request.url.to_owned(), bytes_max });
        }
        body.push(&buffer[..n]).await?;
    }
}

fn unavailable(url: &str, reason: &str) -> FetchError {
    FetchError::Unavailable { url: url.to_owned(), reason: reason.to_owned() }
}

fn mismatch(url: &str, expected: String, found: String) -> FetchError {
    FetchError::Mismatch { url: url.to_owned(), expected, found }
}

/// The error with its causes: reqwest's own text names the URL, not what went wrong.
fn chain(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no bytes came in time".to_owned();
    }
    let mut text = String::new();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&error.to_string());
        cause = error.source();
    }
    if text.is_empty() { error.to_string() } else { text }
}

/// How many redirects are followed: enough for a content network, few enough to end.
const REDIRECTS_MAX: usize = 5;

/// Longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Longest `ETag` or `Last-Modified` that is remembered.
const VALIDATOR_BYTES_MAX: usize = 256;

/// Bytes read of a local file at a time.
const LOCAL_CHUNK_BYTES: usize = 256 * 1024;
