use rebuilder_actors::protocol::Sha256;

/// A release to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// Suite or codename: the folder below `dists`.
    pub name: String,
    /// Base URL or path of its own; `None`: the profile's.
    pub source: Option<String>,
    /// Digest of the only `InRelease` (or `Release`, where it is signed apart) that is followed;
    /// `None`: any that passes.
    pub pin: Option<Sha256>,
}

/// Where build environments are known from.
///
/// `buildinfo_url` is a base, below which the file is at `{prefix}/{source}/{file}`, or a template
/// with any of `{prefix}`, `{source}`, `{version}` (epoch left out), `{architecture}`, `{file}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Environment {
    /// Every build has a `.buildinfo` there.
    Recorded {
        /// Base or template.
        buildinfo_url: String,
    },
    /// Nothing is recorded: the suite as it is now is assumed.
    Suite,
    /// As recorded when the `.buildinfo` is there at the time of the read, which only a local
    /// folder can tell; a remote one is taken to have every file.
    RecordedOrSuite {
        /// Base or template.
        buildinfo_url: String,
    },
}
