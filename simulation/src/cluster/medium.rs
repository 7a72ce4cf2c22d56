//! What a machine's disk does to its processes, and the port that runs work on it.

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::sync::{Arc, Mutex};

use rebuilder_actors::port::Blocking;

use super::fault::Fault;
use super::random::Random;
use super::world::{Call, Life, World, lock};

/// How a write goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// As it should.
    Good,
    /// No space left.
    Full,
    /// An error of the medium; some of it may be written.
    Error,
    /// Power is lost inside the call; some of it may be written.
    PowerCut,
}

/// A machine's disk as one process meets it.
pub(super) struct Medium {
    world: Arc<World>,
    pub(super) life: Arc<Life>,
    random: Mutex<Random>,
    /// No space is left; of the machine.
    full: Arc<AtomicBool>,
}

impl Medium {
    pub(super) fn new(world: &Arc<World>, life: &Arc<Life>, full: &Arc<AtomicBool>) -> Arc<Self> {
        let random = world.random(&format!("disk of {} {}", life.node, life.number));
        let (world, life, full) = (world.clone(), life.clone(), full.clone());
        Arc::new(Self { world, life, random: Mutex::new(random), full })
    }

    /// What becomes of a write that is about to happen. After a power cut the process is over.
    pub(super) fn write(&self) -> Fate {
        if self.life.is_over() {
            return Fate::Error;
        }
        let often = self.world.options.disk_trouble_millionths;
        let mut random = lock(&self.random);
        if self.world.has(Fault::FullDisks) && self.full.load(Ordering::Relaxed) {
            return Fate::Full;
        }
        if self.world.has(Fault::DiskErrors) && random.millionth(often) {
            return Fate::Error;
        }
        if self.world.has(Fault::DiskCrashes) && random.millionth(often) {
            self.life.end();
            self.world.call(Call::PowerCut(self.life.node, self.life.number));
            return Fate::PowerCut;
        }
        Fate::Good
    }

    /// True when something can be read.
    pub(super) fn is_readable(&self) -> bool {
        let often = self.world.options.disk_trouble_millionths;
        let fails = self.world.has(Fault::DiskErrors) && lock(&self.random).millionth(10 * often);
        !fails && !self.life.is_over()
    }

    /// True when a folder can be listed, as a process does it that starts. Rare as it is in life,
    /// here it is common: what follows from it decides what becomes of everything in the folder.
    pub(super) fn is_listable(&self) -> bool {
        let often = self.world.options.unlisted_percent;
        let fails = self.world.has(Fault::DiskErrors) && lock(&self.random).percent(often);
        !fails && !self.life.is_over()
    }

    /// So many of what was not synced survive, 0 to `count`.
    pub(super) fn survivors(&self, count: usize) -> usize {
        lock(&self.random).count(0..count + 1)
    }

    fn delay(&self) -> Duration {
        let options = &self.world.options;
        let slow = self.world.has(Fault::SlowDisks);
        let longest = if slow { options.slow_disk_ms } else { options.disk_ms };
        Duration::from_millis(lock(&self.random).of(0..longest + 1))
    }
}

/// Runs what blocks in virtual time: later, and never after the process.
pub(super) struct Later(pub(super) Arc<Medium>);

impl Blocking for Later {
    fn run(&self, work: Box<dyn FnOnce() + Send>) {
        let (life, delay) = (self.0.life.clone(), self.0.delay());
        tokio::spawn(async move {
            if !delay.is_zero() {
                life.run(tokio::time::sleep(delay)).await;
            }
            if !life.is_over() {
                work();
            }
        });
    }
}
