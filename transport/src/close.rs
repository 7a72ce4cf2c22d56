use core::time::Duration;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use quinn::{ConnectionError, ReadError, VarInt, WriteError};
use rebuilder_actors::port::{CloseReason, StreamError};

use crate::codes;

/// Bytes of a close reason's text, sent and received.
pub(crate) const TEXT_LEN_MAX: usize = 1024;

/// What was said when the connection was closed from here, and what errors mean.
pub(crate) struct CloseReasons {
    own: OnceLock<CloseReason>,
    endpoint: Arc<OnceLock<CloseReason>>,
    idle_timeout: Duration,
}

impl CloseReasons {
    pub(crate) fn new(endpoint: Arc<OnceLock<CloseReason>>, idle_timeout: Duration) -> Self {
        Self { own: OnceLock::new(), endpoint, idle_timeout }
    }

    /// Remembers why the connection is closed from here; the first reason counts.
    pub(crate) fn set_own(&self, reason: CloseReason) {
        self.own.get_or_init(|| reason);
    }

    pub(crate) fn of(&self, error: &ConnectionError) -> CloseReason {
        match error {
            ConnectionError::ApplicationClosed(close) => from_peer(close),
            ConnectionError::LocallyClosed => self.local(),
            ConnectionError::TimedOut => CloseReason {
                code: codes::SILENT,
                text: format!("peer silent for {} s", self.idle_timeout.as_secs()),
            },
            ConnectionError::Reset => CloseReason {
                code: codes::RESTARTED,
                text: "the peer was restarted and does not know this connection".into(),
            },
            ConnectionError::TransportError(e) => transport(e.code.into(), &e.to_string()),
            ConnectionError::ConnectionClosed(close) => {
                transport(close.error_code.into(), &format!("aborted by the peer: {close}"))
            }
            ConnectionError::VersionMismatch | ConnectionError::CidsExhausted => {
                CloseReason { code: codes::UNUSABLE, text: error.to_string() }
            }
        }
    }

    pub(crate) fn closed(&self, error: &ConnectionError) -> StreamError {
        StreamError::Closed(self.of(error))
    }

    pub(crate) fn read_error(&self, error: ReadError) -> StreamError {
        match error {
            ReadError::Reset(code) => StreamError::Reset(code.into_inner()),
            ReadError::ConnectionLost(error) => self.closed(&error),
            ReadError::ClosedStream
            | ReadError::IllegalOrderedRead
            | ReadError::ZeroRttRejected => finished(&error.to_string()),
        }
    }

    pub(crate) fn write_error(&self, error: WriteError) -> StreamError {
        match error {
            WriteError::Stopped(code) => StreamError::Reset(code.into_inner()),
            WriteError::ConnectionLost(error) => self.closed(&error),
            WriteError::ClosedStream | WriteError::ZeroRttRejected => finished(&error.to_string()),
        }
    }

    fn local(&self) -> CloseReason {
        self.own.get().or_else(|| self.endpoint.get()).cloned().unwrap_or_else(|| CloseReason {
            code: codes::LOCAL,
            text: "closed here without a reason".into(),
        })
    }
}

/// `reason` as QUIC carries it: the code kept out of the transport's range, the text cut.
pub(crate) fn to_wire(reason: &CloseReason) -> (VarInt, &[u8]) {
    let code = reason.code.min(codes::APPLICATION_MAX);
    let end = reason.text.floor_char_boundary_at(TEXT_LEN_MAX);
    (VarInt::from_u32(code), &reason.text.as_bytes()[..end])
}

/// What a stream says that was finished or reset here before.
pub(crate) fn finished(text: &str) -> StreamError {
    StreamError::Closed(CloseReason { code: codes::FINISHED, text: text.into() })
}

fn from_peer(close: &quinn::ApplicationClose) -> CloseReason {
    let code = u32::try_from(close.error_code.into_inner()).unwrap_or(u32::MAX);
    let code = code.min(codes::APPLICATION_MAX);
    if code == codes::DROPPED && close.reason.is_empty() {
        return CloseReason { code, text: "the peer dropped the connection".into() };
    }
    CloseReason { code, text: printable(&close.reason) }
}

fn transport(code: u64, text: &str) -> CloseReason {
    // TLS alerts end at 0x1ff; the rest of the range is our own.
    let code = codes::TRANSPORT + u32::try_from(code).unwrap_or(u32::MAX).min(0xefff);
    CloseReason { code, text: printable(text.as_bytes()) }
}

/// Text of a stranger for a log or a terminal: cut, and without control characters.
pub(crate) fn printable(text: &[u8]) -> String {
    let text = Bytes::copy_from_slice(&text[..text.len().min(TEXT_LEN_MAX)]);
    let clean = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let mut text = String::from_utf8_lossy(&text).chars().map(clean).collect::<String>();
    text.truncate(text.floor_char_boundary_at(TEXT_LEN_MAX));
    text
}

trait FloorCharBoundary {
    /// The largest character boundary at or below `index`.
    fn floor_char_boundary_at(&self, index: usize) -> usize;
}

impl FloorCharBoundary for str {
    fn floor_char_boundary_at(&self, index: usize) -> usize {
        if index >= self.len() {
            return self.len();
        }
        (0..=index).rev().find(|&at| self.is_char_boundary(at)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer_closed(code: u64, reason: &[u8]) -> CloseReason {
        from_peer(&quinn::ApplicationClose {
            error_code: VarInt::from_u64(code).unwrap(),
            reason: Bytes::copy_from_slice(reason),
        })
    }

    #[test]
    fn codes_of_the_transport_cannot_be_sent_by_a_peer() {
        assert_eq!(peer_closed(7, b"revoked"), CloseReason { code: 7, text: "revoked".into() });
        assert_eq!(peer_closed(u64::from(codes::SILENT), b"x").code, codes::APPLICATION_MAX);
        assert_eq!(peer_closed(u64::MAX >> 2, b"x").code, codes::APPLICATION_MAX);
        let (code, _) = to_wire(&CloseReason { code: codes::SILENT, text: String::new() });
        assert_eq!(code, VarInt::from_u32(codes::APPLICATION_MAX));
    }

    #[test]
    fn text_is_cut_at_a_character_and_cleaned() {
        let text = "ä".repeat(1000);
        let reason = CloseReason { code: 1, text: format!("x{text}") };
        let (_, wire) = to_wire(&reason);
        assert_eq!(wire.len(), 1023);
        assert!(core::str::from_utf8(wire).is_ok());
        assert_eq!(peer_closed(1, b"\x1b[2Jgone\n").text, "\u{fffd}[2Jgone\u{fffd}");
        assert!(peer_closed(1, &[0xff; 4000]).text.len() <= TEXT_LEN_MAX);
        assert_eq!(peer_closed(0, b"").text, "the peer dropped the connection");
    }

    #[test]
    fn silence_and_local_closing_are_named() {
        let endpoint = Arc::new(OnceLock::new());
        let reasons = CloseReasons::new(endpoint.clone(), Duration::from_secs(30));
        assert_eq!(
            reasons.of(&ConnectionError::TimedOut).to_string(),
            format!("peer silent for 30 s (code {})", codes::SILENT)
        );
        assert_eq!(reasons.of(&ConnectionError::LocallyClosed).code, codes::LOCAL);
        endpoint.set(CloseReason { code: 3, text: "stopping".into() }).unwrap();
        assert_eq!(reasons.of(&ConnectionError::LocallyClosed).code, 3);
        reasons.set_own(CloseReason { code: 4, text: "revoked".into() });
        reasons.set_own(CloseReason { code: 5, text: "late".into() });
        assert_eq!(reasons.of(&ConnectionError::LocallyClosed).code, 4);
    }
}
