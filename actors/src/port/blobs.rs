use bytes::Bytes;

use crate::protocol::Sha256;

/// Large immutable contents (logs, differences, kept outputs), named by the SHA-256 of what they
/// hold uncompressed. Synchronous; called by one owner, which runs where it may block.
///
/// A *part* is a blob that is still being received; it is named by its writer, at most 128 bytes of
/// `[A-Za-z0-9._-]`, and survives a restart up to its durable length.
pub trait Blobs: Send + 'static {
    /// Bytes of `part` that a restart would find; 0 when it is unknown.
    ///
    /// # Errors
    /// The medium failed.
    fn part_length(&mut self, part: &str) -> Result<u64, BlobError>;

    /// Appends `bytes` at `offset`. Bytes that are there already are skipped; a gap is refused.
    ///
    /// # Errors
    /// A gap, a full disk, or a failed medium.
    fn append(&mut self, part: &str, offset: u64, bytes: &[u8]) -> Result<(), BlobError>;

    /// Makes `part` a blob: its content must have this digest and length. Durable on `Ok`: written,
    /// synced, renamed, the directory synced. An empty content needs no part and always succeeds.
    /// The same content again is `Ok`.
    ///
    /// # Errors
    /// Another digest or length (the part is removed), or a failed medium.
    fn seal(&mut self, part: &str, digest: Sha256, length: u64) -> Result<(), BlobError>;

    /// Forgets `part`.
    ///
    /// # Errors
    /// The medium failed.
    fn discard(&mut self, part: &str) -> Result<(), BlobError>;

    /// Up to `length` bytes of a sealed blob, or of a part that is still growing, at `offset`;
    /// empty at its end, `None` when it is unknown.
    ///
    /// # Errors
    /// The medium failed.
    fn read(
        &mut self,
        blob: BlobName<'_>,
        offset: u64,
        length: usize,
    ) -> Result<Option<Bytes>, BlobError>;

    /// Removes every sealed blob and every part that `keep` refuses; returns how many went.
    ///
    /// # Errors
    /// The medium failed.
    fn collect(&mut self, keep: &dyn Fn(BlobName<'_>) -> bool) -> Result<u64, BlobError>;
}

/// What to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlobName<'a> {
    /// A sealed blob.
    Sealed(Sha256),
    /// One that is still being received.
    Part(&'a str),
}

/// A blob could not be written or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    /// `append` beyond the end.
    #[error("part `{part}` has {length} bytes, cannot append at {offset}")]
    Gap {
        /// The part.
        part: String,
        /// Its length, bytes.
        length: u64,
        /// Where the write was to go.
        offset: u64,
    },
    /// The content is not what was announced.
    #[error("part `{part}` has digest {found} and {length} bytes, announced was {expected}")]
    Mismatch {
        /// The part.
        part: String,
        /// Its length, bytes.
        length: u64,
        /// The digest of what is there.
        found: Sha256,
        /// The digest announced.
        expected: Sha256,
    },
    /// A part's name that could leave the folder.
    #[error("`{0}` cannot name a part")]
    Name(String),
    /// No space left.
    #[error("no space left for {path}")]
    Full {
        /// The file.
        path: String,
    },
    /// The operating system refused.
    #[error("cannot {action} {path}: {reason}")]
    Io {
        /// "open", "write", "sync" …
        action: &'static str,
        /// The file.
        path: String,
        /// What the system said.
        reason: String,
    },
}
