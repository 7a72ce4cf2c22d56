//! The contract of the port `Spool`: what is kept survives, what is removed may come back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use rebuilder_actors::domain::report;
use rebuilder_actors::port::{Spool, SpoolError};
use rebuilder_actors::protocol::PublicKey;
use rebuilder_actors::protocol::stored::{self, SpoolEntry};

use super::disk::{Fate, SimulatedDisk};
use super::random_stream::RandomStream;
use super::world::{Cluster, lock};
use crate::observation::Observation;

/// What a machine has on its disk.
#[derive(Debug, Default)]
pub(super) struct SpoolDisk {
    entries: BTreeMap<String, Bytes>,
    /// Removed, and not durably so.
    removed: BTreeMap<String, Bytes>,
    /// Answered, and still there because the removal failed.
    left_over: BTreeSet<String>,
}

impl SpoolDisk {
    /// Reports without a final answer.
    pub(super) fn len(&self) -> usize {
        self.entries.keys().filter(|name| !self.left_over.contains(*name)).count()
    }

    /// The power went: what was removed since the last time may be back.
    pub(super) fn power_cut(&mut self, random: &mut RandomStream) {
        for (name, content) in core::mem::take(&mut self.removed) {
            if random.percent(50) {
                self.entries.entry(name).or_insert(content);
            }
        }
    }
}

/// One process' way to it.
pub(super) struct SimulatedSpool {
    pub(super) world: Arc<Cluster>,
    pub(super) kept: Arc<Mutex<SpoolDisk>>,
    pub(super) disk: Arc<SimulatedDisk>,
    /// Number and key of the worker.
    pub(super) worker: (usize, PublicKey),
    /// False: its builder lies.
    pub(super) honest: bool,
}

impl SimulatedSpool {
    /// What a worker signed is seen when it is to be kept: not earlier does anybody hear of it.
    fn show(&self, content: &[u8]) {
        let read = stored::read::<SpoolEntry>(content);
        let SpoolEntry { attempt, spooled } = read.expect("a spooled report can be read");
        let (worker, key) = self.worker;
        let verified = report::verify(&spooled.signed, &key);
        let verified = verified.expect("a report is valid as it was signed");
        let ending = Arc::new(verified.report().attempted.ending.clone());
        let honest = self.honest;
        self.world.observe(&Observation::Signed { attempt, worker, ending, honest });
    }

    fn failed(action: &'static str, name: &str, full: bool) -> SpoolError {
        let reason = if full { "no space left on device" } else { "input/output error" };
        SpoolError { action, path: name.into(), reason: reason.into(), full }
    }
}

impl Spool for SimulatedSpool {
    fn keep(&mut self, name: &str, content: &[u8]) -> Result<(), SpoolError> {
        if self.disk.scope.is_over() {
            return Err(Self::failed("write", name, false));
        }
        let fate = self.disk.write();
        let kept = match fate {
            Fate::Good => true,
            // A failed write is taken back by the process, unless that is gone.
            Fate::Full | Fate::Error => false,
            Fate::PowerCut => self.disk.survivors(1) == 1,
        };
        if kept {
            self.show(content);
            let mut kept = lock(&self.kept);
            kept.removed.remove(name);
            kept.entries.insert(name.into(), Bytes::copy_from_slice(content));
        }
        match fate {
            Fate::Good => Ok(()),
            Fate::Full => Err(Self::failed("write", name, true)),
            Fate::Error | Fate::PowerCut => Err(Self::failed("sync", name, false)),
        }
    }

    fn remove(&mut self, name: &str) -> Result<(), SpoolError> {
        match self.disk.write() {
            Fate::Good | Fate::Full => {
                let mut kept = lock(&self.kept);
                if let Some(content) = kept.entries.remove(name) {
                    kept.removed.insert(name.into(), content);
                }
                Ok(())
            }
            Fate::Error | Fate::PowerCut => {
                lock(&self.kept).left_over.insert(name.into());
                Err(Self::failed("remove", name, false))
            }
        }
    }

    fn entries(&mut self) -> Result<Vec<(String, Bytes)>, SpoolError> {
        if !self.disk.is_listable() {
            return Err(Self::failed("list", "spool", false));
        }
        Ok(lock(&self.kept).entries.clone().into_iter().collect())
    }
}
