//! What a machine's disk does to its processes, and the port that runs work on it.

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::sync::{Arc, Mutex};

use rebuilder_actors::port::Blocking;

use super::random_stream::RandomStream;
use super::trouble::Trouble;
use super::world::{Call, Cluster, ProcessScope, lock};

/// How a write goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// As it should.
    Good,
    /// No space left.
    Full,
    /// An error of the disk; some of it may be written.
    Error,
    /// Power is lost inside the call; some of it may be written.
    PowerCut,
}

/// A machine's disk as one process meets it.
pub(super) struct SimulatedDisk {
    pub(super) world: Arc<Cluster>,
    pub(super) scope: Arc<ProcessScope>,
    random: Mutex<RandomStream>,
    /// No space is left; of the machine.
    full: Arc<AtomicBool>,
}

impl SimulatedDisk {
    pub(super) fn new(
        world: &Arc<Cluster>,
        scope: &Arc<ProcessScope>,
        full: &Arc<AtomicBool>,
    ) -> Arc<Self> {
        let random = world.random(&format!("disk of {} {}", scope.node, scope.number));
        let (world, scope, full) = (world.clone(), scope.clone(), full.clone());
        Arc::new(Self { world, scope, random: Mutex::new(random), full })
    }

    /// What becomes of a write that is about to happen. After a power cut the process is over.
    pub(super) fn write(&self) -> Fate {
        if self.scope.is_over() {
            return Fate::Error;
        }
        let often = self.world.options.disk_trouble_millionths;
        let mut random = lock(&self.random);
        if self.world.has(Trouble::FullDisks) && self.full.load(Ordering::Relaxed) {
            return Fate::Full;
        }
        if self.world.has(Trouble::DiskErrors) && random.millionth(often) {
            return Fate::Error;
        }
        if self.world.has(Trouble::DiskCrashes) && random.millionth(often) {
            self.scope.end();
            self.world.call(Call::PowerCut(self.scope.node, self.scope.number));
            return Fate::PowerCut;
        }
        Fate::Good
    }

    /// True when something can be read.
    pub(super) fn is_readable(&self) -> bool {
        let often = self.world.options.disk_trouble_millionths;
        let fails = self.world.has(Trouble::DiskErrors) && lock(&self.random).millionth(10 * often);
        !fails && !self.scope.is_over()
    }

    /// True when a folder can be listed, as a process does it that starts. Rare as it is in life,
    /// here it is common: what follows from it decides what becomes of everything in the folder.
    pub(super) fn is_listable(&self) -> bool {
        let often = self.world.options.unlisted_percent;
        let fails = self.world.has(Trouble::DiskErrors) && lock(&self.random).percent(often);
        !fails && !self.scope.is_over()
    }

    /// So many of what was not synced survive, 0 to `count`.
    pub(super) fn survivors(&self, count: usize) -> usize {
        lock(&self.random).count(0..count + 1)
    }

    fn delay(&self) -> Duration {
        let options = &self.world.options;
        let slow = self.world.has(Trouble::SlowDisks);
        let longest = if slow { options.slow_disk_ms } else { options.disk_ms };
        Duration::from_millis(lock(&self.random).of(0..longest + 1))
    }
}

/// Runs what blocks in virtual time: later, and never after the process.
pub(super) struct Later(pub(super) Arc<SimulatedDisk>);

impl Blocking for Later {
    fn run(&self, work: Box<dyn FnOnce() + Send>) {
        let (scope, delay) = (self.0.scope.clone(), self.0.delay());
        tokio::spawn(async move {
            if !delay.is_zero() {
                scope.run(tokio::time::sleep(delay)).await;
            }
            if !scope.is_over() {
                work();
            }
        });
    }
}
