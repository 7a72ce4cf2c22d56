//! Which time counts as a worker's silence: only time in which the coordinator listened.

use core::time::Duration;

use crate::port::Monotonic;

/// A clock that stands still while the coordinator does. Leases and the silence of workers run on
/// it.
///
/// The queue asks to be woken every [`period`](Self::period) while it has leases. A wake-up goes
/// through the same mailbox as the workers' statuses: one that comes late says that the statuses of
/// that time were late as well, or still wait, whatever kept the process from its work. Only a
/// wake-up counts: while the mailbox is long, other events are handled all the time, each as late.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attention {
    period: Duration,
    /// The last wake-up, or the last event while there was no lease.
    looked: Monotonic,
    /// All stalls together.
    stalled: Duration,
}

impl Attention {
    pub(super) fn new(lease: Duration, now: Monotonic) -> Self {
        let period = (lease / PERIODS).max(PERIOD_MIN);
        Self { period, looked: now, stalled: Duration::ZERO }
    }

    /// Nothing is waited for up to `now`.
    pub(super) fn rest(&mut self, now: Monotonic) {
        self.looked = self.looked.max(now);
    }

    /// A wake-up is handled. The stall that it ends; `None`: it came in time.
    pub(super) fn look(&mut self, now: Monotonic) -> Option<Duration> {
        let stall = now.since(self.looked).saturating_sub(2 * self.period);
        self.stalled += stall;
        self.looked = now;
        (stall > Duration::ZERO).then_some(stall)
    }

    /// The time that counts: at most two periods after the last wake-up, so that nothing is lost
    /// before the next one says whether there was a stall.
    pub(super) fn time(&self, now: Monotonic) -> Monotonic {
        let counted = now.0.min(self.looked.0 + 2 * self.period);
        Monotonic(counted.saturating_sub(self.stalled))
    }

    /// Time until the next wake-up; never zero, as the one that is due may wait in the mailbox.
    pub(super) fn wait(&self, now: Monotonic) -> Duration {
        self.looked.plus(self.period).since(now).max(Duration::from_millis(1))
    }
}

/// A lease is as long as so many periods: a stall of two, which is not noticed, is a fifteenth of
/// it.
const PERIODS: u32 = 30;
/// The shortest lease that can be configured is 30 s.
const PERIOD_MIN: Duration = Duration::from_secs(1);
