use std::collections::BTreeMap;

use bytes::Bytes;

use super::Numbers;
use crate::port::{Batch, Op, Snapshot, Store, StoreError, StoreOwner, StoreRead, StoreReader};

type Model = BTreeMap<Bytes, Bytes>;

/// Readers: what they and their snapshots see while the owner goes on, and that they end with it.
/// `open` opens the same, at first empty, store each time; the one before was dropped.
pub fn store_readers(open: &mut dyn FnMut() -> Box<dyn Store>) {
    let mut owner = StoreOwner::take(open(), None).unwrap();
    let reader = owner.reader();
    let mut random = Numbers(7);
    let mut model = Model::new();
    let mut snapshots: Vec<(Snapshot, Model)> = Vec::new();
    for step in 0..60 {
        let batches: Vec<Batch> = (0..1 + random.below(3)).map(|_| batch(&mut random)).collect();
        owner.commit(&batches).unwrap();
        for op in batches.iter().flat_map(|batch| &batch.0) {
            match op {
                Op::Put { key, value } => drop(model.insert(key.clone(), value.clone())),
                Op::Delete { key } => drop(model.remove(key)),
            }
        }
        same(&*reader, &model, step);
        if random.below(4) == 0 {
            snapshots.push((reader.snapshot().unwrap(), model.clone()));
        }
        if snapshots.len() > 3 {
            let oldest = random.below(snapshots.len());
            snapshots.remove(oldest);
        }
        for (snapshot, then) in &snapshots {
            same(&**snapshot, then, step);
        }
    }
    beside_the_owner(&mut owner, &reader);

    let last = reader.snapshot().unwrap();
    let place = owner.place();
    assert_eq!(reader.place(), place);
    assert_eq!(last.place(), place);
    drop(owner);
    for (gone, what) in [(&*reader as &dyn StoreRead, "reader"), (&*last, "snapshot")] {
        assert!(gone.get(b"k").is_err(), "a {what} must end with its owner");
        assert!(gone.scan(b"", b"", &mut |_, _| true).is_err(), "a {what} must end with its owner");
    }
    assert!(reader.snapshot().is_err());
    // Neither keeps the store from being opened again.
    let again = StoreOwner::take(open(), None).unwrap();
    model.extend([
        (Bytes::from_static(b"\x01a"), number(40)),
        (b"\x01b".as_slice().into(), number(40)),
    ]);
    same(&*again.reader(), &model, 1000);
}

/// A thread reads all the time that the owner writes: no batch is seen in part, and none that was
/// acknowledged is missing.
fn beside_the_owner(owner: &mut StoreOwner<Box<dyn Store>>, reader: &StoreReader) {
    let (told, acknowledged) = std::sync::mpsc::channel();
    let reader = reader.clone();
    std::thread::scope(|scope| {
        let reading = scope.spawn(move || {
            let (mut least, mut rounds) = (0, 0);
            loop {
                match acknowledged.try_recv() {
                    Ok(number) => least = number,
                    Err(std::sync::mpsc::TryRecvError::Empty) => {}
                    Err(std::sync::mpsc::TryRecvError::Disconnected) if rounds > 0 => break,
                    Err(std::sync::mpsc::TryRecvError::Disconnected) => {}
                }
                rounds += 1;
                let snapshot = reader.snapshot().unwrap();
                let mut found = Vec::new();
                let take = &mut |_: &[u8], value: &[u8]| {
                    found.push(Bytes::copy_from_slice(value));
                    true
                };
                reader.scan(b"\x01", b"\x01", take).unwrap();
                let both = [snapshot.get(b"\x01a").unwrap(), snapshot.get(b"\x01b").unwrap()];
                assert_eq!(both[0], both[1], "a batch in part");
                assert!(both[0].clone().is_none_or(|value| value >= number(least)));
                assert!(found.windows(2).all(|pair| pair[0] == pair[1]), "a batch in part");
                let one = reader.get(b"\x01a").unwrap();
                assert!(one.is_none_or(|value| value >= number(least)), "an acknowledged batch");
            }
        });
        for round in 1..=40 {
            let mut batch = Batch::default();
            batch.put(&b"\x01a"[..], number(round));
            batch.put(&b"\x01b"[..], number(round));
            owner.commit(&[batch]).unwrap();
            told.send(round).unwrap();
        }
        drop(told);
        reading.join().unwrap();
    });
}

/// Of five thousand bytes: engines may cut such a value.
fn number(number: u8) -> Bytes {
    vec![number; 5_000].into()
}

fn batch(random: &mut Numbers) -> Batch {
    let mut batch = Batch::default();
    for _ in 0..1 + random.below(40) {
        let key = [[b'a', b'k', 0xff][random.below(3)], u8::try_from(random.below(90)).unwrap()];
        if random.below(4) == 0 {
            batch.delete(key.to_vec());
            continue;
        }
        let length = if random.below(12) == 0 { 9_000 } else { random.below(700) };
        batch.put(key.to_vec(), vec![u8::try_from(random.below(256)).unwrap(); length]);
    }
    batch
}

fn same(store: &dyn StoreRead, model: &Model, step: usize) {
    let ends: [&[u8]; 6] = [b"", b"a", b"a\x20", b"k\x59", b"\xff", b"\xff\x70"];
    for prefix in [&b""[..], b"a", b"k", b"\xff", b"b"] {
        for from in ends {
            let chosen = model.iter().filter(|(key, _)| key.starts_with(prefix) && **key >= *from);
            let mut expected = chosen.map(|(key, value)| (&key[..], &value[..]));
            let mut wrong = None;
            let take = &mut |key: &[u8], value: &[u8]| {
                if expected.next() != Some((key, value)) {
                    wrong = Some(key.to_vec());
                }
                wrong.is_none()
            };
            store.scan(prefix, from, take).unwrap();
            assert_eq!(wrong, None, "step {step}, prefix {prefix:?} from {from:?}");
            assert_eq!(expected.next(), None, "step {step}, prefix {prefix:?} from {from:?}");
        }
    }
    for key in [&b"a\x01"[..], b"k\x07", b"\xff\x30", b"zz"] {
        assert_eq!(store.get(key).unwrap().as_ref(), model.get(key), "step {step}, {key:?}");
    }
}

/// The fence: of two owners the later one writes, and the earlier one is told that it was taken
/// over. `open` opens the same, at first empty, store each time; the one before was dropped, unless
/// `lockless` says that there may be two.
pub fn store_fences(open: &mut dyn FnMut() -> Box<dyn Store>, lockless: bool) {
    let put = |value: &'static str| {
        let mut batch = Batch::default();
        batch.put("k", value);
        [batch]
    };
    let taken = |result: Result<(), StoreError>| {
        assert!(matches!(result, Err(StoreError::TakenOver { .. })), "{result:?}");
    };
    let mut first = StoreOwner::take(open(), None).unwrap();
    let held = first.fence();
    first.commit(&put("first")).unwrap();
    let mut first = lockless.then_some(first);

    let mut second = StoreOwner::take(open(), None).unwrap();
    assert!(second.fence() > held);
    if let Some(first) = &mut first {
        taken(first.commit(&put("late")));
        taken(first.commit(&[]));
    }
    assert_eq!(second.get(b"k").unwrap().as_deref(), Some(&b"first"[..]), "nothing was applied");
    second.commit(&put("second")).unwrap();
    let owner = second.fence();
    drop((first, second));

    // The token of an earlier opening counts for nothing, also where nobody has the store.
    taken(open().commit(held, &put("late")));
    taken(open().take_over(Some(held)).map(drop));
    // A process goes on with its own store after its owner failed.
    let mut again = StoreOwner::take(open(), Some(owner)).unwrap();
    assert!(again.fence() > owner);
    assert_eq!(again.get(b"k").unwrap().as_deref(), Some(&b"second"[..]));
    again.commit(&put("again")).unwrap();
    // The record of the fence is nobody's business.
    let mut keys = 0;
    let count = &mut |_: &[u8], _: &[u8]| {
        keys += 1;
        true
    };
    again.scan(b"", b"", count).unwrap();
    again.reader().scan(b"", b"", count).unwrap();
    assert_eq!(keys, 2);
}
