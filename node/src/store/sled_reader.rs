use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use rebuilder_actors::port::{ReadStore, Snapshot, StoreError, StoreRead};

use super::database_store::Visit;
use super::sled_store::Rows;

/// Reads sled beside its owner. sled has no versions: what commits replace is kept in
/// [`Versions`](super::versions::Versions) until they are durable, and no snapshot needs it.
///
/// It keeps the database open no longer than a call takes: its owner may want to open it again.
pub(super) struct SledReader {
    rows: Weak<Rows>,
    place: String,
}

/// Rows that are read at once: about a hundredth of a millisecond for the owner to wait.
const PAGE: usize = 64;
/// And about so many bytes.
const PAGE_BYTES: usize = 256 << 10;

impl SledReader {
    pub(super) fn new(rows: &Arc<Rows>) -> Self {
        Self { rows: Arc::downgrade(rows), place: rows.place() }
    }

    fn rows(&self) -> Result<Arc<Rows>, StoreError> {
        self.rows.upgrade().ok_or_else(|| closed(&self.place))
    }

    fn open(&self) -> Result<SledSnapshot, StoreError> {
        let version = self.rows()?.write().open();
        let reader = Self { rows: self.rows.clone(), place: self.place.clone() };
        Ok(SledSnapshot { reader, version })
    }
}

impl StoreRead for SledReader {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let rows = self.rows()?;
        let versions = rows.read();
        match versions.replaced(key, versions.now()) {
            Some(replaced) => Ok(replaced.clone()),
            None => rows.value(key),
        }
    }

    fn scan(&self, prefix: &[u8], from: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.open()?.scan(prefix, from, visit)
    }

    fn place(&self) -> String {
        self.place.clone()
    }
}

impl ReadStore for SledReader {
    fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Ok(Box::new(self.open()?))
    }
}

/// Some rows, by their keys.
type Page = BTreeMap<Bytes, Bytes>;

/// The database as it was after a commit.
struct SledSnapshot {
    reader: SledReader,
    version: u64,
}

impl Drop for SledSnapshot {
    fn drop(&mut self) {
        if let Some(rows) = self.reader.rows.upgrade() {
            rows.write().close(self.version);
        }
    }
}

impl StoreRead for SledSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let rows = self.reader.rows()?;
        let versions = rows.read();
        if !versions.has(self.version) {
            return Err(given_up(&self.reader.place));
        }
        match versions.replaced(key, self.version) {
            Some(replaced) => Ok(replaced.clone()),
            None => rows.value(key),
        }
    }

    fn scan(&self, prefix: &[u8], from: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let mut start = Bound::Included(Bytes::copy_from_slice(prefix.max(from)));
        loop {
            let (page, more) = self.page(prefix, &start)?;
            if !page.iter().all(|(key, value)| visit(key, value)) {
                return Ok(());
            }
            match more {
                Some(last) => start = Bound::Excluded(last),
                None => return Ok(()),
            }
        }
    }

    fn place(&self) -> String {
        self.reader.place.clone()
    }
}

impl SledSnapshot {
    /// Some rows from `start` on, and the key after which the next ones come; `None`: none do.
    fn page(
        &self,
        prefix: &[u8],
        start: &Bound<Bytes>,
    ) -> Result<(Page, Option<Bytes>), StoreError> {
        let rows = self.reader.rows()?;
        let start = start.as_ref().map(|key| &key[..]);
        let versions = rows.read();
        if !versions.has(self.version) {
            return Err(given_up(&self.reader.place));
        }
        let (mut page, more) = rows.page(prefix, start, PAGE, PAGE_BYTES)?;
        let last = if more { page.last_key_value().map(|(key, _)| key.clone()) } else { None };
        let replaced = versions.range(start, self.version);
        for (key, value) in replaced.take_while(|(key, _)| {
            key.starts_with(prefix) && last.as_ref().is_none_or(|last| *key <= last)
        }) {
            match value {
                Some(value) => page.insert(key.clone(), value.clone()),
                None => page.remove(key),
            };
        }
        Ok((page, last))
    }
}

/// The owner closed the store.
pub(super) fn closed(place: &str) -> StoreError {
    let reason = "it was closed; whoever reads it begins again".to_owned();
    StoreError::Io { action: "read", path: place.to_owned(), reason }
}

fn given_up(place: &str) -> StoreError {
    let reason = "too much of it changed while this snapshot was kept: take another one".to_owned();
    StoreError::Io { action: "read", path: place.to_owned(), reason }
}
