//! Virtual time: tokio's paused clock behind every seam that asks what time it is.

use core::fmt;
use core::pin::Pin;
use core::sync::atomic::{AtomicI64, Ordering};
use core::task::{Context, Poll};
use core::time::Duration;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use quinn::{AsyncTimer, AsyncUdpSocket, Runtime};
use rebuilder_actors::port::{Clock, Monotonic};
use rebuilder_actors::protocol::UtcMillis;
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

/// 2026-01-01: where virtual time begins, milliseconds since 1970.
pub(super) const START_MS: u64 = 1_767_225_600_000;

/// Now, on the paused clock.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub(super) fn now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

/// Timers and tasks of QUIC on the paused clock.
#[derive(Debug)]
pub(super) struct VirtualTime;

impl Runtime for VirtualTime {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        Box::pin(Timer(Box::pin(tokio::time::sleep_until(at.into()))))
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        tokio::spawn(future);
    }

    fn wrap_udp_socket(&self, _: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn now(&self) -> Instant {
        now().into_std()
    }
}

#[derive(Debug)]
struct Timer(Pin<Box<tokio::time::Sleep>>);

impl AsyncTimer for Timer {
    fn reset(mut self: Pin<&mut Self>, at: Instant) {
        self.0.as_mut().reset(at.into());
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Future::poll(self.0.as_mut(), cx)
    }
}

/// The clocks of one machine: its wall clock is set by hand now and then, its monotonic one runs
/// too fast or too slow.
pub(super) struct MachineClock {
    /// Start of the world.
    zero: tokio::time::Instant,
    /// Added to the true time, milliseconds.
    offset: AtomicI64,
    /// Too fast by so many millionths.
    drift_ppm: AtomicI64,
}

impl MachineClock {
    pub(super) fn new(zero: tokio::time::Instant) -> Arc<Self> {
        Arc::new(Self { zero, offset: AtomicI64::new(0), drift_ppm: AtomicI64::new(0) })
    }

    /// Sets the wall clock: so many milliseconds beside the true time.
    pub(super) fn set_offset(&self, ms: i64) {
        self.offset.store(ms, Ordering::Relaxed);
    }

    /// For the next process: a running one would see its monotonic clock jump.
    pub(super) fn set_drift(&self, ppm: i64) {
        self.drift_ppm.store(ppm, Ordering::Relaxed);
    }

    fn utc(&self) -> UtcMillis {
        let true_ms = START_MS + ms(now().duration_since(self.zero));
        let true_ms = i64::try_from(true_ms).unwrap_or(i64::MAX);
        UtcMillis(true_ms.saturating_add(self.offset.load(Ordering::Relaxed)))
    }
}

impl fmt::Debug for MachineClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MachineClock")
    }
}

/// The clocks as one process sees them.
#[derive(Debug)]
pub(super) struct ProcessClock {
    machine: Arc<MachineClock>,
    started: tokio::time::Instant,
    drift_ppm: i64,
}

impl ProcessClock {
    pub(super) fn new(machine: Arc<MachineClock>) -> Self {
        let drift_ppm = machine.drift_ppm.load(Ordering::Relaxed);
        Self { machine, started: now(), drift_ppm }
    }
}

impl Clock for ProcessClock {
    fn monotonic(&self) -> Monotonic {
        let age = now().duration_since(self.started);
        let nanos = i128::try_from(age.as_nanos()).unwrap_or(i128::MAX);
        let nanos = nanos + nanos * i128::from(self.drift_ppm) / 1_000_000;
        Monotonic(Duration::from_nanos(u64::try_from(nanos).unwrap_or(0)))
    }

    fn utc(&self) -> UtcMillis {
        self.machine.utc()
    }
}

impl TimeProvider for MachineClock {
    fn current_time(&self) -> Option<UnixTime> {
        let ms = u64::try_from(self.utc().0).unwrap_or(0);
        Some(UnixTime::since_unix_epoch(Duration::from_millis(ms)))
    }
}

/// Whole milliseconds, saturating.
pub(super) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
