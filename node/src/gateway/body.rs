use core::future::poll_fn;
use core::pin::Pin;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Body as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::decode::{DecodeError, Encoding};
use super::door::{Asked, Door};
use super::refusal::Refusal;

/// A body of JSON, unpacked and read as the peer reads it; or an answer of it.
///
/// Of a request it is the last argument of a handler. A stranger's body has at most 64 KiB; who
/// sends more has to be admitted before: take [`Admin`](super::Admin), or another extractor that
/// calls [`Asked::admit`], as an argument before it.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

/// Bytes of a stranger's body, packed and not: enough for any question, and little where every
/// connection has one. Bodies of others up to this many bytes that are not packed are read at once
/// too; the rest waits for one of a few places, and is read beside the threads that answer.
const SMALL_BYTES_MAX: usize = 64 << 10;

impl<T, S> FromRequest<S> for Json<T>
where
    T: DeserializeOwned + Send + 'static,
    S: Sync,
{
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        if !is_json(&parts.headers) {
            return Err(Refusal::bad_request("Content type error"));
        }
        let Some(encoding) = Encoding::of(&parts.headers) else {
            let known = HeaderValue::from_static("zstd, gzip, br, deflate");
            let refusal = Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unknown encoding");
            return Err(refusal.with(header::ACCEPT_ENCODING, known));
        };
        let Some(asked) = Asked::of(&parts) else {
            return Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, ""));
        };
        let (door, is_admitted) = (asked.door(), Asked::is_admitted(&parts));
        let read =
            tokio::time::timeout(door.limits().body, read(body, encoding, door, is_admitted));
        let Ok(read) = read.await else {
            return Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body came too slowly"));
        };
        read.map(Self)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(bytes) => {
                let kind = HeaderValue::from_static("application/json");
                ([(header::CONTENT_TYPE, kind)], bytes).into_response()
            }
            Err(error) => {
                tracing::error!(target: "rebuilder", "an answer cannot be written: {error}");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

/// `application/json`, or any type whose name ends so.
fn is_json(headers: &HeaderMap) -> bool {
    let mut kinds = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(kind), None) = (kinds.next(), kinds.next()) else { return false };
    let kind = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    let kind = kind.trim().to_ascii_lowercase();
    kind.split_once('/').is_some_and(|(_, name)| name == "json" || name.ends_with("+json"))
}

async fn read<T>(
    body: Body,
    encoding: Encoding,
    door: &Door,
    is_admitted: bool,
) -> Result<T, Refusal>
where
    T: DeserializeOwned + Send + 'static,
{
    let most = door.limits().body_bytes_max;
    let bytes_max = if is_admitted { most } else { most.min(SMALL_BYTES_MAX as u64) };
    let said = body.size_hint();
    if said.lower() > bytes_max {
        return Err(too_large(bytes_max));
    }
    let is_small = said.upper().is_some_and(|bytes| bytes <= SMALL_BYTES_MAX as u64);
    if is_small && encoding == Encoding::Identity {
        return parse(&collect(body, bytes_max, door).await?);
    }
    if !is_admitted {
        // Never in one of the places: strangers that are slow would keep admins and workers out.
        let packed = collect(body, bytes_max, door).await?;
        return parse(&unpack(packed, encoding, bytes_max)?);
    }
    // Held until the value is there: so many bodies, packed and not, are in memory at a time.
    let _place = door.body_place().await;
    let packed = collect(body, bytes_max, door).await?;
    let unpacked = move || parse(&unpack(packed, encoding, bytes_max)?);
    match tokio::task::spawn_blocking(unpacked).await {
        Ok(read) => read,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The node stops.
            Err(_) => Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "")),
        },
    }
}

/// All bytes of a body, in the bounds of bytes and of the time between two of its pieces.
async fn collect(mut body: Body, bytes_max: u64, door: &Door) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    loop {
        let next = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx));
        let Ok(next) = tokio::time::timeout(door.limits().progress, next).await else {
            return Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body came too slowly"));
        };
        let Some(frame) = next else { return Ok(bytes) };
        let frame = frame.map_err(|_| Refusal::bad_request("the body is cut"))?;
        // Trailers say nothing that is wanted.
        let Ok(data) = frame.into_data() else { continue };
        if (bytes.len() + data.len()) as u64 > bytes_max {
            return Err(too_large(bytes_max));
        }
        bytes.extend_from_slice(&data);
    }
}

fn unpack(packed: Vec<u8>, encoding: Encoding, bytes_max: u64) -> Result<Vec<u8>, Refusal> {
    if encoding == Encoding::Identity {
        return Ok(packed);
    }
    encoding.decode(&packed, bytes_max).map_err(|error| match error {
        DecodeError::TooLarge => too_large(bytes_max),
        DecodeError::Damaged(error) => {
            Refusal::bad_request(format!("the body cannot be unpacked: {error}"))
        }
    })
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    let wrong = |error| Refusal::bad_request(format!("Json deserialize error: {error}"));
    serde_json::from_slice(bytes).map_err(wrong)
}

fn too_large(bytes_max: u64) -> Refusal {
    let why = format!("the body is larger than {bytes_max} bytes, packed or not");
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, why)
}
