use core::fmt::Display;
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use rebuilder_actors::domain::queue::{
    Event, Now, ProfilePolicy, RetryPolicy, SessionId, Settings,
};
use rebuilder_actors::port::Signer as _;
use rebuilder_actors::protocol::{JobKey, UtcMillis};

use super::calendar::{Calendar, Happening};
use super::coordinator::Coordinator;
use super::index::Reading;
use super::link::Connection;
use super::packages::{PROFILES, Package};
use super::trouble::{Faults, Trouble};
use super::worker::Worker;
use crate::observation::{End, Named, Observation};
use crate::plan::{Outcome, Plan};
use crate::random::Random;
use crate::witness::Witness;

pub(super) const SECOND: u64 = 1000;
pub(super) const MINUTE: u64 = 60 * SECOND;
pub(super) const HOUR: u64 = 60 * MINUTE;
pub(super) const DAY: u64 = 24 * HOUR;
pub(super) const GIB: u64 = 1 << 30;
/// Days after which a healed system must have finished: the longest parking and all retries.
const HEALING_DAYS: u64 = 120;
/// 2026-01-01: the wall clock when a run starts.
pub(super) const START: u64 = 1_767_225_600_000;
/// Days of trouble, unless the plan says.
pub(super) const DAYS: u32 = 3;

/// Runs a plan to its end, or to the first broken property.
pub fn run(plan: &Plan) -> Outcome {
    let mut world = World::new(plan);
    world.begin();
    world.live();
    world.end()
}

/// Everything there is.
pub(super) struct World {
    pub(super) random: Random,
    /// Milliseconds since the start.
    pub(super) now: u64,
    calendar: Calendar,
    events: u64,
    pub(super) settings: Settings,
    pub(super) faults: Faults,
    pub(super) coordinator: Option<Coordinator>,
    pub(super) incarnation: u64,
    pub(super) durable: BTreeMap<Vec<u8>, Vec<u8>>,
    /// What the coordinator's wall clock is off, milliseconds.
    pub(super) skew: i64,
    pub(super) latest_utc: UtcMillis,
    /// Since when the coordinator does nothing.
    pub(super) stalled: Option<u64>,
    /// What came for it meanwhile.
    pub(super) late: VecDeque<Happening>,
    pub(super) workers: Vec<Worker>,
    pub(super) connections: BTreeMap<SessionId, Connection>,
    pub(super) sessions: u64,
    pub(super) packages: Vec<Package>,
    /// What each profile is handing over.
    pub(super) reading: [Option<Reading>; PROFILES.len()],
    pub(super) sync_number: u64,
    /// What the index names that is just taken in whole.
    pub(super) named: Option<(Box<str>, Named)>,
    /// What each profile took in last.
    pub(super) published: [Named; PROFILES.len()],
    /// The mirror answers nobody until then.
    pub(super) outage_until: u64,
    /// Until everything heals.
    pub(super) trouble: bool,
    heals_at: u64,
    /// Nothing is to be done before this: statuses rest. Looked up at most every few seconds.
    quiet: (u64, u64),
    pub(super) with_oracle: bool,
    witness: Witness,
    /// Reports of all workers.
    pub(super) signed: u64,
    pub(super) builds: u64,
    pub(super) restarts: u64,
}

impl World {
    fn new(plan: &Plan) -> Self {
        let faults = Faults::draw(plan.seed, plan.faults.as_deref());
        let mut random = Random::new(plan.seed, "world");
        let drawn = random.of(2..6);
        let count = usize::from(plan.workers.unwrap_or(u16::try_from(drawn).unwrap_or(2)));
        let settings = settings(plan.seed, count, &mut random);
        let able = settings.confirmations as usize;
        let mut workers_random = Random::new(plan.seed, "workers");
        let workers: Vec<_> =
            (0..count).map(|n| Worker::draw(&mut workers_random, n, able)).collect();
        let mut packages_random = Random::new(plan.seed, "packages");
        let hungry = faults.has(Trouble::Memory);
        let packages = (0..20.max(2 * count as u64))
            .map(|n| Package::draw(&mut packages_random, usize::try_from(n).unwrap_or(0), hungry));
        let packages = packages.collect();
        let mut settings = settings;
        settings.enrolment.authorized.extend(workers.iter().map(|w| w.key.public_key()));
        Self {
            random,
            now: 0,
            calendar: Calendar::default(),
            events: 0,
            witness: Witness::new(plan, &settings),
            settings,
            faults,
            coordinator: None,
            incarnation: 0,
            durable: BTreeMap::new(),
            skew: 0,
            latest_utc: UtcMillis(0),
            stalled: None,
            late: VecDeque::new(),
            workers,
            connections: BTreeMap::new(),
            sessions: 0,
            packages,
            reading: Default::default(),
            sync_number: 0,
            named: None,
            published: Default::default(),
            outage_until: 0,
            trouble: true,
            heals_at: u64::from(plan.length.unwrap_or(DAYS)) * DAY,
            quiet: (0, 0),
            with_oracle: plan.oracle,
            signed: 0,
            builds: 0,
            restarts: 0,
        }
    }

    fn begin(&mut self) {
        self.at(0, Happening::CoordinatorStart);
        for number in 0..self.workers.len() {
            let delay = self.random.of(0..HOUR);
            self.after(delay, Happening::WorkerStart(number));
        }
        self.begin_trouble();
        self.at(self.heals_at, Happening::Heal);
    }

    fn live(&mut self) {
        while let Some((at, happening)) = self.calendar.pop() {
            let over = at > self.heals_at + HEALING_DAYS * DAY;
            if over || self.witness.has_failed() || (!self.trouble && self.is_finished()) {
                return;
            }
            self.now = at;
            self.events += 1;
            self.happen(happening);
        }
    }

    pub(super) fn happen(&mut self, happening: Happening) {
        if self.stalled.is_some() && happening.is_for_coordinator() {
            self.late.push_back(happening);
            return;
        }
        match happening {
            Happening::Tick(incarnation, timer) => self.tick(incarnation, timer),
            Happening::Commit(incarnation) => self.commit(incarnation),
            Happening::Arrives(session, event) => {
                if self.connections.contains_key(&session) {
                    if matches!(*event, Event::Joined(_)) {
                        self.joins(session);
                    }
                    let poisoned = matches!(*event, Event::SetAside(..));
                    self.coordinator_handles(*event);
                    if poisoned {
                        self.cut(session, true);
                    }
                }
            }
            Happening::Reaches(session, send) => self.reaches(session, *send),
            Happening::Probed(incarnation, session, answered) => {
                self.probed(incarnation, session, answered);
            }
            Happening::Gone(session, worker) => self.gone(session, worker),
            Happening::Status(number, timer) => self.status_due(number, timer),
            Happening::Built(number, boot, attempt) => self.built(number, boot, attempt),
            Happening::Stopped(number, boot, attempt) => self.stopped(number, boot, attempt),
            Happening::LogStored(number, session, attempt) => {
                self.log_stored(number, session, attempt);
            }
            Happening::Connect(number, boot) => self.connect(number, boot),
            Happening::WorkerStart(number) => self.start_worker(number),
            Happening::CoordinatorStart => self.start_coordinator(),
            Happening::Sync(profile) => self.sync(profile),
            Happening::Page(profile, number) => self.page(profile, number),
            Happening::Inject(fault) => self.inject(fault),
            Happening::Awake => self.awake(),
            Happening::Heal => self.heal(),
        }
    }

    fn end(self) -> Outcome {
        let wanted = self
            .published
            .iter()
            .flat_map(|named| named.iter().map(|key| JobKey::clone(key)))
            .collect();
        let spooled = self.workers.iter().map(|worker| worker.disk.len()).sum();
        let (workers, settings) = (self.workers.len(), self.settings);
        let drawn = format!(
            "{workers} workers, {} packages, confirmations {}, retries {:?}, faults: {}",
            self.packages.len(),
            settings.confirmations,
            settings.retry.max_retries,
            self.faults
        );
        let end = End { wanted, durable: self.durable, settings, spooled };
        let (failure, digest, trace) = self.witness.finish(self.now, &end);
        Outcome {
            events: self.events,
            simulated_ms: self.now,
            builds: self.builds,
            restarts: self.restarts,
            drawn,
            digest,
            failure,
            trace,
        }
    }

    /// How much there is of a fault now: 0 for none.
    pub(super) fn strength(&self, fault: Trouble) -> u64 {
        if self.trouble { self.faults.strength(fault) } else { 0 }
    }

    /// Statuses come every 10 s, but rest while nothing is to be done anywhere: until then.
    pub(super) fn quiet_until(&mut self) -> u64 {
        let (looked, until) = self.quiet;
        let over = until > 0 && self.now >= until;
        if self.now >= looked + 20 * SECOND || over {
            self.quiet = (self.now, self.look_for_quiet());
        }
        self.quiet.1
    }

    /// Something new is to be done: the statuses go on.
    pub(super) fn wake_workers(&mut self) {
        if self.quiet.1 <= self.now {
            return;
        }
        self.quiet = (0, 0);
        for number in 0..self.workers.len() {
            self.wake_worker(number);
        }
    }

    fn look_for_quiet(&self) -> u64 {
        let Some(coordinator) = &self.coordinator else { return 0 };
        let counts = coordinator.queue.counts(Now { utc: self.utc(), ..Now::default() });
        let busy = counts.ready + counts.running > 0
            || !coordinator.pending.is_empty()
            || self.workers.iter().any(|w| w.is_busy() || (w.up && w.session.is_none()));
        if busy {
            return 0;
        }
        let rest = self.now + if self.trouble { HOUR } else { DAY };
        coordinator.due.map_or(rest, |due| due.saturating_sub(5 * SECOND).min(rest))
    }

    fn is_finished(&self) -> bool {
        let Some(coordinator) = &self.coordinator else { return false };
        if self.now < self.heals_at + 10 * MINUTE || !coordinator.pending.is_empty() {
            return false;
        }
        if self.workers.iter().any(Worker::is_busy) {
            return false;
        }
        let counts = coordinator.queue.counts(Now { utc: self.utc(), ..Now::default() });
        counts.ready + counts.delayed + counts.running + counts.parked == 0
    }

    pub(super) fn after(&mut self, delay: u64, happening: Happening) {
        self.at(self.now + delay, happening);
    }

    pub(super) fn at(&mut self, at: u64, happening: Happening) {
        self.calendar.insert(&mut self.random, at, happening);
    }

    pub(super) fn observe(&mut self, observation: &Observation) {
        self.witness.observe(self.now, observation);
    }

    pub(super) fn note<T: Display>(&mut self, node: impl Display, text: impl FnOnce() -> T) {
        self.witness.note(self.now, node, text);
    }

    pub(super) fn fail(&mut self, checker: &'static str, text: String) {
        self.witness.fail(self.now, checker, text);
    }
}

/// What the coordinator is configured to do.
fn settings(seed: u64, workers: usize, random: &mut Random) -> Settings {
    let small = |random: &mut Random, end| u32::try_from(random.of(0..end)).unwrap_or(0);
    let mut settings = Settings {
        retry: RetryPolicy { max_retries: Some(small(random, 3)), ..RetryPolicy::default() },
        confirmations: if workers > 1 && random.percent(30) { 2 } else { 1 },
        initial_delay: Duration::from_secs(random.of(0..2) * random.of(0..7200)),
        seed,
        ..Settings::default()
    };
    for name in PROFILES {
        let policy = ProfilePolicy {
            priority: random.percent(40).then(|| 1 + i32::try_from(random.of(0..3)).unwrap_or(0)),
            initial_delay: random.percent(20).then(|| Duration::from_secs(random.of(0..3600))),
            max_retries: random.percent(40).then(|| small(random, 4)),
            tags: if random.percent(20) { vec!["trusted".into()] } else { Vec::new() },
            check_published: false,
        };
        if random.percent(70) {
            settings.profiles.insert(name.into(), policy);
        }
    }
    settings
}
