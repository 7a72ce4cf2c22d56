//! Answers are packed as the client wants them.

use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io::{self, Write as _};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use bytes::{Buf as _, Bytes};
use flate2::write::GzEncoder;
use hyper::body::{Body as _, Frame};

use super::accept::Packing;

/// What is shorter is not packed: it fits into one packet as it is.
const BYTES_MIN: u64 = 1024;
/// What is shorter is packed as a whole, and its answer has a length; what is longer is packed
/// while it is sent.
const WHOLE_BYTES_MAX: u64 = 128 << 10;
/// Bytes that are packed before other tasks may run.
const STEP: usize = 64 << 10;
/// As the zstd library's own default.
const ZSTD_LEVEL: i32 = 3;
/// Between zlib's own default, 6, and the time that it takes.
const GZIP_LEVEL: u32 = 4;

/// `answer`, packed with `wanted` if it is worth it.
pub(super) async fn pack(answer: Response<Body>, wanted: Option<Packing>) -> Response<Body> {
    let (mut parts, body) = answer.into_parts();
    let length = length(&parts.headers, &body);
    let is_short = length.is_some_and(|length| length < BYTES_MIN);
    if is_short || !is_packable(parts.status, &parts.headers) {
        return Response::from_parts(parts, body);
    }
    parts.headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
    let Some(packing) = wanted else { return Response::from_parts(parts, body) };
    let headers = &mut parts.headers;
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(packing.name()));
    headers.remove(header::CONTENT_LENGTH);
    // Of the bytes as they are.
    headers.remove(header::ACCEPT_RANGES);
    weaken(headers);
    if body.size_hint().exact() == Some(0) {
        // The answer to HEAD.
        return Response::from_parts(parts, body);
    }
    let packed = match length {
        Some(length) if length <= WHOLE_BYTES_MAX => match whole(body, packing, length).await {
            Ok(bytes) => Body::from(bytes),
            Err(_) => return cut(),
        },
        _ => match Encoder::new(packing, None) {
            Ok(encoder) => {
                Body::new(Packed { inner: body, rest: Bytes::new(), encoder: Some(encoder) })
            }
            Err(_) => return cut(),
        },
    };
    Response::from_parts(parts, packed)
}

/// An answer that could not be made.
fn cut() -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    answer
}

/// Bytes of an answer, also where HEAD took them away. `None`: unknown before they are made.
fn length(headers: &HeaderMap, body: &Body) -> Option<u64> {
    let said = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    said.and_then(|said| said.parse().ok()).or_else(|| body.size_hint().exact())
}

/// True for a whole text that nobody packed before.
fn is_packable(status: StatusCode, headers: &HeaderMap) -> bool {
    let partial = [StatusCode::PARTIAL_CONTENT, StatusCode::NOT_MODIFIED, StatusCode::NO_CONTENT];
    let named = [header::CONTENT_ENCODING, header::CONTENT_RANGE];
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    !partial.contains(&status)
        && !status.is_informational()
        && !named.iter().any(|name| headers.contains_key(name))
        && !text(header::CACHE_CONTROL).contains("no-transform")
        && is_text(text(header::CONTENT_TYPE))
}

/// True for types whose content is text; archives and pictures are packed already.
fn is_text(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let Some((top, name)) = kind.split_once('/') else { return false };
    let ends = ["json", "xml", "javascript", "yaml", "openmetrics-text", "toml"];
    top == "text" || ends.iter().any(|end| name.ends_with(end))
}

/// An entity tag of the bytes as they are is not one of the packed ones, but says as much of what
/// they mean (RFC 9110 §8.8.1).
fn weaken(headers: &mut HeaderMap) {
    let Some(tag) = headers.get(header::ETAG).filter(|tag| tag.as_bytes().starts_with(b"\""))
    else {
        return;
    };
    if let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()) {
        headers.insert(header::ETAG, weak);
    }
}

async fn whole(mut body: Body, packing: Packing, length: u64) -> Result<Vec<u8>, axum::Error> {
    let mut encoder = Encoder::new(packing, Some(length)).map_err(axum::Error::new)?;
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        if let Ok(data) = frame?.into_data() {
            encoder.write(&data).map_err(axum::Error::new)?;
        }
    }
    encoder.finish().map_err(axum::Error::new)
}

enum Encoder {
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    Gzip(GzEncoder<Vec<u8>>),
}

impl Encoder {
    /// `length`: of all that will be written; with it zstd makes its tables no larger than that.
    fn new(packing: Packing, length: Option<u64>) -> io::Result<Self> {
        Ok(match packing {
            Packing::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
                encoder.set_pledged_src_size(length)?;
                Self::Zstd(encoder)
            }
            Packing::Gzip => {
                Self::Gzip(GzEncoder::new(Vec::new(), flate2::Compression::new(GZIP_LEVEL)))
            }
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Zstd(encoder) => encoder.write_all(bytes),
            Self::Gzip(encoder) => encoder.write_all(bytes),
        }
    }

    /// What came out since the last time.
    fn take(&mut self) -> Vec<u8> {
        core::mem::take(match self {
            Self::Zstd(encoder) => encoder.get_mut(),
            Self::Gzip(encoder) => encoder.get_mut(),
        })
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Zstd(encoder) => encoder.finish(),
            Self::Gzip(encoder) => encoder.finish(),
        }
    }
}

/// A body that is packed while it is sent.
struct Packed {
    inner: Body,
    /// Of the last piece of `inner`, what was not packed yet.
    rest: Bytes,
    /// `None`: all is sent.
    encoder: Option<Encoder>,
}

impl hyper::body::Body for Packed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        loop {
            let Some(encoder) = &mut this.encoder else { return Poll::Ready(None) };
            if !this.rest.is_empty() {
                let step = this.rest.len().min(STEP);
                encoder.write(&this.rest[..step]).map_err(axum::Error::new)?;
                this.rest.advance(step);
                let out = encoder.take();
                if !out.is_empty() {
                    return Poll::Ready(Some(Ok(Frame::data(out.into()))));
                }
                continue;
            }
            match ready!(Pin::new(&mut this.inner).poll_frame(cx)) {
                Some(frame) => {
                    // What is behind the end of a packed body has no place there.
                    if let Ok(data) = frame?.into_data() {
                        this.rest = data;
                    }
                }
                None => {
                    let encoder = this.encoder.take().expect("it was there above");
                    let out = encoder.finish().map_err(axum::Error::new)?;
                    return Poll::Ready(Some(Ok(Frame::data(out.into()))));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use axum::response::IntoResponse as _;

    use super::*;

    fn text(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|n| b"rebuilds \n"[n % 10] ^ (n / 7000) as u8 & 3).collect()
    }

    async fn sent(answer: Response<Body>) -> Vec<u8> {
        let mut body = answer.into_body();
        let mut bytes = Vec::new();
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            bytes.extend_from_slice(&frame.unwrap().into_data().unwrap());
        }
        bytes
    }

    fn of(kind: &'static str, bytes: Vec<u8>) -> Response<Body> {
        ([(header::CONTENT_TYPE, kind), (header::ETAG, "\"x\"")], bytes).into_response()
    }

    #[tokio::test]
    async fn what_is_packed_comes_out_as_it_was() {
        for length in [1024, 100_000, 128 << 10, (128 << 10) + 1, 3_000_000] {
            let text = text(length);
            for packing in [Packing::Zstd, Packing::Gzip] {
                let answer = pack(of("application/json", text.clone()), Some(packing)).await;
                assert_eq!(answer.headers()[header::CONTENT_ENCODING], packing.name());
                assert_eq!(answer.headers()[header::VARY], "accept-encoding");
                assert_eq!(answer.headers()[header::ETAG], "W/\"x\"");
                let is_whole = length as u64 <= WHOLE_BYTES_MAX;
                assert_eq!(answer.body().size_hint().exact().is_some(), is_whole, "{length}");
                let packed = sent(answer).await;
                assert!(packed.len() < length / 2, "{} {length}", packed.len());
                let mut unpacked = Vec::new();
                match packing {
                    Packing::Zstd => unpacked = zstd::decode_all(&packed[..]).unwrap(),
                    Packing::Gzip => {
                        let mut gzip = flate2::bufread::GzDecoder::new(&packed[..]);
                        gzip.read_to_end(&mut unpacked).unwrap();
                    }
                }
                assert!(unpacked == text, "{packing:?} {length}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_short_packed_already_partial_or_no_text_stays() {
        let long = || text(5000);
        let mut answers = vec![
            of("application/json", text(1023)),
            of("application/zstd", long()),
            of("image/png", long()),
            of("", long()),
        ];
        for (name, value) in [
            (header::CONTENT_ENCODING, "br"),
            (header::CONTENT_RANGE, "bytes 0-4999/6000"),
            (header::CACHE_CONTROL, "public, no-transform"),
        ] {
            let mut answer = of("text/plain", long());
            answer.headers_mut().insert(name, HeaderValue::from_static(value));
            answers.push(answer);
        }
        let mut partial = of("text/plain", long());
        *partial.status_mut() = StatusCode::PARTIAL_CONTENT;
        answers.push(partial);
        for answer in answers {
            let headers = answer.headers().clone();
            let answer = pack(answer, Some(Packing::Zstd)).await;
            assert_eq!(answer.headers(), &headers);
        }
        // As it is, but another client gets something else.
        let answer = pack(of("text/html; charset=utf-8", long()), None).await;
        assert_eq!(answer.headers()[header::VARY], "accept-encoding");
        assert_eq!(answer.headers()[header::ETAG], "\"x\"");
        assert!(sent(answer).await == long());
    }

    #[test]
    fn texts_are_told_by_their_type() {
        for kind in ["text/csv", "Application/JSON; charset=utf-8", "application/atom+xml"] {
            assert!(is_text(kind), "{kind}");
        }
        for kind in ["application/octet-stream", "application/zstd", "json", ""] {
            assert!(!is_text(kind), "{kind}");
        }
    }
}
