use bytes::Bytes;
use std::path::Path;
use std::sync::Arc;

use super::log::Log;
use crate::port::{BlobError, Connection, Difference, FrameReceive, FrameSend, StreamError};
use crate::protocol::AttemptId;
use crate::protocol::wire::v1::upload::{Resume, Start, Stored};
use crate::protocol::wire::{self, CHUNK_FRAME_BYTES_MAX};

/// Bytes in one frame.
const CHUNK: usize = 64 << 10;

/// An upload that did not reach its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum UploadError {
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error(transparent)]
    Log(#[from] BlobError),
    #[error("the stream ended before its answer")]
    NoAnswer,
    #[error("the answer cannot be read: {0}")]
    Answer(#[from] wire::DecodeError),
    #[error("the coordinator does not want it: {0}")]
    Refused(String),
    #[error("cannot read {0}")]
    File(String),
}

/// Sends a log as it grows, from where the coordinator has it, until its end is stored.
pub(super) async fn log(
    connection: Box<dyn Connection>,
    attempt: AttemptId,
    log: Arc<Log>,
) -> Result<(), UploadError> {
    let start = Start::Log { attempt };
    let (mut sender, mut receiver, mut offset) = begin(connection.as_ref(), &start).await?;
    while let Some(bytes) = log.next(offset, CHUNK).await? {
        offset += bytes.len() as u64;
        sender.send(bytes).await?;
    }
    end(&mut sender, &mut receiver).await
}

/// Sends a difference, whole.
pub(super) async fn difference(
    connection: &dyn Connection,
    attempt: AttemptId,
    file: &str,
    difference: &Difference,
) -> Result<(), UploadError> {
    let start = Start::Difference {
        attempt,
        file: file.into(),
        sha256: difference.sha256,
        size: difference.size,
    };
    let text = read(&difference.path)?;
    let (mut sender, mut receiver, offset) = begin(connection, &start).await?;
    let rest = text.slice(usize::try_from(offset).unwrap_or(usize::MAX).min(text.len())..);
    for chunk in rest.chunks(CHUNK) {
        sender.send(rest.slice_ref(chunk)).await?;
    }
    end(&mut sender, &mut receiver).await
}

/// A difference is bounded by the worker's configuration, so it is read at once.
fn read(path: &Path) -> Result<Bytes, UploadError> {
    std::fs::read(path)
        .map(Bytes::from)
        .map_err(|e| UploadError::File(format!("{}: {e}", path.display())))
}

async fn begin(
    connection: &dyn Connection,
    start: &Start,
) -> Result<(Box<dyn FrameSend>, Box<dyn FrameReceive>, u64), UploadError> {
    let (mut sender, mut receiver) = connection.open(CHUNK_FRAME_BYTES_MAX).await?;
    sender.send(wire::encode(start)).await?;
    let frame = receiver.receive().await?.ok_or(UploadError::NoAnswer)?;
    match wire::decode(&frame)? {
        Resume::From(offset) => Ok((sender, receiver, offset)),
        Resume::Refused { reason } => Err(UploadError::Refused(reason)),
    }
}

async fn end(
    sender: &mut Box<dyn FrameSend>,
    receiver: &mut Box<dyn FrameReceive>,
) -> Result<(), UploadError> {
    sender.finish()?;
    let frame = receiver.receive().await?.ok_or(UploadError::NoAnswer)?;
    let _: Stored = wire::decode(&frame)?;
    Ok(())
}
