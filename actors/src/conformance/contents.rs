use std::collections::BTreeMap;

use bytes::Bytes;

use super::Numbers;
use crate::port::{BlobError, Contents, Source};
use crate::protocol::Sha256;

type Model = BTreeMap<Sha256, Vec<u8>>;

/// Contents: what was put is read and listed, over restarts, until it is removed; nothing is kept
/// of what was not announced or could not be read; only the latest owner removes. `open` opens the
/// same, at first empty, contents each time; an owner that was opened before may still be there.
pub fn contents(open: &mut dyn FnMut() -> Box<dyn Contents>) {
    history(open);
    has_the_empty_content(&mut *open());
    keeps_nothing_that_is_wrong(&mut *open());
    removes_as_latest_owner(open);
}

fn history(open: &mut dyn FnMut() -> Box<dyn Contents>) {
    let (mut contents, mut random, mut model) = (open(), Numbers(13), Model::new());
    for step in 0..240 {
        match random.below(10) {
            0 => {
                drop(contents);
                contents = open();
            }
            1 | 2 => {
                let known = random.below(40);
                let digest = Sha256::of(&content(known));
                let removed = contents.remove(digest);
                assert_eq!(removed, Ok(model.remove(&digest).is_some()), "step {step}");
            }
            _ => {
                let content = content(random.below(40));
                let digest = put(&mut *contents, &content).unwrap();
                model.insert(digest, content);
            }
        }
        let read = random.below(40);
        same_content(&mut *contents, &model, read, &mut random, step);
        if step % 8 == 0 {
            let limit = 1 + random.below(9);
            let after = (step % 16 == 0).then(|| Sha256::of(&content(random.below(40))));
            let from = |digest: &&Sha256| after.is_none_or(|after| **digest > after);
            let expected: Vec<Sha256> = model.keys().filter(from).copied().collect();
            assert_eq!(listed(&mut *contents, after, limit), expected, "step {step}");
        }
    }
    for digest in listed(&mut *contents, None, 7) {
        assert_eq!(contents.remove(digest), Ok(true));
    }
    assert_eq!(contents.list(None, 1), Ok(vec![]));
}

/// Of any length up to some 100 KB, the smallest of one byte; each other than the rest.
fn content(number: usize) -> Vec<u8> {
    let mut random = Numbers(number as u64 + 1);
    let length = 1 + number * number * 70;
    (0..length).map(|_| random.below(17) as u8 ^ number as u8).collect()
}

fn put(contents: &mut dyn Contents, content: &[u8]) -> Result<Sha256, BlobError> {
    let digest = Sha256::of(content);
    let mut source = Memory { content, fails_at: None };
    contents.put(digest, content.len() as u64, &mut source).map(|()| digest)
}

fn same_content(
    contents: &mut dyn Contents,
    model: &Model,
    number: usize,
    random: &mut Numbers,
    step: usize,
) {
    let digest = Sha256::of(&content(number));
    let Some(expected) = model.get(&digest) else {
        assert_eq!(contents.get(digest, 0, 10), Ok(None), "step {step}: content {number}");
        return;
    };
    let mut at = random.below(expected.len());
    while at < expected.len() {
        let wanted = 1 + random.below(40_000);
        let piece = contents.get(digest, at as u64, wanted).unwrap().unwrap();
        assert!((1..=wanted).contains(&piece.len()), "step {step}: content {number}");
        assert!(expected[at..].starts_with(&piece), "step {step}: content {number} at {at}");
        at += piece.len();
    }
    for beyond in [at, at + 1, at + 100_000] {
        let piece = contents.get(digest, beyond as u64, 9).unwrap();
        assert_eq!(piece.as_deref(), Some(&b""[..]), "step {step}: content {number} at its end");
    }
}

/// All that follow `after`, in slices.
fn listed(contents: &mut dyn Contents, mut after: Option<Sha256>, limit: usize) -> Vec<Sha256> {
    let mut all = Vec::new();
    loop {
        let slice = contents.list(after, limit).unwrap();
        assert!(slice.len() <= limit, "{} of at most {limit}", slice.len());
        let Some(last) = slice.last() else { return all };
        after = Some(*last);
        all.extend(slice);
    }
}

fn has_the_empty_content(contents: &mut dyn Contents) {
    let empty = Sha256::of(b"");
    assert_eq!(contents.get(empty, 0, 9), Ok(Some(Bytes::new())));
    assert_eq!(contents.get(empty, 5, 9), Ok(Some(Bytes::new())));
    put(contents, b"").unwrap();
    assert_eq!(contents.list(None, 9), Ok(vec![]));
    assert_eq!(contents.remove(empty), Ok(false));
    for (content, length) in [(&b""[..], 1), (b"x", 0), (b"x", 1)] {
        let wrong = contents.put(empty, length, &mut Memory { content, fails_at: None });
        assert!(matches!(wrong, Err(BlobError::Mismatch { .. })), "{wrong:?}");
    }
    assert_eq!(contents.get(empty, 0, 9), Ok(Some(Bytes::new())));
}

fn keeps_nothing_that_is_wrong(contents: &mut dyn Contents) {
    let whole = content(30);
    let (digest, length) = (Sha256::of(&whole), whole.len());
    let mut other = whole.clone();
    other[length / 2] ^= 1;
    let longer = [&whole[..], b"x"].concat();
    let announced = length as u64;
    for (held, announced) in [
        (&other[..], announced),
        (&longer, announced),
        (&whole[..length - 1], announced),
        (b"", announced),
        (&whole, announced - 1),
        (&whole, announced + 1),
        (&whole, 0),
    ] {
        let put = contents.put(digest, announced, &mut Memory { content: held, fails_at: None });
        let (length, found) = (held.len() as u64, Sha256::of(held));
        let part = "memory".to_owned();
        assert_eq!(put, Err(BlobError::Mismatch { part, length, found, expected: digest }));
    }
    for fails_at in [0, length / 2, length - 1] {
        let mut source = Memory { content: &whole, fails_at: Some(fails_at) };
        assert_eq!(contents.put(digest, announced, &mut source), Err(unreadable()));
    }
    assert_eq!(contents.get(digest, 0, 9), Ok(None));
    assert_eq!(contents.list(None, 9), Ok(vec![]));
    // One that is there stays as it is when it is announced with another length.
    put(contents, &whole).unwrap();
    let put = contents.put(digest, 1, &mut Memory { content: &whole, fails_at: None });
    let part = "memory".to_owned();
    let mismatch = BlobError::Mismatch { part, length: announced, found: digest, expected: digest };
    assert_eq!(put, Err(mismatch));
    assert_eq!(contents.list(None, 9), Ok(vec![digest]));
    assert_eq!(contents.remove(digest), Ok(true));
}

fn removes_as_latest_owner(open: &mut dyn FnMut() -> Box<dyn Contents>) {
    let mut before = open();
    let digest = put(&mut *before, b"content").unwrap();
    let mut latest = open();
    assert_eq!(before.remove(digest), Ok(false), "another owner may have been given it again");
    assert_eq!(latest.get(digest, 0, 9).unwrap().as_deref(), Some(&b"content"[..]));
    assert_eq!(latest.remove(digest), Ok(true));
    assert_eq!(latest.remove(digest), Ok(false));
    assert_eq!(latest.get(digest, 0, 9), Ok(None));
}

/// A source that gives less than it is asked for.
struct Memory<'a> {
    content: &'a [u8],
    /// Reading this byte fails; `None`: none.
    fails_at: Option<usize>,
}

impl Source for Memory<'_> {
    fn name(&self) -> &str {
        "memory"
    }

    fn read(&mut self, offset: u64, length: usize) -> Result<Bytes, BlobError> {
        let from = usize::try_from(offset).unwrap().min(self.content.len());
        let to = self.content.len().min(from + length.min(9_000));
        match self.fails_at {
            Some(at) if (from..to).contains(&at) => Err(unreadable()),
            _ => Ok(Bytes::copy_from_slice(&self.content[from..to])),
        }
    }
}

fn unreadable() -> BlobError {
    BlobError::Io { action: "read", path: "memory".to_owned(), reason: "input/output".to_owned() }
}
