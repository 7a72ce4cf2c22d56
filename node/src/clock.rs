//! The clocks of this machine behind the port `Clock`.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rebuilder_actors::port::{Clock, Monotonic};
use rebuilder_actors::protocol::UtcMillis;

/// Both clocks of the operating system. Copies agree on the monotonic origin.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time is zero now.
    #[expect(clippy::disallowed_methods, reason = "this is the Clock port's real implementation")]
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn monotonic(&self) -> Monotonic {
        Monotonic(self.origin.elapsed())
    }

    #[expect(clippy::disallowed_methods, reason = "this is the Clock port's real implementation")]
    fn utc(&self) -> UtcMillis {
        let now = SystemTime::now();
        let millis = |since: std::time::Duration| i64::try_from(since.as_millis());
        UtcMillis(match now.duration_since(UNIX_EPOCH) {
            Ok(since) => millis(since).unwrap_or(i64::MAX),
            // A wall clock set before 1970 counts down from zero.
            Err(before) => millis(before.duration()).map_or(i64::MIN, core::ops::Neg::neg),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotonic_grows_and_copies_agree() {
        let clock = SystemClock::new();
        let copy = clock;
        let before = clock.monotonic();
        std::thread::sleep(std::time::Duration::from_millis(2));
        let after = copy.monotonic();
        assert!(after.since(before) >= std::time::Duration::from_millis(2));
    }

    #[test]
    fn utc_agrees_with_the_time_a_new_file_gets() {
        use std::os::unix::fs::MetadataExt as _;
        let before = SystemClock::new().utc();
        let file = tempfile::tempfile().unwrap();
        let after = SystemClock::new().utc();
        let meta = file.metadata().unwrap();
        let written = meta.mtime() * 1000 + meta.mtime_nsec() / 1_000_000;
        // The kernel stamps files with a clock of coarse ticks, 10 ms at most.
        let range = before.0 - 20..=after.0;
        assert!(range.contains(&written), "file {written}, clock {range:?}");
    }
}
