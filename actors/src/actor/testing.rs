//! Ports for tests of actors.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};

use bytes::Bytes;

use crate::port::{
    Batch, Blocking, Fence, Op, ReadStore, Snapshot, Store, StoreError, StoreRead, StoreReader,
};

/// Blocks nobody.
pub(crate) struct AtOnce;

impl Blocking for AtOnce {
    fn run(&self, work: Box<dyn FnOnce() + Send>) {
        work();
    }
}

type Content = BTreeMap<Bytes, Bytes>;

/// A store in memory, which any number of openings share: nothing but the fence keeps them apart.
#[derive(Clone, Default)]
pub(crate) struct Memory(Arc<Mutex<(Content, u64)>>);

impl Memory {
    pub(crate) fn open(&self) -> Box<dyn Store> {
        Box::new(Opening { memory: self.clone(), alive: Arc::new(()) })
    }
}

struct Opening {
    memory: Memory,
    alive: Arc<()>,
}

fn check(held: Fence, found: u64) -> Result<(), StoreError> {
    let taken = StoreError::TakenOver { path: "memory".into(), held: held.0, found };
    if held.0 == found { Ok(()) } else { Err(taken) }
}

fn scan(
    content: &Content,
    prefix: &[u8],
    from: &[u8],
    visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
) {
    let mut found = content.range(Bytes::copy_from_slice(from.max(prefix))..);
    let _ = found.all(|(key, value)| key.starts_with(prefix) && visit(key, value));
}

impl Store for Opening {
    fn take_over(&mut self, held: Option<Fence>) -> Result<Fence, StoreError> {
        let (_, fence) = &mut *self.memory.0.lock().unwrap();
        held.map_or(Ok(()), |held| check(held, *fence))?;
        *fence += 1;
        Ok(Fence(*fence))
    }

    fn commit(&mut self, fence: Fence, batches: &[Batch]) -> Result<(), StoreError> {
        let (content, owner) = &mut *self.memory.0.lock().unwrap();
        check(fence, *owner)?;
        for op in batches.iter().flat_map(|batch| &batch.0) {
            match op {
                Op::Put { key, value } => drop(content.insert(key.clone(), value.clone())),
                Op::Delete { key } => drop(content.remove(key)),
            }
        }
        Ok(())
    }

    fn reader(&self) -> StoreReader {
        Arc::new(Reader { memory: self.memory.clone(), alive: Arc::downgrade(&self.alive) })
    }
}

impl StoreRead for Opening {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.memory.0.lock().unwrap().0.get(key).cloned())
    }

    fn scan(
        &self,
        prefix: &[u8],
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        scan(&self.memory.0.lock().unwrap().0, prefix, from, visit);
        Ok(())
    }

    fn place(&self) -> String {
        "memory".to_owned()
    }
}

#[derive(Clone)]
struct Reader {
    memory: Memory,
    alive: Weak<()>,
}

impl Reader {
    fn content(&self) -> Result<Content, StoreError> {
        let reason = || "it was closed".to_owned();
        let closed = || StoreError::Io { action: "read", path: "memory".into(), reason: reason() };
        self.alive.upgrade().ok_or_else(closed)?;
        Ok(self.memory.0.lock().unwrap().0.clone())
    }
}

impl StoreRead for Reader {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.content()?.get(key).cloned())
    }

    fn scan(
        &self,
        prefix: &[u8],
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        scan(&self.content()?, prefix, from, visit);
        Ok(())
    }

    fn place(&self) -> String {
        "memory".to_owned()
    }
}

impl ReadStore for Reader {
    fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Ok(Box::new(At { content: self.content()?, reader: self.clone() }))
    }
}

struct At {
    content: Content,
    reader: Reader,
}

impl StoreRead for At {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.reader.content()?;
        Ok(self.content.get(key).cloned())
    }

    fn scan(
        &self,
        prefix: &[u8],
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        self.reader.content()?;
        scan(&self.content, prefix, from, visit);
        Ok(())
    }

    fn place(&self) -> String {
        "memory".to_owned()
    }
}

#[test]
fn the_store_in_memory_is_one() {
    let (readers, fences) = (Memory::default(), Memory::default());
    crate::conformance::store_readers(&mut || readers.open());
    crate::conformance::store_fences(&mut || fences.open(), true);
}
