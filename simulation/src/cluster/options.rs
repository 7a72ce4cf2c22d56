use core::fmt;
use std::collections::BTreeSet;

use super::fault::Fault;
use super::random::Random;

/// What is simulated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Makes the world.
    pub seed: u64,
    /// Workers, 1 to [`Plan::WORKERS_MAX`]; `None`: drawn from the seed.
    pub workers: Option<u8>,
    /// Minutes of trouble before everything heals.
    pub minutes: u32,
    /// The only trouble that there is; `None`: drawn from the seed.
    pub faults: Option<BTreeSet<Fault>>,
    /// Keep what happens as lines.
    pub trace: bool,
}

impl Plan {
    /// Most workers of a cluster.
    pub const WORKERS_MAX: u8 = 30;

    /// A seed's usual world.
    pub fn of(seed: u64) -> Self {
        Self { seed, workers: None, minutes: 45, faults: None, trace: false }
    }

    /// The command that runs the same again.
    pub fn command(&self) -> String {
        let mut command = format!("cargo sim run --level cluster --seed {}", self.seed);
        if let Some(workers) = self.workers {
            command.push_str(&format!(" --workers {workers}"));
        }
        if self.minutes != Self::of(0).minutes {
            command.push_str(&format!(" --minutes {}", self.minutes));
        }
        if let Some(faults) = &self.faults {
            let names: Vec<&str> = faults.iter().map(|fault| fault.name()).collect();
            command.push_str(&format!(" --faults {}", names.join(",")));
        }
        command
    }

    /// What this plan comes to: every option that the seed decides.
    pub fn draw(&self) -> Options {
        let mut random = Random::new(self.seed, "options");
        let mut drawn = BTreeSet::new();
        for fault in Fault::ALL {
            if random.percent(45) {
                drawn.insert(*fault);
            }
        }
        let few = random.percent(70);
        let workers = random.count(if few { 2..7 } else { 7..21 });
        let workers = self.workers.map_or(workers, usize::from);
        Options {
            faults: self.faults.clone().unwrap_or(drawn),
            workers: workers.clamp(1, usize::from(Self::WORKERS_MAX)),
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
            confirmations: if random.percent(0) { 2 } else { 1 },
            sync_secs: random.of(300..1800),
            build_secs_max: u32::try_from(random.of(600..1800)).unwrap_or(600),
            crash_secs: random.of(200..1500),
            partition_secs: random.of(100..1000),
        }
    }
}

/// Every option of a world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What trouble there is.
    pub faults: BTreeSet<Fault>,
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
}

impl Options {
    /// True when there is trouble of this kind.
    pub fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults: Vec<&str> = self.faults.iter().map(|fault| fault.name()).collect();
        writeln!(f, "faults: {}", faults.join(" "))?;
        let Self { workers, ctls, packages, slots_max, .. } = self;
        writeln!(f, "workers {workers}, ctls {ctls}, packages {packages}, slots < {slots_max}+1")?;
        writeln!(
            f,
            "network: {} ms + {} ms, loss {} %, twice {} %, overtaken {} %, late {} %",
            self.latency_ms,
            self.jitter_ms,
            self.loss_percent,
            self.duplicates_percent,
            self.reordering_percent,
            self.late_percent
        )?;
        writeln!(
            f,
            "disks: {} ms, slow {} ms, trouble {} of a million calls",
            self.disk_ms, self.slow_disk_ms, self.disk_trouble_millionths
        )?;
        writeln!(
            f,
            "queue: lease {} s, retries {} from {} s, confirmations {}, sync {} s, build {} s",
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
