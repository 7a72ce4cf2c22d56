use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

/// Encodes `message` as the content of one frame.
pub fn encode<M: Serialize>(message: &M) -> Bytes {
    postcard::to_allocvec(message).expect("messages have only types that postcard can write").into()
}

/// Decodes the whole of `frame`.
///
/// # Errors
/// Not a message of this type, or bytes remain after it.
pub fn decode<M: DeserializeOwned>(frame: &[u8]) -> Result<M, DecodeError> {
    let (message, rest) =
        postcard::take_from_bytes(frame).map_err(|e| DecodeError::Malformed(e.to_string()))?;
    if rest.is_empty() { Ok(message) } else { Err(DecodeError::Remainder(rest.len())) }
}

/// A frame that is not the message expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not a message of this type.
    #[error("malformed message: {0}")]
    Malformed(String),
    /// Bytes after the message.
    #[error("{0} bytes remain after the message")]
    Remainder(usize),
}
