use std::path::PathBuf;

use super::BoxFuture;
use crate::protocol::{Assignment, AttemptId, Attempted, Sha256, Stage};

/// Rebuilds. One instance serves all slots of a worker; each call is one attempt.
pub trait Backend: Send + Sync + 'static {
    /// Fetches, prepares, builds and compares. Never fails: what goes wrong is the ending of the
    /// attempt. Ends soon, with a fault `Cancelled`, after `progress.is_cancelled` became true.
    ///
    /// The published files are not fetched before the build's sandbox is gone, and only those whose
    /// digest differs from the rebuilt one, or for which the index names none (DESIGN §9).
    fn attempt<'a>(
        &'a self,
        assignment: &'a Assignment,
        progress: &'a dyn Progress,
    ) -> BoxFuture<'a, Attempted>;

    /// Explains one artifact that differs, after the report was spooled; `None` when no explanation
    /// can be had. Never changes a verdict. Callable until `release`.
    fn difference<'a>(
        &'a self,
        attempt: AttemptId,
        file: &'a str,
        progress: &'a dyn Progress,
    ) -> BoxFuture<'a, Option<Difference>>;

    /// Frees what the attempt kept on disk.
    fn release(&self, attempt: AttemptId) -> BoxFuture<'_, ()>;
}

/// What an attempt tells while it runs. Calls never block.
pub trait Progress: Send + Sync {
    /// The attempt entered `stage`.
    fn stage(&self, stage: Stage);
    /// The next bytes of the log, in order.
    fn log(&self, bytes: &[u8]);
    /// True once the attempt is to end.
    fn is_cancelled(&self) -> bool;
    /// Waits until `is_cancelled`.
    fn cancelled(&self) -> BoxFuture<'_, ()>;
}

/// An explanation of how two files differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The text, UTF-8, at most what the worker's configuration allows.
    pub path: PathBuf,
    /// Digest of the text.
    pub sha256: Sha256,
    /// Bytes of the text.
    pub size: u64,
}
