//! Bodies that are made while they are sent, and those that hold their room until they were.

use core::pin::Pin;
use core::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// Why a body ends early.
#[derive(Debug, thiserror::Error)]
#[error("the rest cannot be read")]
pub(super) struct Cut;

/// A body that comes in pieces.
pub(super) struct Pieces(mpsc::Receiver<Result<Bytes, Cut>>);

impl Pieces {
    /// Of what comes here.
    pub(super) fn new(pieces: mpsc::Receiver<Result<Bytes, Cut>>) -> Self {
        Self(pieces)
    }
}

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

/// An answer that keeps its room until it was sent, or its reader left: while it is in memory.
pub(super) fn held(answer: Response, room: Option<OwnedSemaphorePermit>) -> Response {
    match room {
        Some(room) => answer.map(|body| Body::new(Held { body, _room: room })),
        None => answer,
    }
}

struct Held {
    body: Body,
    _room: OwnedSemaphorePermit,
}

impl hyper::body::Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
