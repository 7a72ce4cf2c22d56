use core::time::Duration;

use crate::port::Monotonic;

/// So many a second, and as many at once after a pause.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Time that one takes.
    each: Duration,
    /// Time saved up at most.
    burst: Duration,
    /// When everything that was let through is paid for; may lie ahead.
    paid: Monotonic,
}

impl Pace {
    /// `per_second` is at least 1.
    pub fn new(per_second: u32) -> Self {
        let per_second = per_second.max(1);
        let each = Duration::from_secs(1) / per_second;
        Self { each, burst: each * (per_second - 1), paid: Monotonic::default() }
    }

    /// Time until the next one may pass; zero: now.
    pub fn wait(&self, now: Monotonic) -> Duration {
        self.paid.since(now.plus(self.burst))
    }

    /// Lets one pass, if it may.
    pub fn pass(&mut self, now: Monotonic) -> bool {
        if !self.wait(now).is_zero() {
            return false;
        }
        self.paid = self.paid.max(now).plus(self.each);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_pass_at_once_and_then_ten_a_second() {
        let mut pace = Pace::new(10);
        let mut passed = Vec::new();
        for ms in 5_000..7_000 {
            let now = Monotonic(Duration::from_millis(ms));
            while pace.pass(now) {
                passed.push(ms);
            }
        }
        assert_eq!(passed.iter().filter(|ms| **ms == 5_000).count(), 10);
        assert_eq!(passed.iter().filter(|ms| (5_001..6_001).contains(*ms)).count(), 10);
        assert_eq!(passed.len(), 29);
        let now = Monotonic(Duration::from_secs(7));
        assert_eq!(pace.wait(now), Duration::ZERO);
        assert!(pace.pass(now) && !pace.pass(now));
        assert_eq!(pace.wait(now), Duration::from_millis(100));
    }
}
