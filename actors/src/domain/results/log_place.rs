use crate::protocol::{AttemptId, Sha256};

/// Where a job's newest log is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogPlace {
    /// Of an attempt that runs now, and the newest that is kept of those before it.
    Growing(AttemptId, Option<KeptLog>),
    /// No attempt runs.
    Kept(KeptLog),
    /// The next attempt begins as soon as a worker is free; the newest log that is kept.
    Awaited(Option<KeptLog>),
}

impl LogPlace {
    /// The log of this attempt, if it is the newest that is kept.
    pub fn kept_of(self, attempt: AttemptId) -> Option<KeptLog> {
        let kept = match self {
            Self::Growing(_, kept) | Self::Awaited(kept) => kept,
            Self::Kept(kept) => Some(kept),
        };
        kept.filter(|kept| kept.attempt == attempt)
    }
}

/// A log that is kept whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptLog {
    /// Of which attempt.
    pub attempt: AttemptId,
    /// Under which the blobs keep it.
    pub sha256: Sha256,
    /// Bytes; 0: there was none.
    pub bytes: u64,
}
