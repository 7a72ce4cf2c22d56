use core::time::Duration;

use crate::domain::BackOff;
use crate::planted::{self, Bug};

/// When a job is tried again after a verdict that is not `Reproduced` (DESIGN §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The n-th retry comes n times this after the verdict before it.
    pub delay_base: Duration,
    /// `None`: no limit. 0: built once, never again.
    pub max_retries: Option<u32>,
}

impl Default for RetryPolicy {
    /// 24, 48, 72 … hours, without end.
    fn default() -> Self {
        Self { delay_base: Duration::from_secs(24 * 3600), max_retries: None }
    }
}

impl RetryPolicy {
    /// Delay before the next retry when `retries` were called for already; `None`: no more.
    pub fn next(&self, retries: u32) -> Option<Duration> {
        if self.max_retries.is_some_and(|max| retries >= max)
            && !planted::is(Bug::RetriesWithoutLimit)
        {
            return None;
        }
        Some(self.delay_base.saturating_mul(retries.saturating_add(1)))
    }
}

/// Faults of a moment in a row after which a job is parked.
pub(super) const FAULTS_MAX: u32 = 8;

/// After the n-th fault of a moment in a row (1 is the first).
pub const RETRY: BackOff = BackOff::new(Duration::from_secs(15), Duration::from_secs(3600));

/// How long a job is parked the n-th time in a row (1 is the first): a day first, at most 16.
pub const PARKED: BackOff = BackOff::new(DAY, DAY.saturating_mul(16));

const DAY: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn the_nth_retry_comes_n_times_the_base_later() {
        let policy = RetryPolicy::default();
        let delays: Vec<_> = (0..4).map(|n| policy.next(n).unwrap()).collect();
        assert_eq!(delays, [24 * HOUR, 48 * HOUR, 72 * HOUR, 96 * HOUR]);
    }

    #[test]
    fn zero_retries_means_built_once() {
        let policy = RetryPolicy { max_retries: Some(0), ..RetryPolicy::default() };
        assert_eq!(policy.next(0), None);
        let policy = RetryPolicy { max_retries: Some(2), ..RetryPolicy::default() };
        assert_eq!(policy.next(1), Some(48 * HOUR));
        assert_eq!(policy.next(2), None);
    }

    #[test]
    fn faults_wait_longer_each_time_and_not_for_ever() {
        assert_eq!(RETRY.after(1), Duration::from_secs(15));
        assert_eq!(RETRY.after(3), Duration::from_secs(60));
        assert_eq!(RETRY.after(40), HOUR);
        assert_eq!(PARKED.after(1), 24 * HOUR);
        assert_eq!(PARKED.after(9), 16 * 24 * HOUR);
    }
}
