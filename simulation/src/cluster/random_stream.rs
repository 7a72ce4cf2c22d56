use core::ops::Range;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use rebuilder_actors::protocol::Sha256;

/// One stream of chance. Every part of the world has its own, named by what it is for, so that a
/// part that asks more often changes nothing for the others.
#[derive(Debug)]
pub(super) struct RandomStream(ChaCha8Rng);

impl RandomStream {
    pub(super) fn new(seed: u64, name: &str) -> Self {
        let seed = Sha256::of(format!("{seed} {name}").as_bytes());
        Self(ChaCha8Rng::from_seed(seed.0))
    }

    /// Evenly enough from a range that is not empty.
    pub(super) fn of(&mut self, range: Range<u64>) -> u64 {
        range.start + self.0.next_u64() % (range.end - range.start)
    }

    /// As [`RandomStream::of`], for counts of things in memory.
    pub(super) fn count(&mut self, range: Range<usize>) -> usize {
        range.start + usize::try_from(self.of(0..range.len() as u64)).unwrap_or(0)
    }

    /// True in so many of a hundred cases.
    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.of(0..100) < percent
    }

    /// True in so many of a million cases.
    pub(super) fn millionth(&mut self, millionths: u64) -> bool {
        self.of(0..1_000_000) < millionths
    }

    /// One of these; there is at least one.
    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.count(0..from.len())]
    }

    /// Fills `bytes` from the stream.
    pub(super) fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// 32 random bytes.
    pub(super) fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.fill(&mut bytes);
        bytes
    }
}
