use std::path::PathBuf;

/// A file that could not be fetched. Always a fault of ours or of a mirror, never a verdict.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The server or the file system says that it is not there. Not retried.
    #[error(
        "{url} is not there{}",
        .status.map(|status| format!(" (the server answered {status})")).unwrap_or_default()
    )]
    NotFound {
        /// What was asked for.
        url: String,
        /// Status of the answer, where another one than 404 and 410 says so: object stores answer
        /// 403 to strangers, who shall not learn what is there.
        status: Option<u16>,
    },
    /// No complete answer, after retries where these could help.
    #[error("{url} cannot be fetched: {reason}")]
    Unavailable {
        /// What was asked for.
        url: String,
        /// What happened at the last try.
        reason: String,
    },
    /// Complete, but not the file that was named.
    #[error("{url} is not the expected file: expected {expected}, found {found}")]
    Mismatch {
        /// What was asked for.
        url: String,
        /// Size or digest that was named.
        expected: String,
        /// Size or digest that came.
        found: String,
    },
    /// Longer than the caller allows.
    #[error("{url} is larger than the {bytes_max} bytes allowed")]
    TooLarge {
        /// What was asked for.
        url: String,
        /// The caller's limit.
        bytes_max: u64,
    },
    /// A local file or folder that could not be read or written.
    #[error("{}: {reason}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// What kind of error it was; what it means for an attempt depends on it.
        kind: std::io::ErrorKind,
        /// What the system said.
        reason: String,
    },
}

impl FetchError {
    /// An error of the system at `path`.
    pub(crate) fn io(path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), kind: error.kind(), reason: error.to_string() }
    }
}
