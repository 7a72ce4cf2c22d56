use bytes::Bytes;

use super::{BlobError, Source};

/// Contents that are still being received (a log that is sent while it grows, a difference), on a
/// disk of this machine. Synchronous; called by one owner, which runs where it may block.
///
/// A part is named by its writer with a [plain name](super::is_plain_name); every method refuses
/// another with [`BlobError::Name`]. It survives a restart up to its durable length.
///
/// Conformance: `conformance::parts`.
pub trait Parts: Send + 'static {
    /// Bytes of `part` that a restart would find: what it counts is durable afterwards. 0 when the
    /// part is unknown.
    ///
    /// # Errors
    /// The medium failed.
    fn length(&mut self, part: &str) -> Result<u64, BlobError>;

    /// Appends `bytes` at `offset`. Bytes that are there already are skipped; a gap is refused.
    /// After an error the part has the length that it had.
    ///
    /// # Errors
    /// A gap, a full disk, or a failed medium.
    fn append(&mut self, part: &str, offset: u64, bytes: &[u8]) -> Result<(), BlobError>;

    /// Up to `length` bytes at `offset`, at least one before the part's end; empty from its end on,
    /// `None` when the part is unknown.
    ///
    /// # Errors
    /// The medium failed.
    fn read(&mut self, part: &str, offset: u64, length: usize) -> Result<Option<Bytes>, BlobError>;

    /// Forgets `part`, which its writer gives up or has sealed. An unknown part is `Ok`.
    ///
    /// # Errors
    /// The medium failed.
    fn discard(&mut self, part: &str) -> Result<(), BlobError>;

    /// Names of all parts, ascending. There are about as many as attempts under way, so they are
    /// one list.
    ///
    /// # Errors
    /// The medium failed.
    fn names(&mut self) -> Result<Vec<String>, BlobError>;

    /// Forgets `part` for whoever collects what nobody writes to: true when it went. Once a later
    /// owner opened the same parts this does nothing, as that owner may have begun to write to it.
    ///
    /// # Errors
    /// The medium failed.
    fn remove(&mut self, part: &str) -> Result<bool, BlobError>;
}

/// Removes every part that `keep` refuses; returns how many went.
///
/// # Errors
/// The medium failed. Parts that were removed before stay removed.
pub fn collect_parts(parts: &mut dyn Parts, keep: &dyn Fn(&str) -> bool) -> Result<u64, BlobError> {
    let mut removed = 0;
    for part in parts.names()?.iter().filter(|part| !keep(part)) {
        removed += u64::from(parts.remove(part)?);
    }
    Ok(removed)
}

/// A part as the source of a content. An unknown part is empty.
pub(super) struct PartSource<'a> {
    pub(super) parts: &'a mut dyn Parts,
    pub(super) part: &'a str,
}

impl Source for PartSource<'_> {
    fn name(&self) -> &str {
        self.part
    }

    fn read(&mut self, offset: u64, length: usize) -> Result<Bytes, BlobError> {
        Ok(self.parts.read(self.part, offset, length)?.unwrap_or_default())
    }
}
