use std::collections::{BTreeMap, BTreeSet};

use super::Origin;

/// Handshakes under way, whose peers have no key yet. When all places are taken the oldest one of
/// the origin that has the most ends: an honest handshake takes two round trips, so that one which
/// is stuck goes first, and no origin can keep another out.
#[derive(Debug)]
pub struct Handshakes {
    max: usize,
    next: u64,
    origins: BTreeMap<Origin, BTreeSet<u64>>,
    under_way: BTreeMap<u64, Origin>,
}

impl Handshakes {
    /// At most `max` at a time, at least 1.
    pub fn new(max: usize) -> Self {
        let (origins, under_way) = (BTreeMap::new(), BTreeMap::new());
        Self { max: max.max(1), next: 0, origins, under_way }
    }

    /// One begins: its number, and the one that must end for it. `None`: there was a place.
    pub fn begin(&mut self, origin: Origin) -> (u64, Option<u64>) {
        let victim = if self.under_way.len() < self.max { None } else { self.victim() };
        if let Some(victim) = victim {
            self.end(victim);
        }
        self.next += 1;
        self.under_way.insert(self.next, origin);
        self.origins.entry(origin).or_default().insert(self.next);
        (self.next, victim)
    }

    /// Whether one must end for the next of this origin, and whether that is of the same origin.
    /// `None`: there is a place.
    pub fn ends_for(&self, origin: Origin) -> Option<bool> {
        if self.under_way.len() < self.max {
            return None;
        }
        self.victim().map(|victim| self.under_way.get(&victim) == Some(&origin))
    }

    /// One is over; one that ended before changes nothing.
    pub fn end(&mut self, number: u64) {
        let Some(origin) = self.under_way.remove(&number) else { return };
        if let Some(numbers) = self.origins.get_mut(&origin) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.origins.remove(&origin);
            }
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.under_way.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    fn victim(&self) -> Option<u64> {
        let first = |numbers: &BTreeSet<u64>| numbers.first().copied().unwrap_or(u64::MAX);
        let most = self.origins.values().max_by_key(|numbers| {
            // Of several with as many, the one whose oldest is the oldest.
            (numbers.len(), core::cmp::Reverse(first(numbers)))
        });
        most.and_then(|numbers| numbers.first().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Origin = Origin::V4([192, 0, 2, 1]);
    const B: Origin = Origin::V4([192, 0, 2, 2]);

    #[test]
    fn the_oldest_of_the_busiest_origin_ends_for_a_new_one() {
        let mut handshakes = Handshakes::new(3);
        assert_eq!(handshakes.begin(B), (1, None));
        assert_eq!(handshakes.begin(A), (2, None));
        assert_eq!(handshakes.begin(A), (3, None));
        assert_eq!((handshakes.ends_for(A), handshakes.ends_for(B)), (Some(true), Some(false)));
        assert_eq!(handshakes.begin(A), (4, Some(2)));
        // Another origin takes the place of the flood, never of the honest one.
        assert_eq!(handshakes.begin(B), (5, Some(3)));
        handshakes.end(1);
        handshakes.end(1);
        assert_eq!((handshakes.len(), handshakes.ends_for(A)), (2, None));
        assert_eq!(handshakes.begin(A), (6, None));
    }

    #[test]
    fn a_flood_of_one_origin_never_ends_what_others_began() {
        let mut handshakes = Handshakes::new(8);
        let (honest, _) = handshakes.begin(B);
        for _ in 0..10_000 {
            let (_, victim) = handshakes.begin(A);
            assert_ne!(victim, Some(honest));
            assert!(handshakes.len() <= 8);
        }
    }
}
