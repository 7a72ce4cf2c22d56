use core::fmt;
use std::collections::BTreeSet;

use rebuilder_actors::domain::places::PlaceLimits;

use super::hostile;
use super::random_stream::RandomStream;
use super::trouble::Trouble;
use crate::plan::Plan;

/// Most workers of a cluster.
pub(super) const WORKERS_MAX: u16 = 30;

/// Minutes of trouble before everything heals.
pub(super) const MINUTES: u32 = 45;

fn named(names: &[String]) -> BTreeSet<Trouble> {
    // The command refuses names that no fault has.
    Trouble::ALL.iter().filter(|f| names.iter().any(|name| name == f.name())).copied().collect()
}

/// Every option of a world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What trouble there is.
    pub faults: BTreeSet<Trouble>,
    /// Workers.
    pub workers: usize,
    /// Clients of operators and readers.
    pub ctls: usize,
    /// Source packages.
    pub packages: usize,
    /// A worker has fewer slots.
    pub slots_max: u64,
    /// Shortest way of a datagram, milliseconds.
    pub latency_ms: u64,
    /// Longest delay beside that, in peace.
    pub jitter_ms: u64,
    /// Datagrams lost in times of trouble.
    pub loss_percent: u64,
    /// Datagrams that arrive twice.
    pub duplicates_percent: u64,
    /// Datagrams that are overtaken.
    pub reordering_percent: u64,
    /// Datagrams that take seconds.
    pub late_percent: u64,
    /// Longest call of a disk, in peace, milliseconds.
    pub disk_ms: u64,
    /// Longest call of a slow disk, milliseconds.
    pub slow_disk_ms: u64,
    /// Calls of a disk in a million that fail or lose power.
    pub disk_trouble_millionths: u64,
    /// Processes that cannot list a folder when they start and need it, where disks have errors.
    pub unlisted_percent: u64,
    /// Silence after which a lease is lost.
    pub lease_secs: u64,
    /// The first retry's delay; the second's is twice as long.
    pub retry_base_secs: u64,
    /// Retries after a verdict.
    pub retries_max: u32,
    /// Keys that must find a package reproduced.
    pub confirmations: u32,
    /// Time between two looks at an index.
    pub sync_secs: u64,
    /// Longest build.
    pub build_secs_max: u32,
    /// About so long from one crash of a node to the next.
    pub crash_secs: u64,
    /// About so long from one partition to the next.
    pub partition_secs: u64,
    /// The network cuts what is too large into pieces, so that nobody looks for the largest
    /// datagram that passes.
    pub fragments: bool,
}

impl Options {
    /// What a plan comes to: every option that the seed decides.
    pub(super) fn draw(plan: &Plan) -> Self {
        let mut random = RandomStream::new(plan.seed, "options");
        let mut drawn = BTreeSet::new();
        let mut hostile = RandomStream::new(plan.seed, "hostile peers");
        for fault in Trouble::ALL {
            let drawn_now =
                if fault.is_hostile() { hostile.percent(25) } else { random.percent(45) };
            if drawn_now {
                drawn.insert(*fault);
            }
        }
        let few = random.percent(70);
        let workers = random.count(if few { 2..7 } else { 7..21 });
        let workers = plan.workers.map_or(workers, usize::from);
        Self {
            faults: plan.faults.as_deref().map_or(drawn, named),
            workers: workers.clamp(1, usize::from(WORKERS_MAX)),
            ctls: random.count(1..4),
            packages: random.count(6..24),
            slots_max: random.of(1..5),
            latency_ms: random.of(1..40),
            jitter_ms: random.of(1..30),
            loss_percent: random.of(1..15),
            duplicates_percent: random.of(1..10),
            reordering_percent: random.of(1..15),
            late_percent: random.of(1..5),
            disk_ms: random.of(0..10),
            slow_disk_ms: random.of(20..3000),
            disk_trouble_millionths: 10_u64.pow(u32::try_from(random.of(3..5)).unwrap_or(3)),
            lease_secs: *random.pick(&[60, 120, 300, 900]),
            retry_base_secs: *random.pick(&[300, 900, 1800]),
            retries_max: u32::try_from(random.of(0..3)).unwrap_or(0),
            confirmations: if random.percent(25) { 2 } else { 1 },
            sync_secs: random.of(300..1800),
            build_secs_max: u32::try_from(random.of(600..1800)).unwrap_or(600),
            crash_secs: random.of(200..1500),
            partition_secs: random.of(100..1000),
            unlisted_percent: random.of(5..50),
            fragments: random.percent(50),
        }
    }

    /// As many places as all workers need, hostile ones too, and some that strangers can have.
    pub(super) fn places(&self) -> PlaceLimits {
        let places = self.workers + hostile::WORKERS + self.ctls;
        PlaceLimits { places, strangers: places, ..PlaceLimits::default() }
    }

    /// True when there is trouble of this kind.
    pub(super) fn has(&self, fault: Trouble) -> bool {
        self.faults.contains(&fault)
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults: Vec<&str> = self.faults.iter().map(|fault| fault.name()).collect();
        let faults = if faults.is_empty() { "none".to_owned() } else { faults.join(" ") };
        let Self { workers, ctls, packages, slots_max, .. } = self;
        write!(
            f,
            "faults: {faults}; {workers} workers of at most {slots_max} slots, {ctls} ctls, "
        )?;
        write!(f, "{packages} packages; ")?;
        write!(
            f,
            "datagrams: {} ms + {} ms, {} % lost, {} % twice, {} % overtaken, {} % late; ",
            self.latency_ms,
            self.jitter_ms,
            self.loss_percent,
            self.duplicates_percent,
            self.reordering_percent,
            self.late_percent
        )?;
        if self.fragments {
            write!(f, "the network fragments; ")?;
        }
        write!(
            f,
            "disks: {} ms, slow {} ms, trouble in {} of a million calls and {} % of listings; ",
            self.disk_ms, self.slow_disk_ms, self.disk_trouble_millionths, self.unlisted_percent
        )?;
        write!(
            f,
            "lease {} s, {} retries from {} s, {} confirmations, sync {} s, builds {} s; ",
            self.lease_secs,
            self.retries_max,
            self.retry_base_secs,
            self.confirmations,
            self.sync_secs,
            self.build_secs_max
        )?;
        write!(f, "crashes every {} s, partitions every {} s", self.crash_secs, self.partition_secs)
    }
}
