//! Takes a report: signatures, then the log, then the queue.

use super::blobs::{self, log_part};
use super::house::House;
use super::{queue, reader};
use crate::domain::queue::SessionId;
use crate::domain::report::{self, SignedReport, VerifiedReport};
use crate::planted::{self, Bug};
use crate::port::BlobError;
use crate::protocol::wire::v1::coordinator::{Answer, Message};
use crate::protocol::wire::v1::worker::Report;
use crate::protocol::{AttemptId, PublicKey};

/// Verifies and countersigns a report and gives it to the queue. An answer is returned where the
/// queue is not asked.
pub(super) async fn take(
    house: House,
    session: SessionId,
    worker: PublicKey,
    sent: Report,
    _permit: reader::Permit,
) -> Option<Message> {
    let attempt = sent.attempt;
    let refused = |reason: String| {
        tracing::warn!(target: "rebuilder", "report of attempt {attempt} refused: {reason}");
        Some(Message::Answer { attempt, answer: Answer::Refused { reason } })
    };
    let verified = match report::verify(&sent.signed, &worker) {
        Ok(verified) => verified,
        Err(error) => return refused(error.to_string()),
    };
    if verified.report().attempt != attempt {
        return refused(format!("the statement is about attempt {}", verified.report().attempt));
    }
    let log = verified.report().log;
    if log.size > house.log_bytes_max {
        return refused(format!("a log of {} bytes is over {}", log.size, house.log_bytes_max));
    }
    if log.size > 0
        && !planted::is(Bug::LogNotKept)
        && let Some(message) = seal(&house, session, attempt, &verified).await
    {
        return Some(message);
    }
    let countersigned = match countersign(&house, &sent.signed) {
        Ok(countersigned) => countersigned,
        Err(error) => return refused(error.to_string()),
    };
    let report = Box::new(verified);
    let _ = house.queue.cast(queue::Message::Report { session, report, countersigned });
    None
}

/// Makes the log durable under the digest that the worker signed, or asks for what is missing. Only
/// for an attempt whose log is wanted from this worker: sealing ends the part that others write to.
async fn seal(
    house: &House,
    session: SessionId,
    attempt: AttemptId,
    verified: &VerifiedReport,
) -> Option<Message> {
    let log = &verified.report().log;
    let (digest, length) = (log.sha256, log.size);
    let again = Some(Message::LogWanted { attempt, length: 0 });
    let file = None;
    let wanted = house
        .ask(&house.queue, |reply| queue::Message::Upload { session, attempt, file, reply })
        .await;
    match wanted {
        Ok(Ok(_)) => {}
        // Not granted to it, or answered before: the queue's answer to the report is final.
        Ok(Err(_)) => return None,
        Err(_) => return again,
    }
    let sealed = house
        .ask(&house.blobs, |reply| {
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

fn countersign(house: &House, signed: &SignedReport) -> Result<SignedReport, report::ReportError> {
    let signer = house.signer.as_ref();
    let statement = report::countersign_statement(&signed.statement, signer)?;
    let links = signed.links.iter().map(|link| {
        let metablock = report::countersign_link(&link.metablock, signer)?;
        Ok(report::SignedLink { file: link.file.clone(), metablock })
    });
    Ok(SignedReport { statement, links: links.collect::<Result<_, report::ReportError>>()? })
}
