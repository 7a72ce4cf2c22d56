use core::time::Duration;

/// Bounds of what strangers may cost over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// Connections at a time; those beyond wait in the kernel's queue.
    pub connections_max: usize,
    /// Time for the head of a request to arrive, which is also how long a connection may be idle.
    pub head: Duration,
    /// Time that a connection lives, with all that is asked on it and however slowly the answers
    /// are taken; who wants more connects again.
    pub life: Duration,
    /// Bytes of a request's body, as it comes and unpacked.
    pub body_bytes_max: u64,
    /// Time for a whole body to arrive, with the wait for one of the places that large ones need.
    pub body: Duration,
    /// Time in which something of a body must arrive.
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
            head: Duration::from_secs(10),
            life: Duration::from_secs(60),
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
