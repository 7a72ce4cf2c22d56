//! The contract of the port `Store`, and nothing more: what a failed or broken-off commit leaves
//! behind is any number of its batches, from the first on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use rebuilder_actors::planted::{self, Bug};
use rebuilder_actors::port::{Batch, Op, Store, StoreError};

use super::disk::{Fate, SimulatedDisk};
use super::observed_queue::Ledger;
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
    kept: Arc<Mutex<StoreDisk>>,
    disk: Arc<SimulatedDisk>,
    ledger: Arc<Ledger>,
}

impl SimulatedStore {
    /// Opens what a crash or a failure left.
    pub(super) fn open(
        kept: &Arc<Mutex<StoreDisk>>,
        disk: &Arc<SimulatedDisk>,
        ledger: &Arc<Ledger>,
    ) -> Result<Self, StoreError> {
        if !disk.is_readable() {
            return Err(failed("open", "input/output error"));
        }
        Ok(Self { kept: kept.clone(), disk: disk.clone(), ledger: ledger.clone() })
    }
}

fn failed(action: &'static str, reason: &str) -> StoreError {
    StoreError::Io { action, path: "store".into(), reason: reason.into() }
}

impl Store for SimulatedStore {
    fn commit(&mut self, batches: &[Batch]) -> Result<(), StoreError> {
        if self.disk.scope.is_over() {
            return Err(failed("write", "the process is over"));
        }
        let fate = self.disk.write();
        let survive = match fate {
            Fate::Good => batches.len(),
            Fate::Full | Fate::Error | Fate::PowerCut => self.disk.survivors(batches.len()),
        };
        let mut kept = lock(&self.kept);
        // What came before is on the medium by now.
        kept.unsynced.clear();
        batches[..survive].iter().for_each(|batch| kept.apply(batch));
        drop(kept);
        self.ledger.committed(&batches[..survive]);
        match fate {
            Fate::Good => Ok(()),
            Fate::Full => Err(failed("write", "no space left on device")),
            Fate::Error | Fate::PowerCut => Err(failed("sync", "input/output error")),
        }
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        if !self.disk.is_readable() {
            return Err(failed("read", "input/output error"));
        }
        Ok(lock(&self.kept).content.get(key).cloned())
    }

    fn scan(
        &self,
        prefix: &[u8],
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        if !self.disk.is_readable() {
            return Err(failed("read", "input/output error"));
        }
        let kept = lock(&self.kept);
        let first = Bytes::copy_from_slice(from.max(prefix));
        for (key, value) in kept.content.range(first..) {
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
