use sha2::Digest as _;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

use super::spool;
use crate::domain::report::LogDigest;
use crate::domain::worker::LogLimit;
use crate::port::{BlobError, Parts, collect_parts};
use crate::protocol::{AttemptId, Sha256};

/// The worker's own copies of its logs; calls are short and do not sync.
pub(super) type Logs = Arc<Mutex<Box<dyn Parts>>>;

/// Runs `work` on the logs.
pub(super) fn with<T>(logs: &Logs, work: impl FnOnce(&mut dyn Parts) -> T) -> T {
    work(logs.lock().unwrap_or_else(PoisonError::into_inner).as_mut())
}

/// Begins the names of logs.
const LOG: &str = "log-";

/// Name of an attempt's log.
pub(super) fn part(attempt: AttemptId) -> String {
    format!("{LOG}{attempt}")
}

/// Removes the logs of attempts that ended without a report, as at a kill: all but those of what
/// the spool keeps under these names, even where this release cannot read it. To be called before
/// any attempt begins.
pub(super) fn collect(logs: &Logs, spooled: &[String]) {
    let attempts = spooled.iter().filter_map(|name| name.strip_prefix(spool::REPORT));
    let kept: BTreeSet<String> = attempts.map(|attempt| format!("{LOG}{attempt}")).collect();
    match with(logs, |logs| collect_parts(logs, &|part| kept.contains(part))) {
        Ok(0) => {}
        Ok(removed) => {
            let text = "logs of attempts that ended without a report";
            tracing::info!(target: "rebuilder", "removed {removed} {text}");
        }
        Err(error) => tracing::warn!(target: "rebuilder", "old logs stay: {error}"),
    }
}

/// One attempt's log while it grows: written here, read by an upload.
pub(super) struct Log {
    attempt: AttemptId,
    logs: Logs,
    inner: Mutex<Inner>,
    grown: Notify,
}

struct Inner {
    limit: LogLimit,
    hash: sha2::Sha256,
    length: u64,
    finished: bool,
    error: Option<BlobError>,
}

impl Log {
    /// A log that begins.
    pub(super) fn begin(attempt: AttemptId, logs: Logs, bytes_max: u64) -> Self {
        // What an earlier try at the same attempt left.
        let error = with(&logs, |logs| logs.discard(&part(attempt))).err();
        let limit = LogLimit::new(bytes_max);
        let hash = sha2::Sha256::default();
        let inner = Inner { limit, hash, length: 0, finished: false, error };
        Self { attempt, logs, inner: Mutex::new(inner), grown: Notify::new() }
    }

    /// A log that is complete, found after a restart.
    pub(super) fn kept(attempt: AttemptId, logs: Logs, length: u64) -> Self {
        let limit = LogLimit::new(0);
        let hash = sha2::Sha256::default();
        let inner = Inner { limit, hash, length, finished: true, error: None };
        Self { attempt, logs, inner: Mutex::new(inner), grown: Notify::new() }
    }

    /// Takes what the attempt says; returns the length as kept.
    pub(super) fn push(&self, bytes: &[u8]) -> u64 {
        let mut inner = self.lock();
        let kept = inner.limit.push(bytes);
        if !kept.is_empty() {
            let kept = kept.to_vec();
            self.append(&mut inner, &kept);
        }
        let length = inner.length;
        drop(inner);
        self.grown.notify_waiters();
        length
    }

    /// Bytes as kept so far.
    pub(super) fn length(&self) -> u64 {
        self.lock().length
    }

    /// Ends the log and makes it durable: the digest of what is kept, and why that is not all.
    pub(super) fn finish(&self) -> (LogDigest, Option<BlobError>) {
        let mut inner = self.lock();
        let truncated = inner.limit.truncated();
        let end = inner.limit.finish();
        if !end.is_empty() {
            self.append(&mut inner, &end);
        }
        inner.finished = true;
        let mut digest = LogDigest {
            sha256: Sha256(inner.hash.clone().finalize().into()),
            size: inner.length,
            truncated,
        };
        let mut failed = inner.error.clone();
        drop(inner);
        self.grown.notify_waiters();
        if digest.size > 0 {
            // It is only claimed once it would survive: a report whose log is gone is lost.
            let synced = with(&self.logs, |logs| logs.length(&part(self.attempt)));
            if let Err(error) = synced {
                (digest.sha256, digest.size) = (Sha256::of(b""), 0);
                failed.get_or_insert(error);
            }
        }
        (digest, failed)
    }

    fn append(&self, inner: &mut Inner, bytes: &[u8]) {
        if inner.error.is_some() {
            return;
        }
        let offset = inner.length;
        match with(&self.logs, |logs| logs.append(&part(self.attempt), offset, bytes)) {
            Ok(()) => {
                inner.hash.update(bytes);
                inner.length += bytes.len() as u64;
            }
            Err(error) => inner.error = Some(error),
        }
    }

    /// Bytes from `offset` on; `None` at the end of a finished log.
    ///
    /// # Errors
    /// The medium failed, or the log is gone.
    pub(super) async fn next(
        &self,
        offset: u64,
        max: usize,
    ) -> Result<Option<bytes::Bytes>, BlobError> {
        loop {
            let grown = self.grown.notified();
            let mut grown = core::pin::pin!(grown);
            grown.as_mut().enable();
            let (length, finished) = {
                let inner = self.lock();
                (inner.length, inner.finished)
            };
            if offset < length {
                let name = part(self.attempt);
                let read = with(&self.logs, |logs| logs.read(&name, offset, max))?;
                let name = part(self.attempt);
                let gone = BlobError::Gap { part: name, length: offset, offset: length };
                return read.filter(|bytes| !bytes.is_empty()).ok_or(gone).map(Some);
            }
            if finished {
                return Ok(None);
            }
            grown.await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
