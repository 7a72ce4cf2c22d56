use bytes::Bytes;

use super::BlobError;
use crate::protocol::Sha256;

/// Immutable contents (logs, differences, kept outputs), named by the SHA-256 of what they hold
/// uncompressed. Synchronous; called by one owner, which runs where it may block.
///
/// There is no operation that changes a content, none that needs a file system, and none that
/// visits all contents in one call: an object store can implement it. The empty content is always
/// there, is never listed and cannot be removed.
///
/// Conformance: `conformance::contents`.
pub trait Contents: Send + 'static {
    /// Keeps what `source` holds, which must have this digest and length. Durable on `Ok`. A sound
    /// content that is there already stays as it is, and `source` need not be read; a damaged one
    /// is replaced.
    ///
    /// # Errors
    /// [`BlobError::Mismatch`]: another digest or length, and nothing was kept. A full or failed
    /// medium, here or of `source`: nothing was kept.
    fn put(
        &mut self,
        digest: Sha256,
        length: u64,
        source: &mut dyn Source,
    ) -> Result<(), BlobError>;

    /// Up to `length` bytes at `offset`, at least one before the content's end; empty from its end
    /// on, `None` when the content is unknown.
    ///
    /// # Errors
    /// The medium failed, or the content is damaged, which is an error at the latest where it ends.
    fn get(
        &mut self,
        digest: Sha256,
        offset: u64,
        length: usize,
    ) -> Result<Option<Bytes>, BlobError>;

    /// Up to `limit` contents, at least 1, after `after`, ascending; `None`: from the first one on.
    /// Fewer than `limit` say nothing about the rest; none at all means that no more follow. A
    /// content that is put or removed between two calls may be missed or listed; every other one is
    /// listed once.
    ///
    /// # Errors
    /// The medium failed.
    fn list(&mut self, after: Option<Sha256>, limit: usize) -> Result<Vec<Sha256>, BlobError>;

    /// Removes a content: true when it went, false when it is unknown. Once a later owner opened
    /// the same contents this does nothing, as that owner may have been given the same content
    /// again.
    ///
    /// # Errors
    /// The medium failed.
    fn remove(&mut self, digest: Sha256) -> Result<bool, BlobError>;
}

/// Where the bytes of a content come from.
pub trait Source {
    /// What errors call it.
    fn name(&self) -> &str;

    /// Up to `length` bytes at `offset`, at least one before its end; empty from its end on.
    ///
    /// # Errors
    /// Its medium failed.
    fn read(&mut self, offset: u64, length: usize) -> Result<Bytes, BlobError>;
}

/// What [`collect_slice`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Contents that went.
    pub removed: u64,
    /// The content after which the next slice begins; `None`: this was the last slice.
    pub next: Option<Sha256>,
}

/// Removes every content that `keep` refuses among the next `limit`, at least 1, after `after`.
///
/// # Errors
/// The medium failed. Contents that were removed before stay removed.
pub fn collect_slice(
    contents: &mut dyn Contents,
    after: Option<Sha256>,
    limit: usize,
    keep: &dyn Fn(&Sha256) -> bool,
) -> Result<Slice, BlobError> {
    let found = contents.list(after, limit)?;
    let mut removed = 0;
    for digest in found.iter().filter(|digest| !keep(digest)) {
        removed += u64::from(contents.remove(*digest)?);
    }
    Ok(Slice { removed, next: found.last().copied() })
}
