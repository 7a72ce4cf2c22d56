//! What every implementation of a port must do: suites that run on what the caller opens, and panic
//! at the first breach. For tests of whoever implements a port; in no program.
#![expect(clippy::unwrap_used, reason = "suites of tests")]

mod contents;
mod parts;
mod store;

pub use contents::contents;
pub use parts::parts;
pub use store::{store_fences, store_readers};

/// Numbers that look random, the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        // xorshift64*, of Vigna's "An experimental exploration of Marsaglia's xorshift generators".
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap() % end
    }
}
