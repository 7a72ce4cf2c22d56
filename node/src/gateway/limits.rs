use core::time::Duration;

/// Bounds of what strangers may cost over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// Connections at a time; those beyond wait in the kernel's queue.
    pub connections_max: usize,
    /// Connections of one address (IPv6: of its first 64 bits); `None`: all that there are.
    pub connections_per_address_max: Option<usize>,
    /// Requests of one address in a second, ten seconds' worth at once; `None`: no bound.
    pub rate: Option<u32>,
    /// Time for the head of a request to arrive, which is also how long a connection may be idle.
    pub head: Duration,
    /// Bytes of a request's body, as it comes and unpacked.
    pub body_bytes_max: u64,
    /// Time for a whole body to arrive, with the wait for one of the places that large ones need.
    pub body: Duration,
    /// Time in which something of a body must arrive, and something of an answer be taken.
    pub progress: Duration,
    /// Bytes of a request's head.
    pub head_bytes_max: usize,
    /// Header lines of a request.
    pub headers_max: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connections_max: 256,
            // A quarter: one address does not take all. A browser opens six.
            connections_per_address_max: Some(64),
            rate: Some(100),
            head: Duration::from_secs(10),
            // A worker's report has a log and a difference, in which each byte is up to four
            // characters: 10 MiB and 40 MiB as they are usually capped.
            body_bytes_max: 256 << 20,
            body: Duration::from_secs(300),
            progress: Duration::from_secs(20),
            head_bytes_max: 16 << 10,
            headers_max: 64,
        }
    }
}
