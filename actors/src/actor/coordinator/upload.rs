//! Logs and differences on streams of their own.

use bytes::Bytes;
use tokio::task::JoinSet;

use super::blobs::{self, log_part};
use super::queue;
use super::refusals::Kind;
use super::services::Services;
use crate::domain::queue::{Event, SessionId};
use crate::planted::{self, Bug};
use crate::port::{CloseReason, Connection, FrameReceive, FrameSend};
use crate::protocol::wire::v1::upload::{Resume, Start, Stored};
use crate::protocol::wire::{self, CHUNK_FRAME_BYTES_MAX, CloseCode};
use crate::protocol::{AttemptId, BuildId, PublicKey, Sha256};

/// Takes a worker's uploads, each on its own stream; the transport bounds how many.
pub(super) async fn accept(
    connection: Box<dyn Connection>,
    services: Services,
    session: SessionId,
) {
    let mut streams = JoinSet::new();
    while let Ok((sender, receiver)) = connection.accept(CHUNK_FRAME_BYTES_MAX).await {
        while streams.try_join_next().is_some() {}
        let (services, handle) = (services.clone(), connection.clone_handle());
        streams.spawn(async move {
            let peer = handle.peer();
            if let Err(text) = take(&services, session, peer, sender, receiver).await {
                services
                    .refusals
                    .say(Kind::Upload(peer), || format!("worker {peer}: upload: {text}"));
                handle.close(CloseReason { code: CloseCode::Protocol as u32, text });
            }
        });
    }
}

/// One upload. An error is a breach of the protocol; that the stream ends early is none.
async fn take(
    services: &Services,
    session: SessionId,
    peer: PublicKey,
    mut sender: Box<dyn FrameSend>,
    mut receiver: Box<dyn FrameReceive>,
) -> Result<(), String> {
    let Ok(Some(frame)) = receiver.receive().await else { return Ok(()) };
    let start: Start = wire::decode(&frame).map_err(|e| e.to_string())?;
    let (attempt, file) = match &start {
        Start::Log { attempt } => (*attempt, None),
        Start::Difference { attempt, file, .. } => (*attempt, Some(file.clone())),
    };
    let allowed = services
        .ask(&services.queue, |reply| queue::Message::Upload { session, attempt, file, reply })
        .await;
    let build = match allowed {
        Ok(Ok(build)) => build,
        Ok(Err(reason)) => {
            services.refusals.say(Kind::Upload(peer), || {
                format!("worker {peer}: upload for attempt {attempt} refused: {reason}")
            });
            return refuse(&mut sender, reason).await;
        }
        Err(gone) => return refuse(&mut sender, gone.to_string()).await,
    };
    match start {
        Start::Log { .. } => log(services, peer, attempt, sender, receiver).await,
        Start::Difference { file, sha256, size, .. } => {
            let Some(build) = build else { return refuse(&mut sender, "no build".into()).await };
            let what = Difference { build, file, sha256, size };
            difference(services, peer, attempt, what, sender, receiver).await
        }
    }
}

async fn refuse(sender: &mut Box<dyn FrameSend>, reason: String) -> Result<(), String> {
    let _ = sender.send(wire::encode(&Resume::Refused { reason })).await;
    let _ = sender.finish();
    Ok(())
}

/// A log that grows: from the durable offset on, bounded.
async fn log(
    services: &Services,
    peer: PublicKey,
    attempt: AttemptId,
    mut sender: Box<dyn FrameSend>,
    receiver: Box<dyn FrameReceive>,
) -> Result<(), String> {
    let part = log_part(attempt);
    let Some(from) = part_length(services, &part).await else { return Ok(()) };
    let max = services.log_bytes_max;
    if from >= max {
        // The report that names so long a log is refused for good.
        return refuse(&mut sender, format!("the log is over the limit of {max} bytes")).await;
    }
    if sender.send(wire::encode(&Resume::From(from))).await.is_err() {
        return Ok(());
    }
    if let Some(length) = chunks(services, peer, &part, from, max, receiver).await {
        let _ = sender.send(wire::encode(&Stored { length })).await;
        let _ = sender.finish();
    }
    Ok(())
}

struct Difference {
    build: BuildId,
    file: String,
    sha256: Sha256,
    size: u64,
}

/// A difference: whole, of the announced digest, then told to the queue.
async fn difference(
    services: &Services,
    peer: PublicKey,
    attempt: AttemptId,
    what: Difference,
    mut sender: Box<dyn FrameSend>,
    receiver: Box<dyn FrameReceive>,
) -> Result<(), String> {
    if what.size > services.difference_bytes_max {
        let max = services.difference_bytes_max;
        return refuse(&mut sender, format!("{} bytes are over {max}", what.size)).await;
    }
    let part = format!("difference-{attempt}-{}", Sha256::of(what.file.as_bytes()));
    let Some(from) = part_length(services, &part).await else { return Ok(()) };
    if sender.send(wire::encode(&Resume::From(from))).await.is_err() {
        return Ok(());
    }
    let Some(length) = chunks(services, peer, &part, from, what.size, receiver).await else {
        return Ok(());
    };
    let (digest, size) = (what.sha256, what.size);
    let sealed = services
        .ask(&services.blobs, |reply| blobs::Message::Seal { part, digest, length: size, reply })
        .await;
    match sealed {
        Ok(Ok(())) => {
            let (build, file) = (what.build, what.file);
            let stored = Box::new(Event::DifferenceStored { build, file, sha256: digest, size });
            let durable =
                services.ask(&services.queue, |done| queue::Message::Sync(stored, done)).await;
            if durable.is_err() {
                return Ok(());
            }
            let _ = sender.send(wire::encode(&Stored { length })).await;
            let _ = sender.finish();
        }
        // Most of all, another digest than was announced.
        Ok(Err(error)) => services.refusals.say(Kind::Upload(peer), || {
            format!("worker {peer}: difference of attempt {attempt} not kept: {error}")
        }),
        Err(_) => {}
    }
    Ok(())
}

async fn part_length(services: &Services, part: &str) -> Option<u64> {
    let name = part.to_owned();
    let length = services.ask(&services.blobs, |reply| {
        blobs::Message::Do(Box::new(move |blobs| {
            let _ = reply.send(blobs.parts.length(&name));
            Ok(())
        }))
    });
    match length.await {
        Ok(Ok(length)) => Some(length),
        Ok(Err(error)) => {
            tracing::error!(target: "rebuilder", "part {part}: {error}");
            None
        }
        Err(_) => None,
    }
}

/// Appends the frames of a stream; each is on its way to the disk before the next is read. The
/// length at its end; `None` when the stream broke off.
async fn chunks(
    services: &Services,
    peer: PublicKey,
    part: &str,
    from: u64,
    max: u64,
    mut receiver: Box<dyn FrameReceive>,
) -> Option<u64> {
    let mut offset = from;
    loop {
        let bytes: Bytes = match receiver.receive().await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Some(offset),
            Err(_) => return None,
        };
        let length = bytes.len() as u64;
        if offset + length > max {
            // Ends this stream only; what is there is refused when it is offered again.
            services.refusals.say(Kind::Upload(peer), || {
                format!("worker {peer}: `{part}` is over the limit of {max} bytes")
            });
            let rest = &bytes[..usize::try_from(max - offset).unwrap_or(0)];
            append(services, part, offset, bytes.slice_ref(rest)).await;
            return None;
        }
        if !append(services, part, offset, bytes).await {
            return None;
        }
        offset += length;
    }
}

/// True once the bytes are written.
async fn append(services: &Services, part: &str, offset: u64, bytes: Bytes) -> bool {
    let part = part.to_owned();
    if planted::is(Bug::LogChunksUnbounded) {
        let (reply, _) = tokio::sync::oneshot::channel();
        return services.blobs.cast(blobs::Message::Append { part, offset, bytes, reply }).is_ok();
    }
    let appended = services
        .ask(&services.blobs, |reply| blobs::Message::Append { part, offset, bytes, reply })
        .await;
    match appended {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::error!(target: "rebuilder", "upload: {error}");
            false
        }
        Err(_) => false,
    }
}
