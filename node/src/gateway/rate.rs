use core::time::Duration;
use std::collections::BTreeMap;

use rebuilder_actors::port::Monotonic;

use super::address::Origin;

/// Requests of each origin in a bucket of tokens: `per_sec` come in a second, ten seconds' worth
/// may be used at once.
#[derive(Debug)]
pub(super) struct Rate {
    /// Time that a request costs.
    cost: Duration,
    /// When each origin has paid for its requests so far; those in the past are as good as absent.
    paid: BTreeMap<Origin, Monotonic>,
    /// When the paid ones were last removed.
    swept: Monotonic,
}

/// What may be used at once: a front page asks for a dozen things, and then for nothing.
const BURST: Duration = Duration::from_secs(10);
/// Origins that are told apart; the rest shares one bucket, so that memory is bounded.
const ORIGINS_MAX: usize = 65_536;
/// Paid origins are looked for at most so often: it is a walk over all of them.
const SWEEP: Duration = Duration::from_secs(1);

impl Rate {
    /// `per_sec` is at least 1.
    pub(super) fn new(per_sec: u32) -> Self {
        let cost = Duration::from_secs(1) / per_sec.max(1);
        Self { cost, paid: BTreeMap::new(), swept: Monotonic::default() }
    }

    /// A request at `now`.
    ///
    /// # Errors
    /// It is one too many; how long to wait.
    pub(super) fn take(&mut self, origin: Origin, now: Monotonic) -> Result<(), Duration> {
        if self.paid.len() >= ORIGINS_MAX && now.since(self.swept) >= SWEEP {
            self.paid.retain(|_, paid| *paid > now);
            self.swept = now;
        }
        let is_full = self.paid.len() >= ORIGINS_MAX && !self.paid.contains_key(&origin);
        let origin = if is_full { Origin::Others } else { origin };
        let paid = self.paid.entry(origin).or_insert(now);
        let ahead = paid.since(now);
        if ahead + self.cost > BURST {
            return Err((ahead + self.cost).saturating_sub(BURST));
        }
        *paid = now.plus(ahead + self.cost);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use core::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn at(millis: u64) -> Monotonic {
        Monotonic(Duration::from_millis(millis))
    }

    fn origin(number: u32) -> Origin {
        Origin::of(IpAddr::V4(Ipv4Addr::from_bits(number)))
    }

    #[test]
    fn ten_seconds_of_requests_come_at_once_and_then_one_at_a_time() {
        let mut rate = Rate::new(2);
        for _ in 0..20 {
            assert_eq!(rate.take(origin(1), at(5000)), Ok(()));
        }
        assert_eq!(rate.take(origin(1), at(5000)), Err(Duration::from_millis(500)));
        assert_eq!(rate.take(origin(2), at(5000)), Ok(()), "another is served");
        assert_eq!(rate.take(origin(1), at(5499)), Err(Duration::from_millis(1)));
        assert_eq!(rate.take(origin(1), at(5500)), Ok(()));
        assert!(rate.take(origin(1), at(5500)).is_err());
        // Who waits has all of it again, and never more.
        for _ in 0..20 {
            assert_eq!(rate.take(origin(1), at(600_000)), Ok(()));
        }
        assert!(rate.take(origin(1), at(600_000)).is_err());
    }

    #[test]
    fn who_comes_too_often_is_not_kept_out_longer() {
        let mut rate = Rate::new(1);
        for _ in 0..1000 {
            let _ = rate.take(origin(1), at(0));
        }
        assert_eq!(rate.take(origin(1), at(1000)), Ok(()));
    }

    #[test]
    fn many_origins_cost_no_more_memory_and_are_forgotten() {
        let mut rate = Rate::new(1);
        for number in 0..ORIGINS_MAX as u32 + 5 {
            assert_eq!(rate.take(origin(number), at(0)), Ok(()), "{number}");
        }
        assert_eq!(rate.paid.len(), ORIGINS_MAX + 1);
        for _ in 0..5 {
            assert_eq!(rate.take(origin(u32::MAX), at(0)), Ok(()));
        }
        assert!(rate.take(origin(u32::MAX), at(0)).is_err(), "the rest shares a bucket");
        assert_eq!(rate.take(origin(7), at(0)), Ok(()), "a known one has its own");
        assert_eq!(rate.take(origin(u32::MAX), at(60_000)), Ok(()));
        assert_eq!(rate.paid.len(), 1);
    }
}
