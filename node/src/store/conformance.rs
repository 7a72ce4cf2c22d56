//! What every `Store` must do, checked against an ordered map.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use rebuilder_actors::port::{Batch, Op, Store, StoreOwner, StoreRead};

type Model = BTreeMap<Bytes, Bytes>;

/// One step of a random history.
#[derive(Clone, Debug)]
pub enum Step {
    /// Commit these together.
    Commit(Vec<Batch>),
    /// Close and open again.
    Reopen,
}

/// Keys that often meet, share prefixes and touch the first and last bytes.
pub fn key() -> impl Strategy<Value = Bytes> {
    let byte = prop_oneof![Just(0_u8), Just(1), Just(b'a'), Just(0xfe), Just(0xff)];
    prop_oneof![
        8 => prop::collection::vec(byte, 0..4),
        1 => prop::collection::vec(any::<u8>(), 256),
    ]
    .prop_map(Bytes::from)
}

/// Values of the usual sizes, and some of those where a store may change its ways.
pub fn value() -> impl Strategy<Value = Bytes> {
    let length = prop_oneof![
        8 => 0_usize..900,
        2 => 4090_usize..4100,
        1 => 8190_usize..8200,
        1 => 0_usize..200_000,
    ];
    (length, any::<u8>()).prop_map(|(length, seed)| {
        let bytes = (0..length).map(|i| seed.wrapping_add(u8::try_from(i % 251).unwrap()));
        bytes.collect::<Vec<u8>>().into()
    })
}

/// One change, of few keys so that they meet.
pub fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (key(), value()).prop_map(|(key, value)| Op::Put { key, value }),
        1 => key().prop_map(|key| Op::Delete { key }),
    ]
}

/// Commits and reopenings.
pub fn history() -> impl Strategy<Value = Vec<Step>> {
    let batch = prop::collection::vec(op(), 0..12).prop_map(Batch);
    let step = prop_oneof![
        6 => prop::collection::vec(batch, 0..5).prop_map(Step::Commit),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..12)
}

/// Runs `steps` on what `open` opens, and compares all that can be read after each.
pub fn check_history(steps: &[Step], mut open: impl FnMut() -> StoreOwner<Box<dyn Store>>) {
    let mut model = Model::new();
    let mut store = open();
    for step in steps {
        match step {
            Step::Commit(batches) => {
                store.commit(batches).unwrap();
                apply(&mut model, batches);
            }
            Step::Reopen => {
                drop(store);
                store = open();
            }
        }
        check_content(&store, &model);
    }
    drop(store);
    check_content(&open(), &model);
}

fn apply(model: &mut Model, batches: &[Batch]) {
    for op in batches.iter().flat_map(|batch| &batch.0) {
        match op {
            Op::Put { key, value } => drop(model.insert(key.clone(), value.clone())),
            Op::Delete { key } => drop(model.remove(key)),
        }
    }
}

fn check_content(store: &dyn StoreRead, model: &Model) {
    assert_eq!(scanned(store, b"", b"", usize::MAX), *model);
    for (key, value) in model {
        assert_eq!(store.get(key).unwrap().as_ref(), Some(value));
    }
    let probes: [&[u8]; 9] =
        [b"", b"\0", b"a", b"\xfe", b"\xff", b"\xff\0", b"\xff\x01", b"\xff\xff", b"zz"];
    for probe in probes {
        assert_eq!(store.get(probe).unwrap().as_ref(), model.get(probe));
        for prefix in probes {
            let expected = |most| {
                let chosen = model.iter().filter(|(k, _)| k.starts_with(prefix) && **k >= *probe);
                chosen.take(most).map(|(k, v)| (k.clone(), v.clone())).collect::<Model>()
            };
            for most in [1, 3, usize::MAX] {
                assert_eq!(
                    scanned(store, prefix, probe, most),
                    expected(most),
                    "{prefix:?} from {probe:?}"
                );
            }
        }
    }
}

/// What a scan gives, in its order, until `most` keys were seen.
fn scanned(store: &dyn StoreRead, prefix: &[u8], from: &[u8], most: usize) -> Model {
    let mut keys = Vec::new();
    let mut seen = Model::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        keys.push(Bytes::copy_from_slice(key));
        seen.insert(Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
        seen.len() < most
    };
    store.scan(prefix, from, &mut visit).unwrap();
    assert!(keys.is_sorted_by(|a, b| a < b), "out of order, or twice: {keys:?}");
    seen
}

/// The same key set, deleted and set again inside one batch and across those of one commit.
pub fn check_order_within_a_commit(mut store: StoreOwner<Box<dyn Store>>) {
    let mut first = Batch::default();
    first.put(&b"k"[..], &b"1"[..]);
    first.delete(&b"k"[..]);
    first.put(&b"k"[..], &b"2"[..]);
    let mut second = Batch::default();
    second.delete(&b"k"[..]);
    let mut third = Batch::default();
    third.put(&b"k"[..], &b"3"[..]);
    store.commit(&[first.clone(), second.clone(), third]).unwrap();
    assert_eq!(store.get(b"k").unwrap().as_deref(), Some(&b"3"[..]));
    store.commit(&[first.clone()]).unwrap();
    assert_eq!(store.get(b"k").unwrap().as_deref(), Some(&b"2"[..]));
    store.commit(&[first, second]).unwrap();
    assert_eq!(store.get(b"k").unwrap(), None);
    store.commit(&[]).unwrap();
}

/// A commit with something over the limits is refused whole, and harms nothing.
pub fn check_limits(mut open: impl FnMut() -> StoreOwner<Box<dyn Store>>) {
    let mut good = Batch::default();
    good.put(vec![b'k'; 256], vec![1; 1 << 20]);
    let mut model = Model::new();
    apply(&mut model, std::slice::from_ref(&good));
    open().commit(&[good]).unwrap();
    for (key, value) in [(257, 1), (1, (1 << 20) + 1)] {
        let mut bad = Batch::default();
        bad.put(&b"other"[..], &b"x"[..]);
        bad.put(vec![b'x'; key], vec![1; value]);
        open().commit(&[bad]).unwrap_err();
        check_content(&open(), &model);
    }
}
