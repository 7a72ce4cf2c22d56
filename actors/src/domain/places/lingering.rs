use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use super::Origin;
use crate::port::Monotonic;

/// Handshakes that failed or were left: QUIC keeps each for three timeouts, so that peers who begin
/// and leave at once fill the endpoint though no handshake is under way.
#[derive(Debug, Default)]
pub struct Lingering {
    /// In the order in which they ended.
    ended: VecDeque<(Monotonic, Origin)>,
    origins: BTreeMap<Origin, usize>,
}

/// How long QUIC keeps a connection that ends before the round trip was measured: three timeouts
/// (RFC 9000 §10.2) of the first second (RFC 9002 §6.2.2).
const KEPT: Duration = Duration::from_secs(3);
/// Of one origin; a farm whose workers all fail at once is not kept out by that for long.
const EACH_MAX: usize = 256;
/// Of all origins together. One that left nothing gets in beyond this, so that a flood from some
/// addresses keeps no other one out.
const ALL_MAX: usize = 2_048;

impl Lingering {
    /// One of this origin ended without a connection.
    pub fn ended(&mut self, now: Monotonic, origin: Origin) {
        self.forget(now);
        self.ended.push_back((now, origin));
        *self.origins.entry(origin).or_default() += 1;
    }

    /// True when the next attempt of this origin may begin.
    pub fn has_room(&mut self, now: Monotonic, origin: Origin) -> bool {
        self.forget(now);
        let own = self.origins.get(&origin).copied().unwrap_or(0);
        own == 0 || (own < EACH_MAX && self.ended.len() < ALL_MAX)
    }

    /// How many there are.
    pub fn len(&mut self, now: Monotonic) -> usize {
        self.forget(now);
        self.ended.len()
    }

    fn forget(&mut self, now: Monotonic) {
        while let Some((at, origin)) = self.ended.front().copied() {
            if now.since(at) < KEPT {
                return;
            }
            self.ended.pop_front();
            if let Some(count) = self.origins.get_mut(&origin) {
                *count -= 1;
                if *count == 0 {
                    self.origins.remove(&origin);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Monotonic {
        Monotonic(Duration::from_millis(ms))
    }

    fn origin(number: usize) -> Origin {
        Origin::V4(u32::try_from(number).unwrap().to_be_bytes())
    }

    #[test]
    fn one_origin_has_room_again_once_its_own_are_forgotten() {
        let mut lingering = Lingering::default();
        let mut begun = 0;
        // A thousand attempts a second that end at once, for six seconds.
        for ms in 0..6_000 {
            if lingering.has_room(at(ms), origin(1)) {
                begun += 1;
                lingering.ended(at(ms), origin(1));
            }
            assert!(lingering.len(at(ms)) <= EACH_MAX);
            assert!(lingering.has_room(at(ms), origin(2)), "another one is not kept out");
        }
        assert_eq!(begun, 2 * EACH_MAX);
        assert_eq!((lingering.len(at(10_000)), lingering.origins.len()), (0, 0));
    }

    #[test]
    fn many_origins_share_a_bound_and_a_new_one_gets_in() {
        let mut lingering = Lingering::default();
        for number in 0..100_000 {
            let one = origin(number % 1_000);
            if lingering.has_room(at(0), one) {
                lingering.ended(at(0), one);
            }
        }
        assert_eq!(lingering.len(at(0)), ALL_MAX);
        assert!(!lingering.has_room(at(0), origin(7)));
        assert!(lingering.has_room(at(0), origin(1_000_000)));
    }
}
