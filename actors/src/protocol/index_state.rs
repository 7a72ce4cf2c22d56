use serde::{Deserialize, Serialize};

use super::{Sha256, UtcMillis};

/// What a reader remembers between reads, opaque but for the date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexState {
    /// One entry for each release: its name, the digest of its signed index, and the date in it.
    pub releases: Vec<ReleaseState>,
    /// Digest of the profile's settings that shape the result: another value means a full read.
    pub settings: Sha256,
}

/// One release's index as it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseState {
    /// Release name, as configured.
    pub name: String,
    /// Digest of the `InRelease` file.
    pub sha256: Sha256,
    /// Its `Date`.
    pub date: UtcMillis,
}
