//! Numbers on the wire and in `CloseReason::code` that belong to the transport.
//!
//! Codes below [`TRANSPORT`] are the application's and travel unchanged. Codes from
//! [`TRANSPORT`] on are only ever made locally: a peer that sends one is read as
//! [`APPLICATION_MAX`], so a program may trust them.

/// A connection whose last handle was dropped without a reason.
pub const DROPPED: u32 = 0;
/// The largest code that an application can send.
pub const APPLICATION_MAX: u32 = TRANSPORT - 1;
/// The connection broke a rule of QUIC or TLS, as seen by either side: this and the QUIC error
/// code (RFC 9000 §20.1; 0x100 and the alert for TLS).
pub const TRANSPORT: u32 = 0xffff_0000;
/// Nothing came from the peer for the idle time.
pub const SILENT: u32 = 0xffff_f001;
/// The peer does not know this connection any more: it was restarted (stateless reset).
pub const RESTARTED: u32 = 0xffff_f002;
/// No version of QUIC, or no connection id, in common.
pub const UNUSABLE: u32 = 0xffff_f003;
/// Closed here without a reason of our own.
pub const LOCAL: u32 = 0xffff_f004;
/// The stream, not the connection, was finished here before.
pub const FINISHED: u32 = 0xffff_f005;

/// Stream code: the receiver dropped its half (what quinn sends by itself).
pub const STREAM_DROPPED: u64 = 0;
/// Stream code: a frame was over the receiver's limit.
pub const STREAM_FRAME_TOO_LONG: u64 = 1;
/// Stream code: the sender gave up inside a frame.
pub const STREAM_ABANDONED: u64 = 2;
