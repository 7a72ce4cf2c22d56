use core::fmt;
use core::time::Duration;

/// Everything that happened, as one number, and as lines if somebody wants to read them.
#[derive(Debug, Default)]
pub(super) struct Trace {
    hash: Hash,
    events: u64,
    datagrams: u64,
    /// `None`: nobody reads.
    lines: Option<Vec<String>>,
}

impl Trace {
    pub(super) fn new(readable: bool) -> Self {
        Self { lines: readable.then(Vec::new), ..Self::default() }
    }

    /// One event that a person reads.
    pub(super) fn event(&mut self, at: Duration, node: &dyn fmt::Display, text: &str) {
        self.events += 1;
        self.hash.number(nanos(at));
        self.hash.bytes(text.as_bytes());
        self.line(at, node, text);
    }

    /// A line that is no part of the number.
    pub(super) fn line(&mut self, at: Duration, node: &dyn fmt::Display, text: &str) {
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{:>12.3} {node:<12} {text}", at.as_secs_f64()));
        }
    }

    /// One datagram: only its bytes count.
    pub(super) fn datagram(&mut self, at: Duration, from: u64, to: u64, bytes: &[u8]) {
        self.datagrams += 1;
        self.hash.number(nanos(at));
        self.hash.number(from);
        self.hash.number(to);
        self.hash.bytes(bytes);
    }

    pub(super) fn digest(&self) -> String {
        self.hash.to_string()
    }

    pub(super) fn events(&self) -> u64 {
        self.events
    }

    pub(super) fn datagrams(&self) -> u64 {
        self.datagrams
    }

    pub(super) fn take_lines(&mut self) -> Vec<String> {
        self.lines.take().unwrap_or_default()
    }
}

fn nanos(at: Duration) -> u64 {
    u64::try_from(at.as_nanos()).unwrap_or(u64::MAX)
}

/// Two lanes that are multiplied and turned, eight bytes at a time: no cryptography, but every bit
/// of a hundred thousand datagrams a second counts.
#[derive(Clone, Debug)]
struct Hash([u64; 2]);

impl Default for Hash {
    fn default() -> Self {
        Self([0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f])
    }
}

impl Hash {
    fn number(&mut self, number: u64) {
        let [a, b] = &mut self.0;
        *a = (*a ^ number).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(29);
        *b = (b.rotate_left(31) ^ number).wrapping_mul(0xc4ce_b9fe_1a85_ec53) ^ *a;
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.number(u64::from_le_bytes(*word)));
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.number(u64::from_le_bytes(last));
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.0[0], self.0[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_and_every_order_counts() {
        let digest = |parts: &[&[u8]]| {
            let mut hash = Hash::default();
            parts.iter().for_each(|part| hash.bytes(part));
            hash.to_string()
        };
        assert_eq!(digest(&[b"ab", b"c"]), digest(&[b"ab", b"c"]));
        assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
        assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"c", b"ab"]));
        assert_ne!(digest(&[b"123456789"]), digest(&[b"123456780"]));
        assert_ne!(digest(&[b"1"]), digest(&[b"1\0"]));
    }
}
