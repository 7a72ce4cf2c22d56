//! The contract of the port in memory, for tests of what stands before an engine.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use rebuilder_actors::port::{
    Batch, Fence, Op, ReadStore, Snapshot, Store, StoreError, StoreRead, StoreReader,
};

use super::fence;
use super::summed::{NoSums, SummedStore, Sums};

/// A store whose clones share their content, so that a test can change it behind its owner's back.
#[derive(Clone, Debug, Default)]
pub struct Memory(pub Arc<Mutex<BTreeMap<Bytes, Bytes>>>, Arc<AtomicU64>);

impl SummedStore for Memory {
    fn commit_summed(
        &mut self,
        fence: Fence,
        batches: &[Batch],
        sums: &mut dyn Sums,
    ) -> Result<(), StoreError> {
        // Without a lock of a file: the token alone keeps the other openings out.
        let mut content = self.0.lock().unwrap();
        fence::check("memory", fence, Ok(self.stored()))?;
        for batch in batches.iter().filter(|batch| !batch.is_empty()) {
            let changes = batch.0.iter().map(|op| match op {
                Op::Put { key, value } => (key, Some(value)),
                Op::Delete { key } => (key, None),
            });
            let changes: BTreeMap<_, _> = changes.collect();
            for (key, value) in &changes {
                sums.change(key, content.get(*key).map(|b| &b[..]), value.map(|v| &v[..]))?;
            }
            for (key, value) in changes {
                match value {
                    Some(value) => drop(content.insert(key.clone(), value.clone())),
                    None => drop(content.remove(key)),
                }
            }
            content.extend(sums.record().map(|(key, value)| (key.into(), value)));
        }
        Ok(())
    }
}

impl Store for Memory {
    fn take_over(&mut self, held: Option<Fence>) -> Result<Fence, StoreError> {
        let _content = self.0.lock().unwrap();
        let next = fence::next("memory", held, self.stored())?;
        self.1.store(next.0, Ordering::SeqCst);
        Ok(next)
    }

    fn commit(&mut self, fence: Fence, batches: &[Batch]) -> Result<(), StoreError> {
        self.commit_summed(fence, batches, &mut NoSums)
    }

    fn reader(&self) -> StoreReader {
        Arc::new(self.clone())
    }
}

impl Memory {
    fn stored(&self) -> Option<Fence> {
        let number = self.1.load(Ordering::SeqCst);
        (number > 0).then_some(Fence(number))
    }
}

impl ReadStore for Memory {
    fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let content = self.0.lock().unwrap().clone();
        Ok(Box::new(Self(Arc::new(Mutex::new(content)), Arc::default())))
    }
}

impl StoreRead for Memory {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.0.lock().unwrap().get(key).cloned())
    }

    fn scan(
        &self,
        prefix: &[u8],
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        let content = self.0.lock().unwrap().clone();
        for (key, value) in content.range(Bytes::copy_from_slice(from.max(prefix))..) {
            if !key.starts_with(prefix) || !visit(key, value) {
                break;
            }
        }
        Ok(())
    }

    fn place(&self) -> String {
        "memory".to_owned()
    }
}
