//! Messages between nodes. A frame is one postcard value; a remainder after decoding is an error.
//!
//! [`Hello`] and [`Welcome`] come first on the first stream and never change; they agree on the
//! version of everything that follows. Messages never change within a version: a new one is a new
//! module, and a release speaks the last two.

mod codec;
mod hello;
pub mod v1;

pub use codec::{DecodeError, decode, encode};
pub use hello::{
    BootId, Enrolment, EnrolmentKind, Hello, Offer, Role, SOFTWARE, VERSION_MAX, VERSION_MIN,
    Welcome, agree, enrolment_proof,
};

/// Label of the TLS exporter to which enrolment proofs are bound.
pub const EXPORTER: &[u8] = b"EXPORTER-rebuilder-enrol";
/// Largest frame of the control stream, bytes: a report with its attestations, an assignment.
pub const CONTROL_FRAME_BYTES_MAX: usize = 4 << 20;
/// Largest first frame of a connection, bytes: the largest offer that is taken has about 13 KiB.
pub const HELLO_FRAME_BYTES_MAX: usize = 32 << 10;
/// Largest status, bytes: [`SPOOLED_MAX`] and [`RUNNING_MAX`] attempts take 46 KiB.
pub const STATUS_FRAME_BYTES_MAX: usize = 64 << 10;
/// Largest request of ctl, bytes: a filter has seven names.
pub const REQUEST_FRAME_BYTES_MAX: usize = 16 << 10;
/// Attempts in one status that wait for an answer. A worker with more than 256 is given no work.
pub const SPOOLED_MAX: usize = 4_096;
/// Attempts in one status that occupy slots: the most slots that an offer may have.
pub const RUNNING_MAX: usize = 256;
/// Largest frame of an upload or of an answer to ctl, bytes.
pub const CHUNK_FRAME_BYTES_MAX: usize = 256 << 10;

/// Why a connection was closed on purpose; sent as the code of the close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum CloseCode {
    /// Nothing is wrong: the node stops.
    Stopping = 0,
    /// No protocol version in common.
    Version = 1,
    /// A message that cannot be decoded, or that does not belong here.
    Protocol = 2,
    /// The key may not do what it asked to do.
    Denied = 3,
    /// The key was revoked.
    Revoked = 4,
    /// Another live connection uses the same key.
    Duplicate = 5,
    /// Too many connections.
    Busy = 6,
    /// Something failed inside; try again.
    Internal = 7,
    /// The peer does not read what it is sent; try again.
    Unread = 8,
    /// Nothing was asked for long, and the place is needed; connect again when there is a question.
    Idle = 9,
}
