use std::collections::BTreeMap;

use super::Numbers;
use crate::port::{BlobError, Parts};

/// What a part holds: the bytes of `letter(name)` at each offset, up to a length.
type Model = BTreeMap<&'static str, usize>;

const NAMES: [&str; 4] = ["a", "log-1.2", "log-10.2", "z_"];

/// Parts: what is appended is read, over restarts; gaps and names that are no plain names are
/// refused; only the latest owner collects. `open` opens the same, at first empty, parts each time;
/// an owner that was opened before may still be there.
pub fn parts(open: &mut dyn FnMut() -> Box<dyn Parts>) {
    history(open);
    refuses_names(&mut *open());
    collects_as_latest_owner(open);
}

fn history(open: &mut dyn FnMut() -> Box<dyn Parts>) {
    let (mut parts, mut random, mut model) = (open(), Numbers(11), Model::new());
    for step in 0..300 {
        let name = NAMES[random.below(NAMES.len())];
        let there = model.get(name).copied();
        let length = there.unwrap_or(0);
        match random.below(12) {
            0 => {
                drop(parts);
                parts = open();
            }
            1 => {
                parts.discard(name).unwrap();
                model.remove(name);
            }
            2 => {
                assert_eq!(parts.remove(name), Ok(there.is_some()), "step {step}");
                model.remove(name);
            }
            3 => {
                let (part, offset) = (name.to_owned(), length as u64 + 1 + random.below(9) as u64);
                let refused = parts.append(name, offset, b"xyz");
                let gap = BlobError::Gap { part, length: length as u64, offset };
                assert_eq!(refused, Err(gap), "step {step}");
            }
            4 => assert_eq!(parts.length(name), Ok(length as u64), "step {step}"),
            _ => {
                // What overlaps is skipped, all of it where nothing is new.
                let from = length - random.below(length + 1).min(random.below(3_000));
                let to = from + random.below(20_000);
                parts.append(name, from as u64, &content(name, from..to)).unwrap();
                if to > length {
                    model.insert(name, to);
                }
            }
        }
        same(&mut *parts, &model, &mut random, step);
    }
    for name in NAMES {
        parts.discard(name).unwrap();
    }
}

fn content(name: &str, range: core::ops::Range<usize>) -> Vec<u8> {
    range.map(|at| (at as u8) ^ (at >> 8) as u8 ^ name.as_bytes()[name.len() / 2]).collect()
}

fn same(parts: &mut dyn Parts, model: &Model, random: &mut Numbers, step: usize) {
    let names: Vec<&str> = model.keys().copied().collect();
    assert_eq!(parts.names().unwrap(), names, "step {step}");
    for name in NAMES {
        let Some(length) = model.get(name).copied() else {
            assert_eq!(parts.read(name, 0, 10), Ok(None), "step {step}: {name}");
            continue;
        };
        let from = random.below(length + 10);
        let to = length.min(from + random.below(30_000));
        let mut found = Vec::new();
        while from + found.len() < to {
            let wanted = to - from - found.len();
            let piece = parts.read(name, (from + found.len()) as u64, wanted).unwrap().unwrap();
            assert!((1..=wanted).contains(&piece.len()), "step {step}: {name}: {}", piece.len());
            found.extend_from_slice(&piece);
        }
        assert!(found == content(name, from..from.max(to)), "step {step}: {name} {from}..{to}");
        let beyond = parts.read(name, (length + random.below(2)) as u64, 5).unwrap();
        assert_eq!(beyond.as_deref(), Some(&b""[..]), "step {step}: {name} at its end");
    }
}

fn refuses_names(parts: &mut dyn Parts) {
    let long = "x".repeat(129);
    for name in ["", ".", "..", "../schema", "/etc/passwd", "a/b", "a\0b", "a b", "ä", &*long] {
        let refused = |result: Option<BlobError>| {
            assert!(matches!(result, Some(BlobError::Name(_))), "`{name}`: {result:?}");
        };
        refused(parts.length(name).err());
        refused(parts.append(name, 0, b"x").err());
        refused(parts.read(name, 0, 1).err());
        refused(parts.discard(name).err());
        refused(parts.remove(name).err());
    }
    assert_eq!(parts.names(), Ok(vec![]));
}

fn collects_as_latest_owner(open: &mut dyn FnMut() -> Box<dyn Parts>) {
    let mut before = open();
    before.append("part", 0, b"grew").unwrap();
    let mut latest = open();
    assert_eq!(before.remove("part"), Ok(false), "another owner may write to it");
    assert_eq!(latest.read("part", 0, 9).unwrap().as_deref(), Some(&b"grew"[..]));
    assert_eq!(latest.remove("part"), Ok(true));
    assert_eq!(latest.remove("part"), Ok(false));
    assert_eq!(latest.names(), Ok(vec![]));
}
