//! A reader on a thread of its own, who looks at one page after the other and times each.

use std::collections::BTreeMap;
use std::time::Duration;

use rebuilder_actors::actor::coordinator::Views;
use rebuilder_actors::domain::results::{
    Capabilities, Faults, Jobs, Packages, Profiles, Query, QueuePosition, ReadModel, Rows,
    Troubles, Workers,
};
use rebuilder_actors::port::Clock as _;
use rebuilder_actors::protocol::InputId;
use rebuilder_actors::protocol::wire::v1::ctl::{PackageFilter, PackageStatus};

use crate::clock::SystemClock;

/// Rows of a page, as a session asks for them.
const PAGE: usize = 200;

/// Between two looks: the reader is one of many users of the machine.
const PAUSE: Duration = Duration::from_millis(1);

/// What the reader knows that it can ask for.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// Of binary packages.
    pub(super) names: Vec<String>,
    pub(super) releases: usize,
    pub(super) architecture: String,
    /// Numbers of jobs go from 1 to here.
    pub(super) jobs: i32,
}

/// All looks at one kind of page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Looks {
    /// How long each took, with the wait for what was durable before it; ascending.
    pub(super) times: Vec<Duration>,
    /// Rows that all of them had.
    pub(super) rows: usize,
}

/// By kind of page.
pub(super) type Seen = BTreeMap<&'static str, Looks>;

/// Looks for so long, at pages of every kind in turn.
pub(super) fn run(views: Views, known: Known, time: Duration) -> Result<Seen, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let clock = SystemClock::new();
    let mut reader = Reader { views, known, clock, chance: 1, queue: [None; 2], seen: Seen::new() };
    runtime.map_err(|e| e.to_string())?.block_on(async {
        for turn in 0.. {
            if reader.clock.monotonic().0 > time {
                break;
            }
            reader.look(turn % TURNS).await?;
            tokio::time::sleep(PAUSE).await;
        }
        Ok::<(), String>(())
    })?;
    for looks in reader.seen.values_mut() {
        looks.times.sort_unstable();
    }
    Ok(reader.seen)
}

struct Reader {
    views: Views,
    known: Known,
    clock: SystemClock,
    /// The last of the numbers that stand for chance: the same in every run.
    chance: u64,
    /// Where it is in the queue, without and with what waits for a moment.
    queue: [Option<QueuePosition>; 2],
    seen: Seen,
}

const NAMED: &str = "packages by name";

/// Kinds of looks, see [`Reader::look`].
const TURNS: u32 = 16;

impl Reader {
    async fn look(&mut self, turn: u32) -> Result<(), String> {
        let now = self.clock.utc();
        let after = Some(InputId(self.below_jobs()));
        if let Some((what, filter)) = self.filter(turn) {
            // Who asks for a name asks from the beginning.
            let after = after.filter(|_| what != NAMED);
            self.time(what, &Packages(vec![filter]), after).await?;
            return Ok(());
        }
        match turn {
            9 => {
                let began = self.clock.monotonic();
                let nothing = |_: &ReadModel| ();
                self.views.look(nothing).await.map_err(|e| e.to_string())?;
                self.note("nothing, but in its turn", self.clock.monotonic().since(began), 0);
            }
            10 | 11 => {
                let planned = turn == 11;
                let behind = self.queue[usize::from(planned)];
                let next = self.time("queue", &Rows { now, planned }, behind).await?;
                self.queue[usize::from(planned)] = next;
            }
            12 => {
                let release = Some(self.release());
                let query = Jobs(vec![PackageFilter { release, ..PackageFilter::default() }]);
                self.time("jobs by release", &query, after).await?;
            }
            13 => {
                self.time("faults", &Faults(PackageFilter::default()), after).await?;
            }
            14 => {
                self.time("workers", &Workers, None).await?;
                self.time("capabilities", &Capabilities, None).await?;
            }
            _ => {
                self.time("profiles", &Profiles, None).await?;
                self.time("troubles", &Troubles { now }, None).await?;
            }
        }
        Ok(())
    }

    /// A filter of packages with values by chance; `None`: this turn is for something else.
    fn filter(&mut self, turn: u32) -> Option<(&'static str, PackageFilter)> {
        let none = PackageFilter::default();
        let reproduced = Some(PackageStatus::Reproduced);
        Some(match turn {
            0 | 1 => (NAMED, PackageFilter { name: Some(self.name()), ..none }),
            2 => {
                let name = self.name();
                let name = Some(format!("*{}*", name.get(1..).unwrap_or("x")));
                ("packages by pattern", PackageFilter { name, ..none })
            }
            3 => {
                let is_new = self.below(2) == 0;
                let status = if is_new { Some(PackageStatus::Unknown) } else { reproduced };
                ("packages by status", PackageFilter { status, ..none })
            }
            4 => {
                let release = Some(self.release());
                ("packages by release", PackageFilter { release, ..none })
            }
            5 => {
                let component = Some("main".to_owned());
                let is_all = self.below(2) == 0;
                let architecture = if is_all { "all" } else { &self.known.architecture };
                let architecture = Some(architecture.to_owned());
                let filter = PackageFilter { component, architecture, ..none };
                ("packages by component, architecture", filter)
            }
            6 => {
                let release = Some(self.release());
                let filter = PackageFilter { release, status: reproduced, ..none };
                ("packages by release, status", filter)
            }
            // No index has versions: jobs are looked at until the page has cost enough.
            7 => {
                ("packages by version", PackageFilter { version: Some("none".to_owned()), ..none })
            }
            8 => ("all packages", none),
            _ => return None,
        })
    }

    fn name(&mut self) -> String {
        let name = self.below(self.known.names.len());
        self.known.names[name].clone()
    }

    fn release(&mut self) -> String {
        super::archive::name(self.below(self.known.releases))
    }

    /// Times a page; where it goes on.
    async fn time<Q: Query>(
        &mut self,
        what: &'static str,
        query: &Q,
        after: Option<Q::Cursor>,
    ) -> Result<Option<Q::Cursor>, String> {
        let began = self.clock.monotonic();
        let page = self.views.page(query, after, PAGE).await;
        let took = self.clock.monotonic().since(began);
        let page = page.map_err(|e| format!("{what}: {e}"))?;
        self.note(what, took, page.rows.len());
        Ok(page.next)
    }

    fn note(&mut self, what: &'static str, took: Duration, rows: usize) {
        let looks = self.seen.entry(what).or_default();
        looks.times.push(took);
        looks.rows += rows;
    }

    /// A number below `end`.
    fn below(&mut self, end: usize) -> usize {
        // Knuth's multiplier; its upper bits are the better ones.
        self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.chance >> 33).map_or(0, |chance| chance % end.max(1))
    }

    fn below_jobs(&mut self) -> i32 {
        let jobs = usize::try_from(self.known.jobs).unwrap_or(0);
        i32::try_from(self.below(jobs)).unwrap_or(0)
    }
}
