//! Why a command did not succeed, and the exit code that says so to scripts.

use std::io;
use std::path::PathBuf;

use rebuilder_actors::port::{CloseReason, ConnectError, StreamError};
use rebuilder_actors::protocol::wire::CloseCode;
use rebuilder_actors::protocol::wire::v1::ctl::RefusalCode;
use rebuilder_transport::codes;

use crate::text::printable;

/// Exit codes: stable, and documented in `docs/ctl.md` and in `--help`.
pub mod exit {
    /// Done.
    pub const OK: u8 = 0;
    /// Failed inside, or something unexpected.
    pub const FAILED: u8 = 1;
    /// The command line, a key file or the request is wrong.
    pub const USAGE: u8 = 2;
    /// The coordinator cannot be reached, refuses the connection, or the connection was lost.
    pub const UNREACHABLE: u8 = 3;
    /// The key may not do this.
    pub const DENIED: u8 = 4;
    /// Nothing matched.
    pub const NOT_FOUND: u8 = 5;
    /// Several match where one is needed.
    pub const AMBIGUOUS: u8 = 6;
    /// `verify`: the file is not reproduced, or what is attested of it does not hold.
    pub const NOT_VERIFIED: u8 = 7;
    /// Interrupted from the keyboard.
    pub const INTERRUPTED: u8 = 130;
}

/// Why a command did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What was asked for makes no sense.
    #[error("{0}")]
    Usage(String),
    /// A key file that cannot be used.
    #[error("cannot use the key file {}: {reason}", path.display())]
    KeyFile {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// No connection.
    #[error("{0}")]
    Connect(ConnectError),
    /// No answer in time.
    #[error("no answer from {endpoint} within {secs} s")]
    Silent {
        /// Whom we asked.
        endpoint: String,
        /// How long we waited.
        secs: u32,
    },
    /// The coordinator closed the connection, or it was lost.
    #[error("{}: {}", ended(.0), printable(&.0.text))]
    Closed(CloseReason),
    /// Something that does not belong here arrived.
    #[error("unexpected answer: {0}")]
    Protocol(String),
    /// The coordinator refused the request.
    #[error("{}", printable(text))]
    Refused {
        /// Why.
        code: RefusalCode,
        /// For people.
        text: String,
    },
    /// Nothing matched.
    #[error("{0}")]
    NothingMatched(String),
    /// A file is not what a rebuild gave.
    #[error("not verified: {0}")]
    NotVerified(String),
    /// Several match; they were listed.
    #[error(
        "{0} packages match where one is needed; narrow it down with --release, \
             --architecture, --component or --version"
    )]
    Ambiguous(u32),
    /// Output cannot be written.
    #[error("cannot write the output: {0}")]
    Output(io::Error),
    /// Whoever reads our output has enough: not a failure.
    #[error("output closed")]
    OutputClosed,
    /// Something of this machine that should always work.
    #[error("{0}")]
    Internal(String),
    /// Interrupted from the keyboard.
    #[error("interrupted")]
    Interrupted,
}

impl Failure {
    /// The exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::KeyFile { .. } => exit::USAGE,
            Self::Connect(_) | Self::Silent { .. } | Self::Closed(_) => exit::UNREACHABLE,
            Self::Protocol(_) | Self::Output(_) | Self::Internal(_) => exit::FAILED,
            Self::NothingMatched(_) => exit::NOT_FOUND,
            Self::NotVerified(_) => exit::NOT_VERIFIED,
            Self::Ambiguous(_) => exit::AMBIGUOUS,
            Self::OutputClosed => exit::OK,
            Self::Interrupted => exit::INTERRUPTED,
            Self::Refused { code, .. } => match code {
                RefusalCode::Denied => exit::DENIED,
                RefusalCode::NotFound => exit::NOT_FOUND,
                RefusalCode::Invalid => exit::USAGE,
                RefusalCode::Internal => exit::FAILED,
            },
        }
    }

    /// True when it needs no words: the user caused it, or nothing is wrong.
    pub fn is_quiet(&self) -> bool {
        matches!(self, Self::OutputClosed | Self::Interrupted)
    }

    /// What to do about it; `None` where the message says it all.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Connect(ConnectError::WrongKey { .. }) => {
                "if the coordinator was given a new key, name it with --coordinator or in the \
                 file coordinator.pub beside the key; if not, somebody else answers there"
            }
            Self::Connect(ConnectError::Resolve { .. }) => {
                "check the host name in --endpoint or REBUILDER_ENDPOINT"
            }
            Self::Connect(_) | Self::Silent { .. } => {
                "check that the coordinator runs, that --endpoint or REBUILDER_ENDPOINT names its \
                 address and QUIC port, and that no firewall drops UDP on the way"
            }
            Self::Closed(reason) if reason.code == CloseCode::Version as u32 => {
                "upgrade the older side; the coordinator is upgraded first"
            }
            Self::Closed(reason) if reason.code == CloseCode::Busy as u32 => "try again later",
            Self::Refused { code: RefusalCode::Denied, .. } => {
                "this needs the admin key: the file ctl.key that the coordinator made beside its \
                 database, named with --key or REBUILDER_CTL_KEY; or a key of your own that lasts: \
                 `rebuilder-ctl keygen` makes one and says what to add to `admins`. -v says which \
                 key was used"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

/// Who ended a connection.
fn ended(reason: &CloseReason) -> &'static str {
    if reason.code > codes::APPLICATION_MAX {
        "the connection to the coordinator was lost"
    } else {
        "the coordinator closed the connection"
    }
}

impl From<StreamError> for Failure {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Closed(reason) => Self::Closed(reason),
            other => Self::Protocol(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_exit_code() {
        let refused = |code| Failure::Refused { code, text: String::new() }.exit_code();
        assert_eq!(refused(RefusalCode::Denied), 4);
        assert_eq!(refused(RefusalCode::NotFound), 5);
        assert_eq!(refused(RefusalCode::Invalid), 2);
        assert_eq!(refused(RefusalCode::Internal), 1);
    }

    #[test]
    fn failures_of_the_way_there_are_3() {
        let address = "a:1".to_owned();
        let lost = Failure::Connect(ConnectError::Unreachable { address, reason: "x".into() });
        assert_eq!(lost.exit_code(), 3);
        assert!(lost.hint().unwrap().contains("UDP"));
        assert_eq!(Failure::Silent { endpoint: "a:1".into(), secs: 1 }.exit_code(), 3);
        let closed = Failure::Closed(CloseReason { code: 1, text: "old\u{1b}[2J".into() });
        assert_eq!(closed.exit_code(), 3);
        assert_eq!(closed.to_string(), "the coordinator closed the connection: old?[2J");
        let silent = Failure::Closed(CloseReason { code: codes::SILENT, text: "silent".into() });
        assert_eq!(silent.to_string(), "the connection to the coordinator was lost: silent");
    }

    #[test]
    fn the_rest_of_the_exit_codes() {
        assert_eq!(Failure::Usage(String::new()).exit_code(), 2);
        assert_eq!(Failure::NothingMatched(String::new()).exit_code(), 5);
        assert_eq!(Failure::Ambiguous(2).exit_code(), 6);
        assert_eq!(Failure::NotVerified(String::new()).exit_code(), 7);
        assert_eq!(Failure::OutputClosed.exit_code(), 0);
        assert_eq!(Failure::Interrupted.exit_code(), 130);
        assert_eq!(Failure::Protocol(String::new()).exit_code(), 1);
    }
}
