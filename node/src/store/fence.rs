//! The record by which a store knows its owner, which nobody else sees.

use std::sync::Arc;

use bytes::Bytes;
use rebuilder_actors::port::{Fence, Op, ReadStore, Snapshot, StoreError, StoreRead, StoreReader};
use rebuilder_actors::protocol::stored::{self, FenceRecord, Record as _};

use super::database_store::Visit;

/// Key and value of the record.
pub(super) fn record(fence: Fence) -> (Vec<u8>, Bytes) {
    (FenceRecord::key(()), stored::write(&FenceRecord(fence.0)))
}

/// The token in the record; `None`: nobody took the store over yet.
///
/// # Errors
/// `Damaged` when it cannot be read.
pub(super) fn read(place: &str, value: Option<Bytes>) -> Result<Option<Fence>, StoreError> {
    let record = value.map(|value| stored::read::<FenceRecord>(&value)).transpose();
    let damaged = |error| StoreError::Damaged {
        path: place.to_owned(),
        reason: format!("the number of its owner cannot be read: {error}"),
    };
    Ok(record.map_err(damaged)?.map(|FenceRecord(number)| Fence(number)))
}

/// The token of the next owner, of a process that held `held` before.
///
/// # Errors
/// `TakenOver` when another process has the store.
pub(super) fn next(
    place: &str,
    held: Option<Fence>,
    stored: Option<Fence>,
) -> Result<Fence, StoreError> {
    if let Some(held) = held {
        check(place, held, Ok(stored))?;
    }
    Ok(Fence(stored.map_or(0, |fence| fence.0) + 1))
}

/// Lets the owner alone commit.
///
/// # Errors
/// `TakenOver`, or that of reading the record.
pub(super) fn check(
    place: &str,
    held: Fence,
    stored: Result<Option<Fence>, StoreError>,
) -> Result<(), StoreError> {
    let found = stored?.map_or(0, |fence| fence.0);
    if found == held.0 {
        return Ok(());
    }
    Err(StoreError::TakenOver { path: place.to_owned(), held: held.0, found })
}

/// True for a change of the record.
pub(super) fn is_its_key(op: &Op) -> bool {
    let (Op::Put { key, .. } | Op::Delete { key }) = op;
    **key == *FenceRecord::key(())
}

/// A value, unless it is the record.
pub(super) fn get(
    key: &[u8],
    get: impl FnOnce() -> Result<Option<Bytes>, StoreError>,
) -> Result<Option<Bytes>, StoreError> {
    if *key == *FenceRecord::key(()) { Ok(None) } else { get() }
}

/// A scan that leaves the record out.
pub(super) fn scan(
    visit: &mut Visit<'_>,
    scan: impl FnOnce(&mut Visit<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let own = FenceRecord::key(());
    scan(&mut |key, value| *key == *own || visit(key, value))
}

/// A reader that leaves the record out.
pub(super) fn hidden(reader: StoreReader) -> StoreReader {
    Arc::new(Hidden(reader))
}

struct Hidden<R>(R);

impl<R: std::ops::Deref<Target: StoreRead>> StoreRead for Hidden<R> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        get(key, || self.0.get(key))
    }

    fn scan(&self, prefix: &[u8], from: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        scan(visit, |visit| self.0.scan(prefix, from, visit))
    }

    fn place(&self) -> String {
        self.0.place()
    }
}

impl ReadStore for Hidden<StoreReader> {
    fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Ok(Box::new(Hidden(self.0.snapshot()?)))
    }
}
