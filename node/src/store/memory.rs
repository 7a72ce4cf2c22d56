//! The contract of the port in memory, for tests of what stands before an engine.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use rebuilder_actors::port::{Batch, Op, Store, StoreError};

/// A store whose clones share their content, so that a test can change it behind its owner's back.
#[derive(Clone, Debug, Default)]
pub struct Memory(pub Arc<Mutex<BTreeMap<Bytes, Bytes>>>);

impl Store for Memory {
    fn commit(&mut self, batches: &[Batch]) -> Result<(), StoreError> {
        let mut content = self.0.lock().unwrap();
        for op in batches.iter().flat_map(|batch| batch.0.clone()) {
            match op {
                Op::Put { key, value } => drop(content.insert(key, value)),
                Op::Delete { key } => drop(content.remove(&key)),
            }
        }
        Ok(())
    }

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
