use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::key::StoredKey;

/// A value that begins with a byte for its version, then postcard.
pub trait Versioned: Serialize + DeserializeOwned {
    /// What this release writes: 1 at first, one more with every change of the value.
    const VERSION: u8;

    /// Reads a value that an earlier release wrote.
    ///
    /// # Errors
    /// A version that never was, or a damaged value.
    fn upgrade(version: u8, _body: &[u8]) -> Result<Self, RecordError> {
        Err(RecordError::Version(version))
    }
}

/// A value that the store keeps.
pub trait Record: Versioned {
    /// First byte of the keys. Never given to another record, even when this one is gone.
    const TABLE: u8;
    /// Several of them, for people: `reports`.
    const PLURAL: &'static str;
    /// What tells one from the others.
    type Key: StoredKey;

    /// The whole key.
    fn key(identity: impl core::borrow::Borrow<Self::Key>) -> Vec<u8> {
        let mut key = vec![Self::TABLE];
        identity.borrow().append_to(&mut key);
        key
    }

    /// What [`Record::key`] was made from.
    ///
    /// # Errors
    /// A key of another table, or one that no release wrote.
    fn parse_key(key: &[u8]) -> Result<Self::Key, RecordError> {
        let identity = key.strip_prefix(&[Self::TABLE]).and_then(Self::Key::parse);
        identity.ok_or_else(|| RecordError::Malformed("key".into()))
    }
}

/// Encodes a value.
pub fn write<R: Versioned>(record: &R) -> Bytes {
    postcard::to_extend(record, vec![R::VERSION])
        .expect("records have only types that postcard can write")
        .into()
}

/// Decodes the whole of a stored value, of any version up to this release's.
///
/// # Errors
/// An unknown version, a damaged value, or bytes that remain.
pub fn read<R: Versioned>(value: &[u8]) -> Result<R, RecordError> {
    match value.split_first() {
        Some((&version, body)) if version == R::VERSION => body_of(body),
        Some((&version, _)) if version > R::VERSION => Err(RecordError::Version(version)),
        Some((&version, body)) => R::upgrade(version, body),
        None => Err(RecordError::Malformed("empty".into())),
    }
}

/// Decodes a key and its value.
///
/// # Errors
/// Those of [`Record::parse_key`] and [`read`].
pub fn entry<R: Record>(key: &[u8], value: &[u8]) -> Result<(R::Key, R), RecordError> {
    Ok((R::parse_key(key)?, read(value)?))
}

/// Decodes all of what comes after the version, also as an earlier shape of the value.
///
/// # Errors
/// A damaged value, or bytes that remain.
pub fn body_of<T: DeserializeOwned>(body: &[u8]) -> Result<T, RecordError> {
    match postcard::take_from_bytes(body) {
        Ok((record, [])) => Ok(record),
        Ok((_, rest)) => Err(RecordError::Remainder(rest.len())),
        Err(e) => Err(RecordError::Malformed(e.to_string())),
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
