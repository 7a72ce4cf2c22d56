//! A stream that carries a log or a difference from a worker: [`Start`], answered by [`Resume`],
//! then chunks as frames of raw bytes, then the end of the stream, answered by [`Stored`].

use serde::{Deserialize, Serialize};

use crate::protocol::{AttemptId, Sha256};

/// What will be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Start {
    /// The log of an attempt, while it grows.
    Log {
        /// Which.
        attempt: AttemptId,
    },
    /// The explanation of a difference, after the report was accepted.
    Difference {
        /// Which.
        attempt: AttemptId,
        /// File name of the artifact.
        file: String,
        /// Of the text.
        sha256: Sha256,
        /// Bytes of the text.
        size: u64,
    },
}

/// Where to begin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Resume {
    /// Send from this offset on.
    From(u64),
    /// This is not wanted.
    Refused {
        /// Why.
        reason: String,
    },
}

/// The bytes are here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// How many, in all.
    pub length: u64,
}
