use core::time::Duration;

use crate::protocol::UtcMillis;

/// Time since an arbitrary moment at or before the start of the process; never steps back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(pub Duration);

impl Monotonic {
    /// This moment and `duration` more, saturating.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }

    /// Time from `earlier` to this moment; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Both clocks. Leases run on `monotonic`, retries on `utc`.
pub trait Clock: Send + Sync + 'static {
    /// The clock that never steps back.
    fn monotonic(&self) -> Monotonic;
    /// The wall clock.
    fn utc(&self) -> UtcMillis;
}
