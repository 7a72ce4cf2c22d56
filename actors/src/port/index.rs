use super::BoxFuture;
use crate::protocol::{
    Archive, Artifact, BuildInput, IndexState, IndexTrust, RemoteFile, Sha256, UtcMillis,
};

/// Reads one distribution's published indexes for one profile. One file for each distribution.
pub trait IndexReader: Send + Sync + 'static {
    /// Reads the indexes as they are now. `since` is the `state` of the last read that was used;
    /// when nothing changed since, answers [`IndexRead::Unchanged`] without reading more than that
    /// takes.
    ///
    /// Groups are given to `sink` one by one, in no particular order, filters applied; nothing may
    /// be used of them unless the call ends with [`IndexRead::Changed`].
    ///
    /// # Errors
    /// A failed or half-read index, a bad signature, an older date than in `since`, an expired one,
    /// a wrong suite: nothing changes.
    fn read<'a>(
        &'a self,
        since: Option<&'a IndexState>,
        now: UtcMillis,
        sink: &'a mut (dyn FnMut(Group) + Send),
    ) -> BoxFuture<'a, Result<IndexRead, IndexError>>;

    /// Releases of which the last read that succeeded gave no group.
    fn kept(&self) -> Vec<KeptRelease>;

    /// What the index that was last read with success has that could not be read, and what about it
    /// an operator should know. Nothing where a reader knows no such thing.
    fn unread(&self) -> Unread {
        Unread::default()
    }
}

/// A release of which no group was given: what it named before is still wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptRelease {
    /// As in the groups.
    pub name: Box<str>,
    /// Why it could not be read; `None`: it is as before.
    pub error: Option<IndexError>,
}

/// What of an index could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// Stanzas that were left out.
    pub stanzas: u64,
    /// One line each, for people: file, line, package and reason of each, and warnings; bounded by
    /// the reader.
    pub notes: Vec<String>,
    /// What they may have been about: it is not gone, and keeps its place.
    pub doubts: Vec<Doubt>,
}

/// A package of which the index says something that could not be read, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Doubt {
    /// As groups name it.
    pub release: Option<Box<str>>,
    /// Name of the binary package; `None`: not even that could be read, it may be any.
    pub package: Option<Box<str>>,
}

/// How a read ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndexRead {
    /// As at the time of `since`.
    Unchanged,
    /// Every group was given; this is the state to remember.
    Changed(IndexState),
}

/// The artifacts of one source package in one release that were built together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// As the configuration of the profile names it.
    pub distribution: Box<str>,
    /// `bookworm`; `None` where the distribution has no releases.
    pub release: Option<Box<str>>,
    /// Source package.
    pub source: Box<str>,
    /// Source version, with what tells a rebuild of the same source apart (Debian: `+bN`).
    pub version: Box<str>,
    /// Architecture of the build. In suite mode, one group covers native and `all` artifacts.
    pub architecture: Box<str>,
    /// File name of the build input, or `suite`.
    pub input_name: Box<str>,
    /// How they were built.
    pub input: BuildInput,
    /// The source as the signed index names it (Debian: the `.dsc`); `None` where it has none.
    pub source_file: Option<RemoteFile>,
    /// Where the environment's packages come from.
    pub archives: std::sync::Arc<Vec<Archive>>,
    /// Sorted by file name; not empty.
    pub artifacts: Vec<Artifact>,
    /// How far the index was trusted.
    pub index: IndexTrust,
    /// Digest of the signed file of the index (Debian: `InRelease`) that vouches for the artifacts;
    /// `None`: none does.
    pub index_sha256: Option<Sha256>,
}

/// An index that could not be used. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// A server could not be reached, or a file is not there.
    #[error("cannot fetch {url}: {reason}")]
    Fetch {
        /// What was asked for.
        url: String,
        /// What happened.
        reason: String,
    },
    /// A signature that does not hold.
    #[error("{url} is not signed by {keyring}: {reason}")]
    Signature {
        /// The index.
        url: String,
        /// The keyring used.
        keyring: String,
        /// What gpgv said.
        reason: String,
    },
    /// This machine lacks what it takes to check or keep the index: says nothing about it.
    #[error("cannot read {url} on this machine: {reason}")]
    Local {
        /// URL of the file of the index.
        url: String,
        /// What failed here, and what to do about it.
        reason: String,
    },
    /// Content that contradicts the signed index, or cannot be read.
    #[error("{url}: {reason}")]
    Content {
        /// The file.
        url: String,
        /// What is wrong, with line where there is one.
        reason: String,
    },
    /// An older, expired or foreign index.
    #[error("{url} is refused: {reason}")]
    Refused {
        /// The index.
        url: String,
        /// Which rule it breaks.
        reason: String,
    },
}
