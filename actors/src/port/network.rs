use core::net::SocketAddr;

use bytes::Bytes;

use super::BoxFuture;
use crate::protocol::PublicKey;

/// A node's endpoint: accepts and makes mutually authenticated connections.
///
/// Identity is the ed25519 key of the peer, proved by TLS before a [`Connection`] exists.
pub trait Network: Send + Sync + 'static {
    /// The next connection whose handshake is done; `None` once the endpoint is closed.
    /// Peers that fail the handshake are logged and never reach the caller.
    fn accept(&self) -> BoxFuture<'_, Option<Box<dyn Connection>>>;

    /// Connects to `address` (`host:port`). With `expect` the handshake fails unless the
    /// peer proves that key.
    ///
    /// # Errors
    /// The address does not resolve, nobody answers, or the peer has another key.
    fn connect<'a>(
        &'a self,
        address: &'a str,
        expect: Option<PublicKey>,
    ) -> BoxFuture<'a, Result<Box<dyn Connection>, ConnectError>>;

    /// The address on which connections are accepted; `None` for a client.
    fn local_address(&self) -> Option<SocketAddr>;

    /// Closes every connection with `reason` and stops accepting; done when peers were told.
    fn close(&self, reason: CloseReason) -> BoxFuture<'_, ()>;
}

/// One live connection. Clones share it; it closes when the last clone and stream are dropped.
pub trait Connection: Send + Sync + 'static {
    /// A second handle to the same connection.
    fn clone_handle(&self) -> Box<dyn Connection>;
    /// The key that the peer proved.
    fn peer(&self) -> PublicKey;
    /// Where the peer's datagrams come from.
    fn remote_address(&self) -> SocketAddr;
    /// 32 bytes that only the two ends of this connection know (RFC 8446 §7.5), the same on both.
    fn exporter(&self, label: &[u8], context: &[u8]) -> [u8; 32];
    /// Opens a stream of frames in both directions; `limit` bounds each received frame, bytes.
    fn open(&self, limit: usize) -> BoxFuture<'_, Result<FrameStreams, StreamError>>;
    /// The next stream in both directions that the peer opened.
    fn accept(&self, limit: usize) -> BoxFuture<'_, Result<FrameStreams, StreamError>>;
    /// Opens a stream of frames to the peer only.
    fn open_one_way(&self) -> BoxFuture<'_, Result<Box<dyn FrameSend>, StreamError>>;
    /// The next one-way stream that the peer opened.
    fn accept_one_way(
        &self,
        limit: usize,
    ) -> BoxFuture<'_, Result<Box<dyn FrameReceive>, StreamError>>;
    /// The peer is known: from now on it may have as many streams and bytes under way as a worker
    /// needs for its logs. Before, and for good without this, a peer that connected has few.
    fn widen(&self);
    /// Asks the peer's transport for an acknowledgement and waits for it; its application takes no
    /// part. Not done while the peer is silent, nor after the connection has ended: the caller
    /// bounds the wait.
    fn alive(&self) -> BoxFuture<'_, ()>;
    /// Closes now: streams of both sides end with an error that names `reason`.
    fn close(&self, reason: CloseReason);
    /// Waits until the connection is closed, by either side or by silence, and says why.
    fn closed(&self) -> BoxFuture<'_, CloseReason>;
}

/// Both directions of one stream.
pub type FrameStreams = (Box<dyn FrameSend>, Box<dyn FrameReceive>);

/// Sends frames in order, paced by the receiver.
pub trait FrameSend: Send + 'static {
    /// Sends one frame (length prefix added); waits while the receiver is slow.
    fn send(&mut self, frame: Bytes) -> BoxFuture<'_, Result<(), StreamError>>;
    /// Waits until the receiver wants no more of this stream, or the connection is gone; never ends
    /// where that cannot be told. Required, so that no wrapper forgets to pass it on: an answer
    /// would be made for a reader that has left.
    fn stopped(&self) -> BoxFuture<'static, ()>;
    /// No more frames: the receiver sees the end of the stream after the last one.
    fn finish(&mut self) -> Result<(), StreamError>;
}

/// Receives frames in order.
pub trait FrameReceive: Send + 'static {
    /// The next frame; `None` at the end of the stream. A frame over the limit, or one that
    /// the stream ends inside of, is an error.
    fn receive(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, StreamError>>;
    /// Bounds each frame of which nothing has come yet, bytes; the stream was opened or accepted
    /// with another limit.
    fn set_limit(&mut self, limit: usize);
}

/// Why a connection ended, as sent to the peer and as received from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseReason {
    /// Stable number, for programs (QUIC application error code; `actors::protocol::wire`).
    pub code: u32,
    /// For people; at most 1,024 bytes.
    pub text: String,
}

impl core::fmt::Display for CloseReason {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} (code {})", self.text, self.code)
    }
}

/// A connection that could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address.
    #[error("cannot resolve `{address}`: {reason}")]
    Resolve {
        /// As given.
        address: String,
        /// What the resolver said.
        reason: String,
    },
    /// No answer, or a refusal before the peer's identity was known.
    #[error("cannot reach {address}: {reason}")]
    Unreachable {
        /// As given.
        address: String,
        /// What happened.
        reason: String,
    },
    /// The peer proved another key than the pinned one.
    #[error("{address} has the key {found}, expected {expected}; another coordinator answers here")]
    WrongKey {
        /// As given.
        address: String,
        /// The pinned key.
        expected: PublicKey,
        /// The key that the peer proved.
        found: PublicKey,
    },
}

/// A stream or its connection that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The connection is gone.
    #[error("connection closed: {0}")]
    Closed(CloseReason),
    /// The peer stopped this stream only.
    #[error("stream reset by the peer (code {0})")]
    Reset(u64),
    /// A frame's length prefix is above what is allowed here.
    #[error("frame of {length} bytes is over the limit of {limit}")]
    FrameTooLong {
        /// As announced.
        length: usize,
        /// What is allowed.
        limit: usize,
    },
    /// The stream ended inside a frame.
    #[error("stream ended inside a frame")]
    Truncated,
}
