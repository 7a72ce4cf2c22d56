//! Takes a report: signatures, then the log, then the queue.

use std::sync::Arc;

use super::blobs::{self, log_part};
use super::refusals::Kind;
use super::services::Services;
use super::{queue, reader};
use crate::domain::queue::SessionId;
use crate::domain::report::{self, KnownKey, VerifiedReport};
use crate::planted::{self, Bug};
use crate::port::BlobError;
use crate::protocol::AttemptId;
use crate::protocol::wire::v1::coordinator::{Answer, Message};
use crate::protocol::wire::v1::worker::Report;

/// Verifies and countersigns a report and gives it to the queue. An answer is returned where the
/// queue is not asked.
///
/// Signatures take the processor longer than all else that a report needs: no more reports are
/// verified at a time than there are processors, whoever sends how many.
pub(super) async fn take(
    services: Services,
    session: SessionId,
    worker: Arc<KnownKey>,
    sent: Report,
    _permit: reader::Permit,
) -> Option<Message> {
    let attempt = sent.attempt;
    let refusals = services.refusals.clone();
    let refused = |reason: String| {
        let text = || format!("report of attempt {attempt} refused: {reason}");
        refusals.say(Kind::Report(worker.key()), text);
        Some(Message::Answer { attempt, answer: Answer::Refused { reason } })
    };
    let turn = services.verifying.acquire().await.ok()?;
    let verified = report::verify_and_countersign(&sent.signed, &worker, services.signer.as_ref());
    drop(turn);
    let (verified, countersigned) = match verified {
        Ok(both) => both,
        Err(error) => return refused(error.to_string()),
    };
    if verified.report().attempt != attempt {
        return refused(format!("the statement is about attempt {}", verified.report().attempt));
    }
    let log = verified.report().log;
    if log.size > services.log_bytes_max {
        return refused(format!("a log of {} bytes is over {}", log.size, services.log_bytes_max));
    }
    if log.size > 0
        && !planted::is(Bug::LogNotKept)
        && let Some(message) = seal(&services, session, attempt, &verified).await
    {
        return Some(message);
    }
    let report = Box::new(verified);
    let _ = services.queue.cast(queue::Message::Report { session, report, countersigned });
    None
}

/// Makes the log durable under the digest that the worker signed, or asks for what is missing. Only
/// for an attempt whose log is wanted from this worker: sealing ends the part that others write to.
async fn seal(
    services: &Services,
    session: SessionId,
    attempt: AttemptId,
    verified: &VerifiedReport,
) -> Option<Message> {
    let log = &verified.report().log;
    let (digest, length) = (log.sha256, log.size);
    let again = Some(Message::LogWanted { attempt, length: 0 });
    let file = None;
    let wanted = services
        .ask(&services.queue, |reply| queue::Message::Upload { session, attempt, file, reply })
        .await;
    match wanted {
        Ok(Ok(_)) => {}
        // Not granted to it, or answered before: the queue's answer to the report is final.
        Ok(Err(_)) => return None,
        Err(_) => return again,
    }
    let sealed = services
        .ask(&services.blobs, |reply| {
            let part = log_part(attempt);
            blobs::Message::Seal { part, digest, length, reply }
        })
        .await;
    match sealed {
        Ok(Ok(())) => None,
        Ok(Err(BlobError::Mismatch { .. } | BlobError::Gap { .. })) | Err(_) => again,
        Ok(Err(error)) => {
            // Not the worker's fault: its spool keeps everything. The pause is for the disk.
            tracing::error!(target: "rebuilder", "log of attempt {attempt} not kept: {error}");
            tokio::time::sleep(AGAIN).await;
            again
        }
    }
}

/// Wait before a worker is asked again for a log that could not be kept.
const AGAIN: core::time::Duration = core::time::Duration::from_secs(10);
