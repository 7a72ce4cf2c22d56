//! How keys and values of the port lie in the database.
//!
//! A page of the database that grows beyond a quarter of a segment moves to a file of its own,
//! which the database never syncs. So that this cannot happen, a value longer than [`CHUNK`] is
//! cut: the head stays at its key, the rest lies at keys that begin with `FF 01`. Keys lie as they
//! are, but for those that begin with `FF`: these get a `00` after it, which keeps their order and
//! keeps them apart from the rests.
//!
//! Stored value: `00` and all of it, or `01`, its whole length (u32, little-endian) and the head.

use std::ops::Range;

use bytes::{BufMut as _, Bytes, BytesMut};

/// Longest key, bytes.
pub const MAX_KEY: usize = 256;
/// Longest value, bytes.
pub const MAX_VALUE: usize = 1 << 20;
/// Longest piece of a value in one row, bytes.
pub const CHUNK: usize = 4096;
/// First of all keys that hold rests of values.
pub const RESTS: &[u8] = &[0xff, 0x01];

const WHOLE: u8 = 0;
const CUT: u8 = 1;
/// Tag and length before the head of a cut value.
const CUT_HEADER: usize = 5;

/// The key (or prefix of keys) as the database has it.
pub fn to_stored(key: &[u8]) -> Bytes {
    match key.split_first() {
        Some((0xff, rest)) => {
            let mut stored = BytesMut::with_capacity(key.len() + 1);
            stored.put_slice(&[0xff, 0x00]);
            stored.put_slice(rest);
            stored.freeze()
        }
        _ => Bytes::copy_from_slice(key),
    }
}

/// The key that `to_stored` was given, when it began with `FF`; otherwise the same bytes.
pub fn from_stored(stored: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    match stored {
        [0xff, 0x00, rest @ ..] => [&[0xff], rest].concat().into(),
        _ => stored.into(),
    }
}

/// Where piece `index` (1 and more) of the value at `key` lies. Keys of different lengths give
/// places of different lengths, so that no two meet.
pub fn rest_key(key: &[u8], index: usize) -> Vec<u8> {
    let index = u16::try_from(index).expect("a value has at most MAX_VALUE / CHUNK pieces");
    [RESTS, key, &index.to_be_bytes()].concat()
}

/// A stored head.
#[derive(Debug, PartialEq, Eq)]
pub enum Head<'a> {
    /// The whole value.
    Whole(&'a [u8]),
    /// The first piece, and how long the whole is.
    Cut { length: usize, first: &'a [u8] },
}

impl<'a> Head<'a> {
    /// Reads what the database has at a key; `None` when it cannot have been written so.
    pub fn read(stored: &'a [u8]) -> Option<Self> {
        match stored.split_first()? {
            (&WHOLE, value) => Some(Self::Whole(value)),
            (&CUT, rest) => {
                let (length, first) = rest.split_first_chunk::<4>()?;
                let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
                let sound = first.len() == CHUNK && (CHUNK + 1..=MAX_VALUE).contains(&length);
                sound.then_some(Self::Cut { length, first })
            }
            _ => None,
        }
    }

    /// Numbers of the rows that hold the rest.
    pub fn rests(&self) -> Range<usize> {
        match self {
            Self::Whole(_) => 1..1,
            Self::Cut { length, .. } => 1..length.div_ceil(CHUNK),
        }
    }
}

/// The head of `value`, and its rests in order.
pub fn cut(value: &[u8]) -> (Vec<u8>, impl Iterator<Item = &[u8]>) {
    let mut pieces = value.chunks(CHUNK);
    let first = pieces.next().unwrap_or_default();
    let mut head = Vec::with_capacity(CUT_HEADER + first.len());
    if value.len() <= CHUNK {
        head.push(WHOLE);
    } else {
        let length = u32::try_from(value.len()).expect("the caller bounds values by MAX_VALUE");
        head.push(CUT);
        head.extend_from_slice(&length.to_le_bytes());
    }
    head.extend_from_slice(first);
    (head, pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_keys_keep_their_order_and_come_back() {
        let keys: [&[u8]; 8] =
            [b"", b"\0", b"a", b"\xfe\xff", b"\xff", b"\xff\0", b"\xff\x01a", b"\xff\xff"];
        for pair in keys.windows(2) {
            assert!(to_stored(pair[0]) < to_stored(pair[1]), "{pair:?}");
        }
        for key in keys {
            assert!(*to_stored(key) < *RESTS);
            assert_eq!(*from_stored(&to_stored(key)), *key);
        }
    }

    #[test]
    fn heads_are_read_as_cut() {
        for length in [0, 1, CHUNK, CHUNK + 1, 3 * CHUNK, MAX_VALUE] {
            let value = vec![7; length];
            let (stored, rests) = cut(&value);
            let head = Head::read(&stored).unwrap();
            assert_eq!(head.rests().count(), rests.count(), "{length}");
        }
    }

    #[test]
    fn unsound_heads_are_refused() {
        let long = |length: u32| [&[CUT][..], &length.to_le_bytes(), &[0; CHUNK]].concat();
        assert!(Head::read(&long(5000)).is_some());
        for bad in [vec![], vec![2, 0], vec![CUT, 0, 0], long(0), long(4096), long(1 << 21)] {
            assert_eq!(Head::read(&bad), None);
        }
    }
}
