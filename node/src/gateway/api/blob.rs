//! Logs and differences as they are kept: read in pieces, as fast as the reader takes them.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use rebuilder_actors::actor::coordinator::{Blob, Services};
use rebuilder_actors::protocol::Sha256;
use tokio::sync::mpsc;

use super::answer::{Answer, Failure};
use super::bodies::{Cut, Pieces};

/// Bytes that are read in one turn.
const PIECE: usize = 256 << 10;

/// What is kept under this digest, `size` bytes of text of a build: no browser is to run it.
pub(super) async fn text(services: &Services, digest: Sha256, size: u64) -> Answer {
    let first = piece(services, digest, 0).await?;
    if first.len() as u64 >= size {
        return Ok(served(Body::from(first), size));
    }
    if first.is_empty() {
        return Err(Failure::Broken(format!("blob {digest} is missing: {size} bytes")));
    }
    let (pieces, taken) = mpsc::channel(1);
    let mut offset = first.len() as u64;
    let services = services.clone();
    tokio::spawn(async move {
        if pieces.send(Ok(first)).await.is_err() {
            return;
        }
        while offset < size {
            // An absent piece ends the connection early: no part is taken for the whole.
            let read = piece(&services, digest, offset).await;
            let read = read.ok().filter(|bytes| !bytes.is_empty()).ok_or(Cut);
            offset += read.as_ref().map_or(size, |bytes| bytes.len() as u64);
            // Who left wants no more.
            if pieces.send(read).await.is_err() {
                return;
            }
        }
    });
    Ok(served(Body::new(Pieces::new(taken)), size))
}

fn served(body: Body, size: u64) -> Response {
    let headers: [(HeaderName, HeaderValue); 4] = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
        (header::CONTENT_LENGTH, HeaderValue::from(size)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'")),
    ];
    (headers, body).into_response()
}

async fn piece(services: &Services, digest: Sha256, offset: u64) -> Result<Bytes, Failure> {
    let read = services.read_blob(Blob::Kept(digest), offset, PIECE).await?;
    let read = read.map_err(|error| Failure::Broken(error.to_string()))?;
    Ok(read.unwrap_or_default())
}
