use std::path::{Path, PathBuf};

use rebuilder_actors::port::{BlobError, SpoolError, StoreError};
use rebuilder_transport::EndpointError;
use rebuilder_transport::key_file::KeyFileError;

use crate::fetch::FetchError;
use crate::gateway::{CookieError, GatewayError};

/// Exit code of a process that found what is stored damaged (`EX_DATAERR` of `sysexits.h`).
pub const DAMAGED: u8 = 65;

/// A node that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    /// The data directory, its lock or its schema.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The folder of blobs.
    #[error(transparent)]
    Blobs(#[from] BlobError),
    /// The spool.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// A key.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The QUIC endpoint.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The listener of HTTP.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// The admin cookie.
    #[error(transparent)]
    Cookie(#[from] CookieError),
    /// The HTTP client.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A file or folder.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// "create", "write" …
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A worker that does not know its coordinator.
    #[error("{0}")]
    Unknown(String),
    /// The tree did not start.
    #[error("cannot start: {0}")]
    Start(String),
    /// Profiles that could not be synced, each with its reason.
    #[error("not all is rebuilt: {0}")]
    Profiles(String),
    /// The tree gave up; the service manager starts the process again.
    #[error("gave up: {0}")]
    GaveUp(String),
    /// What is stored is damaged; another start finds the same.
    #[error("{0}")]
    Damaged(String),
    /// Another coordinator took the store over; this one must not take it back.
    #[error("{0}")]
    TakenOver(String),
    /// Not every job came to an end.
    #[error("interrupted")]
    Interrupted,
    /// A second signal came while the node stopped in order.
    #[error("stopped at once by a second {0}")]
    Forced(&'static str),
    /// Its terminal is gone, or its configuration is to be read again.
    #[error("stopped in order by SIGHUP: started again it reads its configuration anew")]
    HungUp,
    /// The coordinator will not let this worker in again.
    #[error(
        "the coordinator refused this worker: {0}. Starting it again changes nothing before its \
         key has rights; reports in its spool are kept"
    )]
    Refused(String),
}

impl RoleError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// The process's exit code, as `docs/configuration.md` lists them; else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            // EX_DATAERR of sysexits.h.
            Self::Damaged(_) | Self::Store(StoreError::Damaged { .. }) => DAMAGED,
            // EX_SOFTWARE of sysexits.h.
            Self::GaveUp(_) => 70,
            // EX_NOPERM of sysexits.h.
            Self::Refused(_) | Self::TakenOver(_) => 77,
            // 128 and the number of the signal.
            Self::HungUp => 129,
            Self::Interrupted | Self::Forced(_) => 130,
            _ => 1,
        }
    }
}
