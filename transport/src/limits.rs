use core::time::Duration;

/// What one endpoint allows itself and its peers. [`Limits::default`] suits a coordinator.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections open at one time, ours and the peers', with those that were closed and whose
    /// last datagrams may still come; further peers are refused before they have a key.
    pub connections_max: usize,
    /// Handshakes of peers under way at one time; for a further one the oldest of the address that
    /// has the most is given up.
    pub handshakes_max: usize,
    /// From this many handshakes under way on, a peer must first prove that it receives at its
    /// address (QUIC Retry), so that forged senders cannot fill `handshakes_max`.
    pub handshakes_unproven_max: usize,
    /// A handshake that takes longer is given up.
    pub handshake_timeout: Duration,
    /// A peer of which nothing was heard for so long is gone. The smaller one of both ends counts.
    pub idle_timeout: Duration,
    /// Sends something after so long a silence; `None`: the application's statuses do that.
    pub keep_alive: Option<Duration>,
    /// Streams in both directions that a peer may have open at one time, once its connection is
    /// [widened](rebuilder_actors::port::Connection::widen); to peers that this side connects to
    /// from the start.
    pub streams_max: u32,
    /// The same for a peer that connected and is not widened, which may be anybody.
    pub streams_unknown_max: u32,
    /// One-way streams that a peer may have open at one time.
    pub streams_one_way_max: u32,
    /// Bytes of one stream received and not yet read.
    pub stream_window: u32,
    /// Bytes of one connection received and not yet read, once it is widened.
    pub connection_window: u32,
    /// Bytes of one connection sent and not yet acknowledged, once it is widened.
    pub send_window: u32,
    /// The same as both for a peer that connected and is not widened.
    pub window_unknown: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // The coordinator's default places (4,096 and 256 of admins), its handshakes, and those
            // that are closed, which QUIC keeps for three timeouts.
            connections_max: 8_192,
            handshakes_max: 256,
            handshakes_unproven_max: 32,
            handshake_timeout: Duration::from_secs(10),
            // Three statuses of a worker (one every 10 s).
            idle_timeout: Duration::from_secs(30),
            keep_alive: None,
            // A worker sends one log a slot, and may have as many slots as cores: 256 logs, its
            // control stream, and differences beside them. A stream that must wait for another
            // holds its log back for as long as a build takes.
            streams_max: 320,
            // ctl asks one question at a time, or some.
            streams_unknown_max: 8,
            // The protocol has none.
            streams_one_way_max: 8,
            stream_window: 1 << 20,
            connection_window: 4 << 20,
            send_window: 4 << 20,
            // A question is small; an answer of this size in each round trip of 100 ms is
            // 1.25 MiB/s.
            window_unknown: 128 << 10,
        }
    }
}
