//! The contract of the port `Store`, and nothing more: what a failed or broken-off commit leaves
//! behind is any number of its batches, from the first on.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use bytes::Bytes;
use rebuilder_actors::planted::{self, Bug};
use rebuilder_actors::port::{
    Batch, Fence, Op, ReadStore, Snapshot, Store, StoreError, StoreRead, StoreReader,
};

use super::disk::{Fate, SimulatedDisk};
use super::event::ClusterEvent;
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
    /// The token of whoever took it over last.
    fence: u64,
}

impl StoreDisk {
    pub(super) fn content(&self) -> &BTreeMap<Bytes, Bytes> {
        &self.content
    }

    /// From here on only whoever has this token writes.
    pub(super) fn take_over(&mut self) -> Fence {
        self.fence += 1;
        Fence(self.fence)
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
    /// Of this opening: true once a commit failed.
    failed: Arc<AtomicBool>,
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
        let (kept, disk, ledger) = (kept.clone(), disk.clone(), ledger.clone());
        Ok(Self { kept, disk, ledger, failed: Arc::default() })
    }

    fn check(&self, held: Fence) -> Result<(), StoreError> {
        let found = lock(&self.kept).fence;
        if found == held.0 || planted::is(Bug::FenceForgotten) {
            return Ok(());
        }
        Err(StoreError::TakenOver { path: "store".into(), held: held.0, found })
    }
}

fn failed(action: &'static str, reason: &str) -> StoreError {
    StoreError::Io { action, path: "store".into(), reason: reason.into() }
}

impl Store for SimulatedStore {
    fn take_over(&mut self, held: Option<Fence>) -> Result<Fence, StoreError> {
        // A write that fails here is an opening that fails, which has its trouble already.
        if self.disk.scope.is_over() {
            return Err(failed("write", "the process is over"));
        }
        if let Some(held) = held {
            self.check(held)?;
        }
        let fence = lock(&self.kept).take_over();
        self.disk.world.see_often(&ClusterEvent::TookOver(fence.0));
        Ok(fence)
    }

    fn commit(&mut self, fence: Fence, batches: &[Batch]) -> Result<(), StoreError> {
        if self.disk.scope.is_over() {
            return Err(failed("write", "the process is over"));
        }
        self.check(fence)?;
        let fate = self.disk.write();
        let survive = match fate {
            Fate::Good => batches.len(),
            Fate::Full | Fate::Error | Fate::PowerCut => self.disk.survivors(batches.len()),
        };
        self.failed.fetch_or(fate != Fate::Good, Ordering::Relaxed);
        let mut kept = lock(&self.kept);
        // What came before is on the medium by now.
        kept.unsynced.clear();
        batches[..survive].iter().for_each(|batch| kept.apply(batch));
        drop(kept);
        self.disk.world.see_often(&ClusterEvent::Wrote(fence.0));
        self.ledger.committed(&batches[..survive]);
        match fate {
            Fate::Good => Ok(()),
            Fate::Full => Err(failed("write", "no space left on device")),
            Fate::Error | Fate::PowerCut => Err(failed("sync", "input/output error")),
        }
    }

    fn reader(&self) -> StoreReader {
        let (kept, disk) = (self.kept.clone(), self.disk.clone());
        Arc::new(SimulatedReader { kept, disk, failed: Arc::downgrade(&self.failed) })
    }
}

impl StoreRead for SimulatedStore {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        readable(&self.disk)?;
        Ok(lock(&self.kept).content.get(key).cloned())
    }

    fn scan(
        &self,
        prefix: &[u8],
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        readable(&self.disk)?;
        scan(&lock(&self.kept).content, prefix, from, visit);
        Ok(())
    }

    fn place(&self) -> String {
        "store".to_owned()
    }
}

fn readable(disk: &SimulatedDisk) -> Result<(), StoreError> {
    if disk.is_readable() { Ok(()) } else { Err(failed("read", "input/output error")) }
}

fn scan(
    content: &BTreeMap<Bytes, Bytes>,
    prefix: &[u8],
    from: &[u8],
    visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
) {
    for (key, value) in content.range(Bytes::copy_from_slice(from.max(prefix))..) {
        if !key.starts_with(prefix) || !visit(key, value) {
            break;
        }
    }
}

/// Reads it beside its owner.
struct SimulatedReader {
    kept: Arc<Mutex<StoreDisk>>,
    disk: Arc<SimulatedDisk>,
    /// Of the owner's opening; gone with it.
    failed: Weak<AtomicBool>,
}

impl SimulatedReader {
    /// What a failed commit left is not known to be durable: nobody is shown it.
    fn readable(&self) -> Result<(), StoreError> {
        match self.failed.upgrade() {
            None => Err(failed("read", "it was closed")),
            Some(failure) if failure.load(Ordering::Relaxed) => {
                Err(failed("read", "a commit failed"))
            }
            Some(_) => readable(&self.disk),
        }
    }
}

impl StoreRead for SimulatedReader {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.readable()?;
        Ok(lock(&self.kept).content.get(key).cloned())
    }

    fn scan(
        &self,
        prefix: &[u8],
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        self.snapshot()?.scan(prefix, from, visit)
    }

    fn place(&self) -> String {
        "store".to_owned()
    }
}

impl ReadStore for SimulatedReader {
    fn snapshot(&self) -> Result<Snapshot, StoreError> {
        self.readable()?;
        let content = lock(&self.kept).content.clone();
        let (kept, disk, failed) = (self.kept.clone(), self.disk.clone(), self.failed.clone());
        Ok(Box::new(SimulatedSnapshot { reader: Self { kept, disk, failed }, content }))
    }
}

struct SimulatedSnapshot {
    reader: SimulatedReader,
    content: BTreeMap<Bytes, Bytes>,
}

impl StoreRead for SimulatedSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.reader.readable()?;
        Ok(self.content.get(key).cloned())
    }

    fn scan(
        &self,
        prefix: &[u8],
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        self.reader.readable()?;
        scan(&self.content, prefix, from, visit);
        Ok(())
    }

    fn place(&self) -> String {
        "store".to_owned()
    }
}
