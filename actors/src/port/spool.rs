use bytes::Bytes;

/// A worker's finished reports that have no final answer yet; survives a kill. Synchronous; called
/// by one owner, which runs where it may block.
///
/// An entry has a [plain name](super::is_plain_name).
pub trait Spool: Send + 'static {
    /// Keeps `content` under `name`. Durable on `Ok`.
    ///
    /// # Errors
    /// A full disk or a failed medium; nothing is kept.
    fn keep(&mut self, name: &str, content: &[u8]) -> Result<(), SpoolError>;

    /// Removes `name`; nothing happens when it is absent.
    ///
    /// # Errors
    /// The medium failed.
    fn remove(&mut self, name: &str) -> Result<(), SpoolError>;

    /// All entries, in order of name. What was half written at a kill is not among them.
    ///
    /// # Errors
    /// The medium failed.
    fn entries(&mut self) -> Result<Vec<(String, Bytes)>, SpoolError>;
}

/// The spool failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("spool: cannot {action} {path}: {reason}")]
pub struct SpoolError {
    /// "write", "sync" …
    pub action: &'static str,
    /// The file.
    pub path: String,
    /// What the system said.
    pub reason: String,
    /// True when there was no space left.
    pub full: bool,
}
