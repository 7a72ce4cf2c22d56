use core::fmt;
use std::time::Duration;

use super::super::process::percentile;
use super::looks::Looks;
use super::syncs::Syncs;
use super::work::Worked;

/// Of half a million artifacts, all profiles together.
const FIRST_MAX: Duration = Duration::from_secs(40);
const UNCHANGED_MAX: Duration = Duration::from_millis(50);
const SIGNED_AGAIN_MAX: Duration = Duration::from_secs(3);
const CHANGED_MAX: Duration = Duration::from_secs(4);
const START_MAX: Duration = Duration::from_secs(4);
/// Anonymous memory at rest; mapped files are the kernel's to take back.
const MEMORY_MAX: u64 = 550 << 20;
/// Of 99 in 100 looks at each kind of page.
const PAGE_P99_MAX: Duration = Duration::from_millis(1);
/// Fewer looks than this are no measurement of a percentile.
const LOOKS_MIN: usize = 500;
/// Shares of the full rate between which the queue works at half of it.
const HALF: core::ops::Range<f64> = 0.4..0.6;

/// What [`run`](super::run) measured.
#[derive(Clone, Debug)]
pub struct ReaderFigures {
    /// Of a coordinator in a process of its own.
    pub(super) syncs: Syncs,
    /// Of a reader beside a queue at work; `None`: not looked.
    pub(super) worked: Option<Worked>,
}

/// One figure and its bound.
struct Judged {
    what: String,
    holds: bool,
}

impl ReaderFigures {
    /// The bounds that do not hold, in words.
    pub(super) fn broken(&self) -> Vec<String> {
        self.judged().into_iter().filter(|one| !one.holds).map(|one| one.what).collect()
    }

    fn judged(&self) -> Vec<Judged> {
        let Syncs { first, unchanged, unchanged_written, signed_again, changed, start, .. } =
            &self.syncs;
        let median = percentile(unchanged, 50);
        let mut all = vec![
            timed("first sync, durable", *first, FIRST_MAX),
            timed("unchanged sync, median", median, UNCHANGED_MAX),
            Judged {
                what: format!("written by {}: {unchanged_written} bytes (0)", unchanged.len()),
                holds: *unchanged_written == 0,
            },
            timed("signed again with the same content", *signed_again, SIGNED_AGAIN_MAX),
            timed("1 % changed", *changed, CHANGED_MAX),
            timed("start until an answer", *start, START_MAX),
        ];
        let moments = ["the first sync", "the last sync", "a start"];
        for (moment, bytes) in moments.iter().zip(self.syncs.memory) {
            let what = format!(
                "anonymous memory after {moment}: {} MiB (under {})",
                bytes >> 20,
                MEMORY_MAX >> 20
            );
            all.push(Judged { what, holds: bytes < MEMORY_MAX });
        }
        all.extend(self.worked.iter().flat_map(judged_looks));
        all
    }
}

fn timed(what: &str, took: Duration, max: Duration) -> Judged {
    let secs = |time: Duration| time.as_secs_f64();
    let what = format!("{what}: {:.3} s (under {} s)", secs(took), secs(max));
    Judged { what, holds: took < max }
}

fn judged_looks(worked: &Worked) -> Vec<Judged> {
    let share = worked.paced / worked.full;
    let mut all = vec![Judged {
        what: format!(
            "the queue at {:.0} jobs/s of {:.0}: {:.0} % (half)",
            worked.paced,
            worked.full,
            100.0 * share
        ),
        holds: HALF.contains(&share),
    }];
    for (what, looks) in &worked.seen {
        let count = looks.times.len();
        let p99 = percentile(&looks.times, 99);
        all.push(Judged {
            what: format!("{what}: {}", described(looks)),
            holds: p99 < PAGE_P99_MAX && count >= LOOKS_MIN,
        });
    }
    all
}

fn described(looks: &Looks) -> String {
    let ms = |percent| percentile(&looks.times, percent).as_secs_f64() * 1e3;
    let count = looks.times.len();
    format!(
        "p50 {:.3} ms, p99 {:.3} ms (under {}), most {:.1} ms; {count} looks, {} rows each",
        ms(50),
        ms(99),
        PAGE_P99_MAX.as_millis(),
        ms(100),
        looks.rows / count.max(1),
    )
}

impl fmt::Display for ReaderFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (inputs, artifacts) = self.syncs.size;
        write!(f, "{inputs} build inputs, {artifacts} artifacts")?;
        for one in self.judged() {
            write!(f, "\n{}{}", one.what, if one.holds { "" } else { "  <- NOT" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::readers::looks::Seen;

    fn seen(time: Duration, count: usize) -> Seen {
        Seen::from([("queue", Looks { times: vec![time; count], rows: 200 * count })])
    }

    fn good() -> ReaderFigures {
        let ms = Duration::from_millis;
        let syncs = Syncs {
            size: (180_000, 500_000),
            first: ms(39_000),
            unchanged: vec![ms(49); 5],
            unchanged_written: 0,
            signed_again: ms(2_900),
            changed: ms(3_900),
            start: ms(3_900),
            memory: [549 << 20; 3],
        };
        let seen = seen(Duration::from_micros(900), 500);
        ReaderFigures { syncs, worked: Some(Worked { full: 3_000.0, paced: 1_500.0, seen }) }
    }

    #[test]
    fn each_bound_is_judged() {
        assert_eq!(good().broken(), [""; 0]);
        let secs = Duration::from_secs;
        let syncs = |change: fn(&mut Syncs)| {
            let mut figures = good();
            change(&mut figures.syncs);
            figures
        };
        let worked = |paced, seen| {
            let worked = Some(Worked { full: 3_000.0, paced, seen });
            ReaderFigures { worked, ..good() }
        };
        let fast = || seen(Duration::from_micros(900), 500);
        for (bad, text) in [
            (syncs(|s| s.first = Duration::from_secs(40)), "first sync"),
            (syncs(|s| s.unchanged[2..].fill(Duration::from_millis(50))), "unchanged sync"),
            (syncs(|s| s.unchanged_written = 1), "written"),
            (syncs(|s| s.signed_again = Duration::from_secs(3)), "signed again"),
            (syncs(|s| s.changed = Duration::from_secs(4)), "1 % changed"),
            (syncs(|s| s.start = Duration::from_secs(4)), "start until an answer"),
            (syncs(|s| s.memory[1] = 550 << 20), "memory after the last sync"),
            (worked(2_000.0, fast()), "the queue at"),
            (worked(1_500.0, seen(secs(1), 500)), "queue: p50"),
            (worked(1_500.0, seen(secs(0), 499)), "499 looks"),
        ] {
            let broken = bad.broken();
            assert!(broken.len() == 1 && broken[0].contains(text), "{broken:?}");
        }
    }
}
