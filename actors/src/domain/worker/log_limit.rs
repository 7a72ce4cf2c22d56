use std::collections::VecDeque;

/// Keeps a log within a limit: its front as it comes, and when there is more than the limit a tail
/// of what came last, after a note that says what is missing.
#[derive(Debug)]
pub struct LogLimit {
    front_max: u64,
    tail_max: usize,
    kept: u64,
    total: u64,
    tail: VecDeque<u8>,
}

impl LogLimit {
    /// Bytes of the tail of a log that is cut (DESIGN §9).
    pub const TAIL: usize = 2 << 20;

    /// A limit of `bytes_max` in all, the note aside; a small one has a tail of a quarter of it.
    pub fn new(bytes_max: u64) -> Self {
        let quarter = usize::try_from(bytes_max / 4).unwrap_or(usize::MAX);
        let tail_max = quarter.min(Self::TAIL);
        let front_max = bytes_max - tail_max as u64;
        Self { front_max, tail_max, kept: 0, total: 0, tail: VecDeque::new() }
    }

    /// Takes the next bytes; returns those that are kept at once.
    pub fn push<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        self.total += bytes.len() as u64;
        let room = usize::try_from(self.front_max - self.kept).unwrap_or(usize::MAX);
        let (front, rest) = bytes.split_at(bytes.len().min(room));
        self.kept += front.len() as u64;
        let rest = &rest[rest.len().saturating_sub(self.tail_max)..];
        let over = (self.tail.len() + rest.len()).saturating_sub(self.tail_max);
        self.tail.drain(..over);
        self.tail.extend(rest);
        front
    }

    /// What is kept after the end: nothing, the rest, or a note and the tail.
    pub fn finish(&mut self) -> Vec<u8> {
        let missing = self.total - self.kept - self.tail.len() as u64;
        let mut end = Vec::new();
        if missing > 0 {
            let note = format!(
                "\n\nrebuilder: {missing} bytes of {} are left out here: the limit of the log is \
                 {} bytes\n\n",
                self.total,
                self.front_max + self.tail_max as u64
            );
            end.extend_from_slice(note.as_bytes());
        }
        end.extend(core::mem::take(&mut self.tail));
        end
    }

    /// True once something was left out.
    pub fn truncated(&self) -> bool {
        self.total > self.kept + self.tail_max as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_long_log_keeps_front_and_tail_and_says_what_is_missing() {
        let mut limit = LogLimit::new(8);
        let mut log = limit.push(b"abcdefgh").to_vec();
        log.extend_from_slice(limit.push(b"ijklmnop"));
        assert!(limit.truncated());
        log.extend(limit.finish());
        let text = String::from_utf8(log).unwrap();
        assert!(text.starts_with("abcdef\n\nrebuilder: 8 bytes of 16 are left out"), "{text}");
        assert!(text.ends_with("op"), "{text}");
    }

    proptest! {
        #[test]
        fn a_log_within_the_limit_is_kept_whole(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20),
        ) {
            let whole: Vec<u8> = pieces.concat();
            let mut limit = LogLimit::new(whole.len() as u64);
            let mut log = Vec::new();
            for piece in &pieces {
                log.extend_from_slice(limit.push(piece));
            }
            log.extend(limit.finish());
            prop_assert_eq!(log, whole);
            prop_assert!(!limit.truncated());
        }
    }
}
