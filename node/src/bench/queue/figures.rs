use core::fmt;
use std::time::Duration;

use super::super::process::percentile;

/// Jobs a second that the peer reaches on the same machine with one worker, its best.
const PEER_RATE: f64 = 25.0;

/// What [`run`](super::run) measured.
#[derive(Clone, Debug)]
pub struct QueueFigures {
    /// Jobs that were in the queue.
    pub jobs: usize,
    /// Their artifacts.
    pub artifacts: u32,
    /// From the first connection until the last answer.
    pub took: Duration,
    /// Reports accepted.
    pub accepted: usize,
    /// Reports not accepted, attempts cancelled.
    pub failed: usize,
    /// Jobs decided at the end, as the coordinator says.
    pub decided: usize,
    /// From a free slot until its next assignment, ascending.
    pub waits: Vec<Duration>,
    /// Of the coordinator: processor time, resident bytes at the end and at most.
    pub coordinator: (Duration, u64, u64),
    /// Processor time of the load generator.
    pub load: Duration,
    /// Bytes that the coordinator sent to storage meanwhile.
    pub written: u64,
    /// Bytes of the store at the end.
    pub on_disk: u64,
}

impl QueueFigures {
    /// Jobs a second, from grant to durable acceptance.
    #[expect(clippy::cast_precision_loss, reason = "some tens of thousands")]
    pub fn rate(&self) -> f64 {
        self.accepted as f64 / self.took.as_secs_f64()
    }
}

impl fmt::Display for QueueFigures {
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = |cpu: Duration| cpu.as_secs_f64() * 1e6 / self.jobs.max(1) as f64;
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let (cpu, resident, resident_max) = self.coordinator;
        writeln!(
            f,
            "{} jobs ({} artifacts) in {:.2} s: {:.0} jobs/s, {:.0} times the peer",
            self.jobs,
            self.artifacts,
            self.took.as_secs_f64(),
            self.rate(),
            self.rate() / PEER_RATE
        )?;
        writeln!(
            f,
            "accepted {}, failed {}, decided {}",
            self.accepted, self.failed, self.decided
        )?;
        let ms = |percent| percentile(&self.waits, percent).as_secs_f64() * 1e3;
        writeln!(
            f,
            "free slot to assignment: p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms, most {:.1} ms",
            ms(50),
            ms(90),
            ms(99),
            ms(100)
        )?;
        writeln!(
            f,
            "processor: coordinator {:.2} s ({:.0} µs a job), load {:.2} s ({:.0} µs a job)",
            cpu.as_secs_f64(),
            micros(cpu),
            self.load.as_secs_f64(),
            micros(self.load)
        )?;
        writeln!(
            f,
            "coordinator's memory: {:.0} MiB, at most {:.0} MiB",
            mib(resident),
            mib(resident_max)
        )?;
        write!(
            f,
            "written {:.0} MiB ({:.1} KiB a job), store on disk {:.0} MiB",
            mib(self.written),
            self.written as f64 / 1024.0 / self.jobs.max(1) as f64,
            mib(self.on_disk)
        )
    }
}
