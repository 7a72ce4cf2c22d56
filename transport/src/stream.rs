use core::future::ready;
use std::sync::Arc;

use bytes::Bytes;
use quinn::VarInt;
use rebuilder_actors::port::{BoxFuture, FrameReceive, FrameSend, StreamError};

use crate::close::{CloseReasons, finished};
use crate::codes;
use crate::frame::{self, FrameDecoder};

/// The sending half. A `send` that is dropped half way leaves the rest of its frame to the next
/// one, so the stream stays whole. Dropping it finishes the stream.
pub(crate) struct FrameSender {
    stream: quinn::SendStream,
    unsent: [Bytes; 2],
    reasons: Arc<CloseReasons>,
}

impl FrameSender {
    pub(crate) fn new(stream: quinn::SendStream, reasons: Arc<CloseReasons>) -> Self {
        Self { stream, unsent: [Bytes::new(), Bytes::new()], reasons }
    }

    fn has_unsent(&self) -> bool {
        self.unsent.iter().any(|part| !part.is_empty())
    }

    async fn flush(&mut self) -> Result<(), StreamError> {
        while self.has_unsent() {
            let written = self.stream.write_chunks(&mut self.unsent).await;
            written.map_err(|error| self.reasons.write_error(error))?;
        }
        Ok(())
    }
}

impl FrameSend for FrameSender {
    fn send(&mut self, frame: Bytes) -> BoxFuture<'_, Result<(), StreamError>> {
        Box::pin(async move {
            let parts = frame::encode(frame)?;
            self.flush().await?;
            self.unsent = parts;
            self.flush().await
        })
    }

    fn stopped(&self) -> BoxFuture<'static, ()> {
        let stopped = self.stream.stopped();
        Box::pin(async move { drop(stopped.await) })
    }

    fn finish(&mut self) -> Result<(), StreamError> {
        if self.has_unsent() {
            // An end here would look like a frame cut short by the network.
            let code = VarInt::from_u64(codes::STREAM_ABANDONED).expect("a small code");
            self.stream.reset(code).map_err(|error| finished(&error.to_string()))?;
            return Err(StreamError::Truncated);
        }
        self.stream.finish().map_err(|error| finished(&error.to_string()))
    }
}

/// The receiving half. A `receive` that is dropped loses nothing.
pub(crate) struct FrameReceiver {
    stream: quinn::RecvStream,
    decoder: FrameDecoder,
    chunks: [Bytes; CHUNKS_AT_ONCE],
    /// The frame error after which nothing more can be read; `None` while all is well.
    failed: Option<StreamError>,
    reasons: Arc<CloseReasons>,
}

impl FrameReceiver {
    pub(crate) fn new(stream: quinn::RecvStream, limit: usize, reasons: Arc<CloseReasons>) -> Self {
        let chunks = [const { Bytes::new() }; CHUNKS_AT_ONCE];
        Self { stream, decoder: FrameDecoder::new(limit), chunks, failed: None, reasons }
    }

    /// A frame that needs nothing from the network.
    fn next_buffered(&mut self) -> Result<Option<Bytes>, StreamError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.decoder.next_frame().inspect_err(|error| {
            let code = VarInt::from_u64(codes::STREAM_FRAME_TOO_LONG).expect("a small code");
            // An error means that the stream is closed already, which is what is wanted.
            self.stream.stop(code).ok();
            self.failed = Some(error.clone());
        })
    }

    async fn read_frame(&mut self) -> Result<Option<Bytes>, StreamError> {
        loop {
            let read = self.stream.read_chunks(&mut self.chunks).await;
            match read.map_err(|error| self.reasons.read_error(error))? {
                None if self.decoder.is_at_boundary() => return Ok(None),
                None => return Err(StreamError::Truncated),
                Some(count) => {
                    for chunk in &mut self.chunks[..count] {
                        self.decoder.push(core::mem::take(chunk));
                    }
                }
            }
            if let Some(frame) = self.next_buffered()? {
                return Ok(Some(frame));
            }
        }
    }
}

impl FrameReceive for FrameReceiver {
    fn receive(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, StreamError>> {
        match self.next_buffered() {
            Ok(None) => Box::pin(self.read_frame()),
            done => Box::pin(ready(done)),
        }
    }

    fn set_limit(&mut self, limit: usize) {
        self.decoder.set_limit(limit);
    }
}

/// Chunks (about a datagram each) taken from the connection in one go, under one lock.
const CHUNKS_AT_ONCE: usize = 16;
