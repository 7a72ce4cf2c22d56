use core::time::Duration;
use std::collections::BTreeMap;

use crate::port::Monotonic;

/// Time between two lines about the same kind of refusal: thousands of refusals a second are one
/// line with a count, so that a flood does not become a flood of lines.
pub const SAID_EVERY: Duration = Duration::from_secs(5);

/// Counts what is refused, by kind, and says when a line about it is due: about the first one at
/// once, about those that follow after [`SAID_EVERY`], with their number and the newest one's text.
#[derive(Clone, Debug)]
pub struct Tally<K> {
    /// Kinds of which a line was said less than [`SAID_EVERY`] ago.
    kinds: BTreeMap<K, Kind>,
}

#[derive(Clone, Debug)]
struct Kind {
    said: Monotonic,
    since: u64,
    newest: String,
}

/// What a line is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Of the newest one.
    pub text: String,
    /// Refusals that this line stands for, at least 1.
    pub count: u64,
}

impl core::fmt::Display for Counted {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.text)?;
        match self.count {
            1 => Ok(()),
            count => write!(f, " (the last of {count} such since the line before)"),
        }
    }
}

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Self { kinds: BTreeMap::new() }
    }
}

impl<K: Ord + Copy> Tally<K> {
    /// One more; the line to say now, if it is one that does not wait. `text` is made for lines
    /// and for the newest of those that wait.
    pub fn count(
        &mut self,
        now: Monotonic,
        kind: K,
        text: impl FnOnce() -> String,
    ) -> Option<Counted> {
        match self.kinds.get_mut(&kind) {
            None => {
                let newest = String::new();
                self.kinds.insert(kind, Kind { said: now, since: 0, newest });
                Some(Counted { text: text(), count: 1 })
            }
            Some(known) => {
                known.since += 1;
                known.newest = text();
                if now.since(known.said) < SAID_EVERY {
                    return None;
                }
                known.said = now;
                let count = core::mem::take(&mut known.since);
                Some(Counted { text: core::mem::take(&mut known.newest), count })
            }
        }
    }

    /// The lines that are due.
    pub fn due(&mut self, now: Monotonic) -> Vec<Counted> {
        let mut lines = Vec::new();
        self.kinds.retain(|_, kind| {
            if now.since(kind.said) < SAID_EVERY {
                return true;
            }
            kind.said = now;
            let count = core::mem::take(&mut kind.since);
            if count > 0 {
                lines.push(Counted { text: core::mem::take(&mut kind.newest), count });
            }
            count > 0
        });
        lines
    }

    /// When [`Tally::due`] has a line next; `None`: nothing waits to be said.
    pub fn next_due(&self) -> Option<Monotonic> {
        let waiting = self.kinds.values().filter(|kind| kind.since > 0);
        waiting.map(|kind| kind.said.plus(SAID_EVERY)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Monotonic {
        Monotonic(Duration::from_millis(ms))
    }

    #[test]
    fn the_first_is_said_at_once_and_a_flood_is_one_line_with_its_count() {
        let mut tally = Tally::default();
        let first = tally.count(at(0), 'a', || "first".into());
        assert_eq!(first.unwrap().to_string(), "first");
        for n in 1..=11_000 {
            // 2,200 a second.
            let said = tally.count(at(n * 5 / 11), 'a', || format!("number {n}"));
            assert_eq!(said.is_some(), n == 11_000, "{n}");
            if let Some(said) = said {
                let text = "number 11000 (the last of 11000 such since the line before)";
                assert_eq!(said.to_string(), text);
            }
        }
        assert_eq!(tally.next_due(), None);
        // Another kind is not held up by it.
        assert!(tally.count(at(5_001), 'b', || "b".into()).is_some());
    }

    #[test]
    fn what_a_flood_leaves_is_said_after_it_and_then_forgotten() {
        let mut tally = Tally::default();
        tally.count(at(0), 'a', || "1".into());
        tally.count(at(10), 'a', || "2".into());
        tally.count(at(20), 'a', || "3".into());
        assert_eq!(tally.next_due(), Some(at(5_000)));
        assert_eq!(tally.due(at(4_999)), []);
        assert_eq!(tally.due(at(5_000)), [Counted { text: "3".into(), count: 2 }]);
        assert_eq!((tally.due(at(10_000)), tally.kinds.len()), (vec![], 0));
    }
}
