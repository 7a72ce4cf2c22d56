use core::fmt;
use core::time::Duration;

/// Every datagram, as one number.
#[derive(Debug, Default)]
pub(super) struct Datagrams {
    hash: Hash,
    count: u64,
}

impl Datagrams {
    pub(super) fn sent(&mut self, at: Duration, from: u64, to: u64, bytes: &[u8]) {
        self.count += 1;
        self.hash.number(u64::try_from(at.as_nanos()).unwrap_or(u64::MAX));
        self.hash.number(from);
        self.hash.number(to);
        self.hash.bytes(bytes);
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }
}

impl fmt::Display for Datagrams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} datagrams, digest {}", self.count, self.hash)
    }
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
