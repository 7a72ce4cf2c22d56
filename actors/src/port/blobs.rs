use bytes::Bytes;

use super::parts::PartSource;
use super::{Contents, Parts};
use crate::protocol::Sha256;

/// Both halves of what is too large for the store, as a coordinator has them: a *part* becomes a
/// *content* when it is sealed.
pub struct Blobs {
    /// What is being received; on a disk of this machine.
    pub parts: Box<dyn Parts>,
    /// What is complete; on the same disk, or elsewhere.
    pub contents: Box<dyn Contents>,
}

impl Blobs {
    /// Makes `part` a content: it must have this digest and length. Durable on `Ok`, and the part
    /// is gone. An empty content needs no part and always succeeds. The same content again is `Ok`.
    ///
    /// # Errors
    /// Another digest or length (the part is gone), or a failed medium (it stays).
    pub fn seal(&mut self, part: &str, digest: Sha256, length: u64) -> Result<(), BlobError> {
        let mut source = PartSource { parts: &mut *self.parts, part };
        let put = self.contents.put(digest, length, &mut source);
        if matches!(put, Ok(()) | Err(BlobError::Mismatch { .. })) {
            self.parts.discard(part)?;
        }
        put
    }

    /// Up to `length` bytes of a content, or of a part that is still growing, at `offset`: as
    /// [`Contents::get`] and [`Parts::read`] do.
    ///
    /// # Errors
    /// Those of the one that is read.
    pub fn read(
        &mut self,
        blob: BlobName<'_>,
        offset: u64,
        length: usize,
    ) -> Result<Option<Bytes>, BlobError> {
        match blob {
            BlobName::Sealed(digest) => self.contents.get(digest, offset, length),
            BlobName::Part(part) => self.parts.read(part, offset, length),
        }
    }
}

/// What to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlobName<'a> {
    /// A content, by the digest of all its bytes; it never changes.
    Sealed(Sha256),
    /// A part that is still being received.
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
