//! The contract of the port `Store`, and nothing more: what a failed or broken-off commit leaves
//! behind is any number of its batches, from the first on.

use std::collections::{BTreeMap, VecDeque};
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
    /// What a power cut leaves.
    durable: BTreeMap<Bytes, Bytes>,
    /// What was called durable and is not: nothing, unless a bug is planted.
    unsynced: VecDeque<Batch>,
}

impl StoreDisk {
    pub(super) fn durable(&self) -> &BTreeMap<Bytes, Bytes> {
        &self.durable
    }

    /// The power went.
    pub(super) fn power_cut(&mut self) {
        self.unsynced.clear();
    }

    fn apply(&mut self, batch: &Batch) {
        for op in &batch.0 {
            match op {
                Op::Put { key, value } => {
                    self.durable.insert(key.clone(), value.clone());
                }
                Op::Delete { key } => {
                    self.durable.remove(key);
                }
            }
        }
    }

    fn sync(&mut self) {
        while let Some(batch) = self.unsynced.pop_front() {
            self.apply(&batch);
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
        lock(disk).sync();
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
        if planted::is(Bug::UnsyncedAcknowledged) && fate == Fate::Good {
            disk.sync();
            disk.unsynced.extend(batches.iter().cloned());
        } else {
            batches[..survive].iter().for_each(|batch| disk.apply(batch));
        }
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
        Ok(lock(&self.disk).durable.get(key).cloned())
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
        for (key, value) in disk.durable.range(first..) {
            if !key.starts_with(prefix) || !visit(key, value) {
                break;
            }
        }
        Ok(())
    }
}
