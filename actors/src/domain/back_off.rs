use core::time::Duration;

/// How long to wait before something that failed is tried again: twice as long after each further
/// failure in a row, up to a longest wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackOff {
    first: Duration,
    longest: Duration,
}

impl BackOff {
    /// Waits `first` after the first failure.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest }
    }

    /// The wait after so many failures in a row; 0 counts as 1.
    pub fn after(self, failures: u32) -> Duration {
        // Further doublings of a nanosecond are centuries already.
        let doublings = failures.saturating_sub(1).min(u32::BITS - 1);
        self.first.saturating_mul(1 << doublings).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let secs = Duration::from_secs;
        let (usual, odd) = (BackOff::new(secs(15), secs(3600)), BackOff::new(secs(3), secs(10)));
        let (none, over) = (BackOff::new(secs(0), secs(9)), BackOff::new(secs(9), secs(5)));
        for (back_off, failures, expected) in [
            (usual, 0, 15),
            (usual, 1, 15),
            (usual, 2, 30),
            (usual, 3, 60),
            (usual, 8, 1920),
            (usual, 9, 3600),
            (usual, 10, 3600),
            (usual, u32::MAX, 3600),
            (odd, 2, 6),
            (odd, 3, 10),
            (none, u32::MAX, 0),
            (over, 1, 5),
        ] {
            assert_eq!(back_off.after(failures), secs(expected), "{back_off:?}, {failures}");
        }
        let endless = BackOff::new(Duration::from_millis(250), Duration::MAX);
        assert!(endless.after(u32::MAX) >= endless.after(31));
    }
}
