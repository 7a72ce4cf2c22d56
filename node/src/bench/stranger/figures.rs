use core::fmt;
use std::time::Duration;

use super::super::process::percentile;
use super::storm::Counts;

/// Longest wait of 99 in 100 free slots for their next assignment.
const WAIT_P99_MAX: Duration = Duration::from_millis(250);
/// Longest command of an operator, from the first packet to the last row.
const COMMAND_MAX: Duration = Duration::from_secs(1);
/// What strangers may cost a coordinator together, as the table of `docs/protocol.md` adds up:
/// their connections, handshakes and connections that are closing.
const MEMORY_MAX: u64 = (256 + 80) << 20;
/// Fewer waits than this are no measurement of a percentile.
const WAITS_MIN: usize = 500;

/// What [`run`](super::run) measured.
#[derive(Clone, Debug)]
pub struct StrangerFigures {
    /// From the first connection until the last answer.
    pub took: Duration,
    /// Enrolled workers, with a slot each.
    pub workers: usize,
    /// Reports that were accepted from all enrolled workers together.
    pub accepted: usize,
    /// Reports not accepted, attempts cancelled.
    pub failed: usize,
    /// From a free slot until its next assignment, ascending.
    pub waits: Vec<Duration>,
    /// Of each of the operator's commands, ascending, and which it was.
    pub commands: Vec<(Duration, &'static str)>,
    /// Resident bytes of the coordinator before, at the end, and at most.
    pub memory: (u64, u64, u64),
    /// Processor time of the coordinator, and of everybody else.
    pub cpu: (Duration, Duration),
    /// What the strangers did.
    pub strangers: Counts,
}

impl StrangerFigures {
    /// Bytes that the coordinator took at most beside what it had before.
    fn grown(&self) -> u64 {
        self.memory.2.saturating_sub(self.memory.0)
    }

    /// The bounds that do not hold, in words.
    pub(super) fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let mut expect = |holds: bool, text: String| broken.extend((!holds).then_some(text));
        let waits = self.waits.len();
        expect(waits >= WAITS_MIN, format!("{waits} waits of workers are too few to judge"));
        let p99 = percentile(&self.waits, 99);
        expect(
            p99 < WAIT_P99_MAX,
            format!("p99 of a hand-out {p99:?} is not under {WAIT_P99_MAX:?}"),
        );
        let slowest = self.commands.last().copied();
        let text = format!("an admin's command took {slowest:?}: not under {COMMAND_MAX:?}");
        expect(slowest.is_some_and(|(time, _)| time < COMMAND_MAX), text);
        let grown = self.grown();
        expect(grown < MEMORY_MAX, format!("{grown} bytes of memory are not under {MEMORY_MAX}"));
        expect(self.failed == 0, format!("{} attempts of enrolled workers failed", self.failed));
        broken
    }
}

impl fmt::Display for StrangerFigures {
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let ms = |times: &[Duration], percent| percentile(times, percent).as_secs_f64() * 1e3;
        let row = |times: &[Duration]| {
            format!(
                "p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms, most {:.1} ms",
                ms(times, 50),
                ms(times, 90),
                ms(times, 99),
                ms(times, 100)
            )
        };
        let secs = self.took.as_secs_f64();
        writeln!(f, "strangers in {secs:.1} s: {}", self.strangers)?;
        writeln!(
            f,
            "{} workers: accepted {}, failed {}",
            self.workers, self.accepted, self.failed
        )?;
        writeln!(f, "free slot to assignment ({}): {}", self.waits.len(), row(&self.waits))?;
        let commands: Vec<Duration> = self.commands.iter().map(|(time, _)| *time).collect();
        let slowest = self.commands.last().map_or("none", |(_, name)| name);
        writeln!(f, "admin's command ({}): {} ({slowest})", commands.len(), row(&commands))?;
        writeln!(
            f,
            "processor: coordinator {:.1} s, strangers and workers {:.1} s",
            self.cpu.0.as_secs_f64(),
            self.cpu.1.as_secs_f64()
        )?;
        let (before, at_end, most) = self.memory;
        write!(
            f,
            "coordinator's memory: {:.0} MiB before, {:.0} MiB at the end, at most {:.0} MiB",
            mib(before),
            mib(at_end),
            mib(most)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> StrangerFigures {
        StrangerFigures {
            took: Duration::from_secs(60),
            workers: 4,
            accepted: 1_000,
            failed: 0,
            waits: vec![Duration::from_millis(20); 1_000],
            commands: vec![(Duration::from_millis(40), "status"); 60],
            memory: (100 << 20, 180 << 20, 200 << 20),
            cpu: (Duration::ZERO, Duration::ZERO),
            strangers: Counts::default(),
        }
    }

    #[test]
    fn each_bound_is_judged() {
        assert_eq!(good().broken(), [""; 0]);
        let slow = vec![Duration::from_millis(251); 11];
        let waits = [good().waits, slow].concat();
        let commands = vec![(Duration::from_secs(1), "status")];
        let memory = (100 << 20, 100 << 20, 436 << 20);
        for (bad, text) in [
            (StrangerFigures { waits, ..good() }, "p99 of a hand-out"),
            (StrangerFigures { waits: Vec::new(), ..good() }, "too few"),
            (StrangerFigures { commands, ..good() }, "an admin's command"),
            (StrangerFigures { memory, ..good() }, "bytes of memory"),
            (StrangerFigures { failed: 1, ..good() }, "attempts of enrolled workers failed"),
        ] {
            let broken = bad.broken();
            assert!(broken.len() == 1 && broken[0].contains(text), "{broken:?}");
        }
    }
}
