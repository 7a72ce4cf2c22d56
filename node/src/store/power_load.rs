//! A load like the coordinator's, every batch of which follows from its number.

use std::collections::BTreeMap;

use bytes::Bytes;
use rebuilder_actors::port::{Batch, Op, StoreError, StoreRead};

use crate::testing::power_cut::Numbers;

/// Where the number of the last batch is.
const LAST: &[u8] = b"!last";
/// First bytes of keys: as many tables.
const TABLES: &[u8] = b"Ailnqrsw\xff";
const KEYS_A_TABLE: usize = 90;

/// Keys with what they must hold: the number of the batch that wrote it, and the length.
pub type Content = BTreeMap<Bytes, (u64, usize)>;

/// Batch `number`, from 1.
pub fn batch(number: u64) -> Batch {
    let mut random = Numbers::new(number);
    let mut batch = Batch::default();
    batch.put(LAST, value(number, 40));
    // Most are a report and its index entries; some fill segments; a few fill several.
    let ops = match number % 50 {
        // These may come in one commit.
        7..10 => 700,
        27 => 420,
        _ => 3 + random.below(12),
    };
    for _ in 0..ops {
        let table = TABLES[random.below(TABLES.len())];
        let id = u32::try_from(random.below(KEYS_A_TABLE)).expect("small");
        let key = [&[table][..], &id.to_be_bytes()].concat();
        if random.once_in(6) {
            batch.delete(key);
            continue;
        }
        let length = match random.below(200) {
            0 => 60_000 + random.below(100_000),
            1..6 => 4_090 + random.below(12),
            6..14 => 5_000 + random.below(20_000),
            14..40 => 900 + random.below(3_000),
            _ => 20 + random.below(880),
        };
        batch.put(key, value(number, length));
    }
    batch
}

/// Of at least 8 bytes; no piece of it is like that of another batch or place.
fn value(number: u64, length: usize) -> Vec<u8> {
    let mut value = vec![number.to_le_bytes()[0] ^ 0x5a; length];
    for (index, piece) in value.chunks_mut(128).enumerate() {
        let mark = (number << 16 | index as u64).to_be_bytes();
        let end = piece.len().min(mark.len());
        piece[..end].copy_from_slice(&mark[..end]);
    }
    value[..8].copy_from_slice(&number.to_be_bytes());
    value
}

/// Does to `content` what batch `number` does.
pub fn apply(content: &mut Content, number: u64) {
    for op in batch(number).0 {
        match op {
            Op::Put { key, value } => drop(content.insert(key, (number, value.len()))),
            Op::Delete { key } => drop(content.remove(&key)),
        }
    }
}

/// The number of the last batch in `store`; 0 when there is none.
pub fn last(store: &dyn StoreRead) -> Result<u64, StoreError> {
    let value = store.get(LAST)?;
    let number =
        |value: Bytes| value.first_chunk::<8>().map_or(u64::MAX, |n| u64::from_be_bytes(*n));
    Ok(value.map_or(0, number))
}

/// The first thing in `store` that is not as `content` says; `None` when all is.
pub fn difference(store: &dyn StoreRead, content: &Content) -> Option<String> {
    let mut expected = content.iter().peekable();
    let mut wrong = None;
    let scanned = store.scan(b"", b"", &mut |key, found| {
        wrong = match expected.next() {
            None => Some(format!("key {} should be absent", key.escape_ascii())),
            Some((name, _)) if *name != *key => {
                let (name, key) = (name.escape_ascii(), key.escape_ascii());
                Some(format!("found key {key} where {name} should be"))
            }
            Some((_, (number, length))) if *found != *value(*number, *length) => {
                let there = found.first_chunk::<8>().map(|n| u64::from_be_bytes(*n));
                let key = key.escape_ascii();
                Some(format!("key {key} should be of batch {number}, it is of {there:?}"))
            }
            Some(_) => None,
        };
        wrong.is_none()
    });
    if let Err(error) = scanned {
        return Some(format!("it cannot be read: {error}"));
    }
    wrong.or_else(|| expected.next().map(|(key, _)| format!("key {} is gone", key.escape_ascii())))
}
