//! How fast, and how large, the store is on a given disk.

use core::fmt;
use std::path::Path;
use std::time::Duration;

use rebuilder_actors::port::{Batch, Clock as _, Store, StoreError, StoreOwner, StoreRead};

use super::process;
use crate::clock::SystemClock;
use crate::data_dir::DataDir;
use crate::store::{self, Engine, StoreOptions};

/// How much to measure.
#[derive(Clone, Copy, Debug)]
pub struct StoreBenchPlan {
    /// What keeps the store.
    pub engine: Engine,
    /// Commits of one small batch each.
    pub singles: u32,
    /// Commits of 64 small batches each.
    pub groups: u32,
    /// Records of the bulk load.
    pub records: u32,
    /// Bytes of each.
    pub record_bytes: usize,
    /// Records in one commit of the bulk load; at least 1.
    pub records_a_commit: usize,
    /// The store's cache, bytes.
    pub cache_bytes: u64,
}

impl Default for StoreBenchPlan {
    fn default() -> Self {
        Self {
            engine: Engine::default(),
            singles: 500,
            groups: 100,
            records: 38_500,
            record_bytes: 700,
            records_a_commit: 1000,
            cache_bytes: StoreOptions::default().cache_bytes,
        }
    }
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct StoreBench {
    /// What was asked for.
    pub plan: StoreBenchPlan,
    /// Time of each commit of one batch, ascending.
    pub single: Vec<Duration>,
    /// Time of each commit of 64 batches, ascending.
    pub group: Vec<Duration>,
    /// Time of the bulk load's commits.
    pub load: Duration,
    /// Time to open the loaded store again, which reads all of it.
    pub reopen: Duration,
    /// Time to scan it from end to end then.
    pub scan: Duration,
    /// Bytes on disk at the end.
    pub disk_bytes: u64,
    /// Resident memory of this process at the end, and the most it ever had, bytes; 0 when the
    /// system does not tell.
    pub resident_bytes: (u64, u64),
}

const GROUP: usize = 64;
/// A record and an index entry, as the queue commits them for one report.
const SMALL_VALUE: usize = 300;

/// Measures a fresh store in the new folder `dir`/store-bench, which is removed afterwards.
///
/// # Errors
/// The store failed, or a scan found another number of records than were written (`Damaged`).
pub fn run(dir: &Path, plan: StoreBenchPlan) -> Result<StoreBench, StoreError> {
    let path = dir.join("store-bench");
    let measured = measure(&path, plan);
    if let Err(error) = std::fs::remove_dir_all(&path) {
        tracing::warn!(path = %path.display(), %error, "cannot remove what the measurement left");
    }
    measured
}

fn measure(path: &Path, plan: StoreBenchPlan) -> Result<StoreBench, StoreError> {
    let clock = SystemClock::new();
    let options = StoreOptions { cache_bytes: plan.cache_bytes, ..StoreOptions::default() };
    let dir = DataDir::open(path)?;
    let mut store = StoreOwner::take(store::open(plan.engine, &dir, options)?, None)?;
    let mut next = 0;
    let single = commits(&mut store, &clock, plan.singles, 1, &mut next)?;
    let group = commits(&mut store, &clock, plan.groups, GROUP, &mut next)?;

    let mut load = Duration::ZERO;
    let numbers: Vec<u32> = (0..plan.records).collect();
    for numbers in numbers.chunks(plan.records_a_commit.max(1)) {
        let mut batch = Batch::default();
        for number in numbers {
            batch.put(key(b'j', *number), value(*number, plan.record_bytes));
        }
        let start = clock.monotonic();
        store.commit(&[batch])?;
        load += clock.monotonic().since(start);
    }

    drop(store);
    let start = clock.monotonic();
    let store = store::open(plan.engine, &dir, options)?;
    let reopen = clock.monotonic().since(start);
    let start = clock.monotonic();
    let mut found = 0;
    store.scan(b"j", b"j", &mut |_, value| {
        found += u32::from(value.len() == plan.record_bytes);
        true
    })?;
    let scan = clock.monotonic().since(start);
    if found != plan.records {
        let reason = format!("{found} of {} records were found", plan.records);
        return Err(StoreError::Damaged { path: path.display().to_string(), reason });
    }
    let disk_bytes = process::disk_bytes(&dir.join(plan.engine.folder()));
    let resident_bytes = (status_bytes("VmRSS:"), status_bytes("VmHWM:"));
    Ok(StoreBench { plan, single, group, load, reopen, scan, disk_bytes, resident_bytes })
}

fn commits(
    store: &mut StoreOwner<Box<dyn Store>>,
    clock: &SystemClock,
    count: u32,
    batches: usize,
    next: &mut u32,
) -> Result<Vec<Duration>, StoreError> {
    let mut times = Vec::new();
    for _ in 0..count {
        let batches: Vec<Batch> = (0..batches)
            .map(|_| {
                *next += 1;
                let mut batch = Batch::default();
                batch.put(key(b'r', *next), value(*next, SMALL_VALUE));
                batch.put(key(b'i', next.wrapping_mul(0x9e37_79b1)), next.to_be_bytes().to_vec());
                batch
            })
            .collect();
        let start = clock.monotonic();
        store.commit(&batches)?;
        times.push(clock.monotonic().since(start));
    }
    times.sort_unstable();
    Ok(times)
}

fn key(prefix: u8, number: u32) -> Vec<u8> {
    [&[prefix][..], &number.to_be_bytes()].concat()
}

/// Bytes that do not repeat, so that nothing below can make them smaller.
fn value(number: u32, length: usize) -> Vec<u8> {
    let mut state = u64::from(number) | 1 << 40;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[2]
    };
    (0..length).map(|_| next()).collect()
}

fn status_bytes(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

struct Rate<'a>(&'a [Duration], usize);

impl fmt::Display for Rate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(worst), Some(middle)) = (self.0.last(), self.0.get(self.0.len() / 2)) else {
            return f.write_str("not measured");
        };
        let seconds = self.0.iter().sum::<Duration>().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a few thousand at most")]
        let count = (self.0.len() * self.1) as f64;
        write!(f, "{:.0}/s (median commit {middle:.2?}, worst {worst:.2?})", count / seconds)
    }
}

impl fmt::Display for StoreBench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = &self.plan;
        let mebibytes = |bytes: u64| bytes >> 20;
        writeln!(f, "engine {}", plan.engine.name())?;
        writeln!(f, "durable commits, one batch each    {}", Rate(&self.single, 1))?;
        writeln!(f, "batches, {GROUP} in a durable commit    {}", Rate(&self.group, GROUP))?;
        writeln!(
            f,
            "load of {} records of {} B    {:.2?} ({} in a commit)",
            plan.records, plan.record_bytes, self.load, plan.records_a_commit
        )?;
        writeln!(f, "reopen {:.2?}, full scan {:.2?}", self.reopen, self.scan)?;
        let (resident, most) = self.resident_bytes;
        write!(
            f,
            "on disk {} MiB, resident {} MiB (most {} MiB)",
            mebibytes(self.disk_bytes),
            mebibytes(resident),
            mebibytes(most)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_plan_measures_everything() {
        for engine in Engine::ALL {
            let top = tempfile::tempdir().unwrap();
            let plan = StoreBenchPlan {
                engine,
                singles: 3,
                groups: 2,
                records: 250,
                records_a_commit: 100,
                ..StoreBenchPlan::default()
            };
            let bench = run(top.path(), plan).unwrap();
            assert_eq!((bench.single.len(), bench.group.len()), (3, 2));
            assert!(bench.load > Duration::ZERO && bench.disk_bytes > 250 * 700);
            let text = bench.to_string();
            assert!(text.contains("load of 250 records of 700 B"), "{text}");
            assert!(text.contains(engine.name()), "{text}");
            assert!(!top.path().join("store-bench").exists());
        }
    }

    /// The engine to measure; sled otherwise.
    const ENGINE: &str = "STORE_BENCH_ENGINE";

    /// Prints the figures of this machine: run with `--ignored --nocapture`. The folder is that of
    /// `TMPDIR`.
    #[test]
    #[ignore = "takes a minute and wants a quiet machine"]
    fn measure_this_machine() {
        let asked = std::env::var(ENGINE).is_ok();
        let engine = if asked { Engine::asked_by(ENGINE) } else { Engine::default() };
        let plan = StoreBenchPlan { engine, ..StoreBenchPlan::default() };
        let top = tempfile::tempdir().unwrap();
        let more = StoreBenchPlan { records: 60_000, record_bytes: 600, ..plan };
        let larger = run(top.path(), more).unwrap();
        println!("{larger}");
        assert!(larger.resident_bytes.1 < 120 << 20, "the store takes too much memory");
        let bench = run(top.path(), plan).unwrap();
        println!("{bench}");
        assert!(bench.load < Duration::from_secs(2), "the bulk load is too slow");
        let start = bench.reopen + bench.scan;
        assert!(start < Duration::from_millis(600), "starting is too slow: {start:?}");
    }
}
