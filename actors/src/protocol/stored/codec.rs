use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

/// The version of every record that this release writes.
const VERSION: u8 = 1;

/// Encodes a record: one byte for the version, then postcard.
pub fn write<R: Serialize>(record: &R) -> Bytes {
    postcard::to_extend(record, vec![VERSION])
        .expect("records have only types that postcard can write")
        .into()
}

/// Decodes the whole of a stored value.
///
/// # Errors
/// An unknown version, a damaged value, or bytes that remain.
pub fn read<R: DeserializeOwned>(value: &[u8]) -> Result<R, RecordError> {
    match value.split_first() {
        Some((&VERSION, body)) => match postcard::take_from_bytes(body) {
            Ok((record, [])) => Ok(record),
            Ok((_, rest)) => Err(RecordError::Remainder(rest.len())),
            Err(e) => Err(RecordError::Malformed(e.to_string())),
        },
        Some((&other, _)) => Err(RecordError::Version(other)),
        None => Err(RecordError::Malformed("empty".into())),
    }
}

/// A stored value that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Written by a release that knows more.
    #[error("unknown record version {0}")]
    Version(u8),
    /// Not a record of this table.
    #[error("damaged record: {0}")]
    Malformed(String),
    /// Bytes after the record.
    #[error("{0} bytes remain after the record")]
    Remainder(usize),
}
