use core::ops::Range;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// A source of chance: the same seed and name, the same numbers.
#[derive(Clone, Debug)]
pub struct Random(ChaCha8Rng);

impl Random {
    /// The stream of a seed that has a name: what is drawn from one leaves the others alone.
    pub fn new(seed: u64, stream: &str) -> Self {
        // FNV-1a: which names there are is known, so that nothing better is needed.
        let fold =
            |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        let name = stream.bytes().fold(0xcbf2_9ce4_8422_2325, fold);
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(name);
        Self(random)
    }

    /// Evenly enough from a range that is not empty.
    pub fn of(&mut self, range: Range<u64>) -> u64 {
        range.start + self.0.next_u64() % (range.end - range.start)
    }

    /// An index into a list of this length, which is not 0.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.of(0..length as u64)).expect("smaller than the length")
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.of(0..100) < percent
    }
}
