//! The contract of the port `Store`, and nothing more: what a failed or broken-off commit leaves
//! behind is any number of its batches, from the first on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use rebuilder_actors::planted::{self, Bug};
use rebuilder_actors::port::{Batch, Op, Store, StoreError};

use super::medium::{Fate, Medium};
use super::witness::Ledger;
use super::world::lock;

/// What a machine has on its disk.
#[derive(Debug, Default)]
pub(super) struct StoreDisk {
    /// What is read.
    content: BTreeMap<Bytes, Bytes>,
    /// What was called durable and is not: how to take it back, newest last. Nothing, unless a bug
    /// is planted.
    unsynced: Vec<(Bytes, Option<Bytes>)>,
}

impl StoreDisk {
    pub(super) fn content(&self) -> &BTreeMap<Bytes, Bytes> {
        &self.content
    }

    /// The power went.
    pub(super) fn power_cut(&mut self) {
        while let Some((key, old)) = self.unsynced.pop() {
            match old {
                Some(value) => self.content.insert(key, value),
                None => self.content.remove(&key),
            };
        }
    }

    fn apply(&mut self, batch: &Batch) {
        for op in &batch.0 {
            let (key, old) = match op {
                Op::Put { key, value } => (key, self.content.insert(key.clone(), value.clone())),
                Op::Delete { key } => (key, self.content.remove(key)),
            };
            if planted::is(Bug::UnsyncedAcknowledged) {
                self.unsynced.push((key.clone(), old));
            }
        }
    }
}

/// One process' way to it.
pub(super) struct SimulatedStore {
    disk: Arc<Mutex<StoreDisk>>,
    medium: Arc<Medium>,
    ledger: Arc<Ledger>,
}

impl SimulatedStore {
    /// Opens what a crash or a failure left.
    pub(super) fn open(
        disk: &Arc<Mutex<StoreDisk>>,
        medium: &Arc<Medium>,
        ledger: &Arc<Ledger>,
    ) -> Result<Self, StoreError> {
        if !medium.is_readable() {
            return Err(failed("open", "input/output error"));
        }
        Ok(Self { disk: disk.clone(), medium: medium.clone(), ledger: ledger.clone() })
    }
}

fn failed(action: &'static str, reason: &str) -> StoreError {
    StoreError::Io { action, path: "store".into(), reason: reason.into() }
}

impl Store for SimulatedStore {
    fn commit(&mut self, batches: &[Batch]) -> Result<(), StoreError> {
        if self.medium.life.is_over() {
            return Err(failed("write", "the process is over"));
        }
        let fate = self.medium.write();
        let survive = match fate {
            Fate::Good => batches.len(),
            Fate::Full | Fate::Error | Fate::PowerCut => self.medium.survivors(batches.len()),
        };
        let mut disk = lock(&self.disk);
        // What came before is on the medium by now.
        disk.unsynced.clear();
        batches[..survive].iter().for_each(|batch| disk.apply(batch));
        drop(disk);
        self.ledger.committed(&batches[..survive]);
        match fate {
            Fate::Good => Ok(()),
            Fate::Full => Err(failed("write", "no space left on device")),
            Fate::Error | Fate::PowerCut => Err(failed("sync", "input/output error")),
        }
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        if !self.medium.is_readable() {
            return Err(failed("read", "input/output error"));
        }
        Ok(lock(&self.disk).content.get(key).cloned())
    }

    fn scan(
        &self,
        prefix: &[u8],
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        if !self.medium.is_readable() {
            return Err(failed("read", "input/output error"));
        }
        let disk = lock(&self.disk);
        let first = Bytes::copy_from_slice(from.max(prefix));
        for (key, value) in disk.content.range(first..) {
            if !key.starts_with(prefix) || !visit(key, value) {
                break;
            }
        }
        Ok(())
    }

    fn place(&self) -> String {
        "store".to_owned()
    }
}
