use serde::{Deserialize, Serialize};

use super::Sha256;

/// One published file of a source package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Artifact {
    /// Name of the binary package.
    pub name: Box<str>,
    /// Its version, epoch and binNMU suffix included.
    pub version: Box<str>,
    /// `None` where the distribution has none.
    pub component: Option<Box<str>>,
    /// As the index says: `all` and `any` included.
    pub architecture: Box<str>,
    /// Name of the file: the last segment of `url`, percent-decoded.
    pub file: Box<str>,
    /// Where it is published.
    pub url: Box<str>,
    /// Bytes; `None` where the index does not say.
    pub size: Option<u64>,
    /// `None` where the index does not say; then the published file itself is compared.
    pub sha256: Option<Sha256>,
}

/// What identifies a job: never a URL or a mirror (DESIGN §7).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JobKey {
    /// `debian`, `archlinux` …
    pub distribution: Box<str>,
    /// Which backend of a worker builds it; usually the distribution.
    pub backend: Box<str>,
    /// Source package.
    pub source: Box<str>,
    /// Its version, with the epoch and what tells a rebuild of the same source apart (Debian:
    /// `+bN`).
    pub version: Box<str>,
    /// Architecture of the build (`amd64`; `all` for a build of `all` artifacts only).
    pub architecture: Box<str>,
    /// File name of the build input, or `suite` where nothing is recorded.
    pub input: Box<str>,
}

/// Tells how the published artifacts were built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BuildInput {
    /// A recorded environment: a `.buildinfo`, or a package with its own `.BUILDINFO`.
    Recorded {
        /// Where it is.
        url: Box<str>,
        /// `None` where no index vouches for it.
        sha256: Option<Sha256>,
    },
    /// Nothing is recorded: the environment is assumed to be what the archives have now. The name
    /// is Debian's word for a part of an archive; a rolling distribution means all of its archive.
    Suite,
}

/// A file with its digest, as a signed index names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteFile {
    /// Where it is.
    pub url: Box<str>,
    /// Bytes; `None` where the index does not say.
    pub size: Option<u64>,
    /// `None` where the index does not say.
    pub sha256: Option<Sha256>,
}

/// Where the packages of a build environment come from. An archive with an interface that none of
/// these describes is a further variant, appended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Archive {
    /// A part of an archive that is published as one (Debian: the suite `{url}/dists/{suite}`, or a
    /// flat repository when `suite` ends in `/`).
    Suite {
        /// Base URL or `file:` URL.
        url: Box<str>,
        /// Name of the part, or a path that ends in `/`.
        suite: Box<str>,
        /// Empty for a flat repository.
        components: Vec<Box<str>>,
    },
    /// A service that keeps all versions, asked for those that no other archive has. Which
    /// interface it has is up to the distribution (Debian: that of its snapshot archive; Arch
    /// Linux: a folder with every file that was ever published, by name).
    Snapshot {
        /// Base URL.
        url: Box<str>,
    },
}
