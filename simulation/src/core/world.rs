use std::collections::BTreeMap;

use rebuilder_actors::domain::queue::{Event, Now, RetryPolicy, Send, SessionId, Settings};
use rebuilder_actors::port::{Group, Signer as _, UtcMillis};
use rebuilder_actors::protocol::{AttemptId, JobKey, Sha256};

use super::coordinator::Coordinator;
use super::observation::{End, Observation};
use super::options::{Options, Report};
use super::packages::Package;
use super::random::Random;
use super::worker::Worker;
use crate::checker::{Checker, all};

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// Days after which a healed system must have finished: the longest parking and all retries.
const HEALING_DAYS: u64 = 120;
/// 2026-01-01.
const START: u64 = 1_767_225_600_000;

/// Runs a seed to its end, or to the first broken property.
pub fn run(options: &Options) -> Report {
    let mut world = World::new(options);
    world.begin();
    world.live();
    let failure = world.failure.take().or_else(|| world.judge());
    Report {
        events: world.events,
        builds: world.builds,
        restarts: world.restarts,
        digest: world.digest,
        failure,
        trace: world.trace,
    }
}

/// What is about to happen.
#[derive(Debug)]
pub(super) enum Happening {
    Tick(u64, u64),
    Commit(u64),
    Arrives(SessionId, Box<Event>),
    Reaches(SessionId, Box<Send>),
    Gone(SessionId),
    Status(usize, u32),
    Built(usize, u32, AttemptId),
    Connect(usize, u32),
    WorkerCrash(usize),
    WorkerStart(usize),
    CoordinatorCrash,
    CoordinatorStart,
    Cut(usize),
    Sync(usize),
    Publish,
    Operate,
    ClockStep,
    Heal,
}

/// One connection: in order in each direction.
pub(super) struct Connection {
    pub(super) worker: usize,
    up_to: [u64; 2],
}

/// Everything there is.
pub(super) struct World {
    pub(super) random: Random,
    pub(super) now: u64,
    happenings: BTreeMap<(u64, u64), Happening>,
    sequence: u64,
    pub(super) events: u64,
    pub(super) settings: Settings,
    pub(super) coordinator: Option<Coordinator>,
    pub(super) incarnation: u64,
    pub(super) durable: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) skew: i64,
    pub(super) latest_utc: UtcMillis,
    pub(super) workers: Vec<Worker>,
    pub(super) connections: BTreeMap<SessionId, Connection>,
    sessions: u64,
    pub(super) packages: Vec<Package>,
    /// What each profile took in last.
    pub(super) published: [Vec<Group>; 2],
    /// Until everything heals.
    pub(super) trouble: bool,
    heals_at: u64,
    checkers: Vec<Box<dyn Checker>>,
    failure: Option<String>,
    digest: Sha256,
    trace: Vec<String>,
    tracing: bool,
    pub(super) builds: u64,
    pub(super) restarts: u64,
}

impl World {
    fn new(options: &Options) -> Self {
        let mut random = Random::new(options.seed);
        let workers = options.workers.map_or_else(|| random.of(2..6), u64::from).clamp(1, 200);
        let count = usize::try_from(workers).unwrap_or(1);
        let workers: Vec<_> = (0..count).map(|n| Worker::draw(&mut random, n)).collect();
        let packages = (0..20).map(|n| Package::draw(&mut random, n)).collect();
        let max_retries = u32::try_from(random.of(0..3)).ok();
        let mut settings = Settings {
            retry: RetryPolicy { max_retries, ..RetryPolicy::default() },
            seed: options.seed,
            ..Settings::default()
        };
        settings.enrolment.authorized.extend(workers.iter().map(|w| w.key.public_key()));
        Self {
            random,
            now: START,
            happenings: BTreeMap::new(),
            sequence: 0,
            events: 0,
            settings,
            coordinator: None,
            incarnation: 0,
            durable: BTreeMap::new(),
            skew: 0,
            latest_utc: UtcMillis(0),
            workers,
            connections: BTreeMap::new(),
            sessions: 0,
            packages,
            published: [Vec::new(), Vec::new()],
            trouble: true,
            heals_at: START + u64::from(options.days) * DAY,
            checkers: all(),
            failure: None,
            digest: Sha256([0; 32]),
            trace: Vec::new(),
            tracing: options.trace,
            builds: 0,
            restarts: 0,
        }
    }

    fn begin(&mut self) {
        self.at(START, Happening::CoordinatorStart);
        for number in 0..self.workers.len() {
            let delay = self.random.of(0..HOUR);
            self.after(delay, Happening::WorkerStart(number));
            self.soon(12 * HOUR, Happening::WorkerCrash(number));
            self.soon(3 * HOUR, Happening::Cut(number));
        }
        self.soon(12 * HOUR, Happening::CoordinatorCrash);
        self.soon(8 * HOUR, Happening::Publish);
        self.soon(12 * HOUR, Happening::Operate);
        self.soon(DAY, Happening::ClockStep);
        self.at(self.heals_at, Happening::Heal);
    }

    fn live(&mut self) {
        while let Some(((at, _), happening)) = self.happenings.pop_first() {
            let over = at > self.heals_at + HEALING_DAYS * DAY;
            if over || self.failure.is_some() || (!self.trouble && self.is_finished()) {
                return;
            }
            self.now = at;
            self.events += 1;
            self.happen(happening);
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Tick(incarnation, timer) => self.tick(incarnation, timer),
            Happening::Commit(incarnation) => self.commit(incarnation),
            Happening::Arrives(session, event) => {
                if self.connections.contains_key(&session) {
                    self.coordinator_handles(*event);
                }
            }
            Happening::Reaches(session, send) => self.reaches(session, *send),
            Happening::Gone(session) => self.coordinator_handles(Event::Left(session)),
            Happening::Status(number, boot) => self.status_due(number, boot),
            Happening::Built(number, boot, attempt) => self.built(number, boot, attempt),
            Happening::Connect(number, boot) => self.connect(number, boot),
            Happening::WorkerStart(number) => self.start_worker(number),
            Happening::CoordinatorStart => self.start_coordinator(),
            Happening::Sync(profile) => {
                self.sync(profile);
                let next = self.random.of(4 * HOUR..8 * HOUR);
                if self.trouble {
                    self.after(next, Happening::Sync(profile));
                }
            }
            Happening::Heal => self.heal(),
            trouble => self.strike(&trouble),
        }
    }

    /// What happens in times of trouble only, again and again.
    fn strike(&mut self, happening: &Happening) {
        if !self.trouble {
            return;
        }
        match *happening {
            Happening::WorkerCrash(number) => {
                self.stop_worker(number);
                self.soon(12 * HOUR, Happening::WorkerCrash(number));
            }
            Happening::CoordinatorCrash => {
                self.crash_coordinator();
                self.soon(12 * HOUR, Happening::CoordinatorCrash);
            }
            Happening::Cut(number) => {
                if let Some(session) = self.workers[number].session {
                    self.cut(session, true);
                }
                self.soon(3 * HOUR, Happening::Cut(number));
            }
            Happening::Publish => {
                let which = self.random.of(0..self.packages.len() as u64);
                let which = usize::try_from(which).unwrap_or(0);
                self.packages[which].change(&mut self.random);
                self.soon(8 * HOUR, Happening::Publish);
            }
            Happening::Operate => {
                self.operate();
                self.soon(12 * HOUR, Happening::Operate);
            }
            Happening::ClockStep => {
                let step = i64::try_from(self.random.of(0..12 * HOUR)).unwrap_or(0);
                self.skew = step - i64::try_from(6 * HOUR).unwrap_or(0);
                self.soon(DAY, Happening::ClockStep);
            }
            _ => {}
        }
    }

    fn heal(&mut self) {
        self.trouble = false;
        self.skew = 0;
        self.start_coordinator();
        for number in 0..self.workers.len() {
            self.start_worker(number);
        }
        for profile in 0..self.published.len() {
            self.after(MINUTE, Happening::Sync(profile));
        }
    }

    fn start_worker(&mut self, number: usize) {
        let worker = &mut self.workers[number];
        if worker.up {
            return;
        }
        worker.up = true;
        worker.boot += 1;
        let boot = worker.boot;
        self.connect(number, boot);
        self.after(10 * SECOND, Happening::Status(number, boot));
    }

    fn stop_worker(&mut self, number: usize) {
        if !self.workers[number].up {
            return;
        }
        if let Some(session) = self.workers[number].session {
            self.cut(session, true);
        }
        self.workers[number].stop();
        self.observe(&Observation::WorkerCrashed(number));
        let delay = self.random.of(SECOND..2 * HOUR);
        self.after(delay, Happening::WorkerStart(number));
    }

    fn connect(&mut self, number: usize, boot: u32) {
        let worker = &self.workers[number];
        if !worker.up || worker.boot != boot || worker.session.is_some() {
            return;
        }
        if self.coordinator.is_none() {
            self.after(5 * SECOND, Happening::Connect(number, boot));
            return;
        }
        self.sessions += 1;
        let session = SessionId(self.sessions);
        let join = worker.hello(number, session);
        self.workers[number].session = Some(session);
        self.connections.insert(session, Connection { worker: number, up_to: [self.now; 2] });
        self.send_in(session, Event::Joined(Box::new(join)));
    }

    /// A connection breaks: what is under way is lost, and each side learns it in its time.
    pub(super) fn cut(&mut self, session: SessionId, told: bool) {
        let Some(connection) = self.connections.remove(&session) else { return };
        let worker = &mut self.workers[connection.worker];
        if worker.session == Some(session) {
            worker.disconnected();
            let boot = worker.boot;
            let delay =
                self.random.of(SECOND..if self.trouble { 40 * MINUTE } else { 30 * SECOND });
            let delay = if self.random.percent(80) { delay % MINUTE + SECOND } else { delay };
            self.after(delay, Happening::Connect(connection.worker, boot));
        }
        if told {
            let delay = self.random.of(0..30 * SECOND);
            self.after(delay, Happening::Gone(session));
        }
    }

    fn reaches(&mut self, session: SessionId, send: Send) {
        let Some(connection) = self.connections.get(&session) else { return };
        let number = connection.worker;
        match send {
            Send::Worker(_, message) => self.worker_receives(number, message),
            Send::Admit { .. } => self.admitted(number),
            Send::Close { .. } => self.cut(session, true),
            Send::Upload(..) | Send::Reply(..) => {}
        }
    }

    pub(super) fn send_in(&mut self, session: SessionId, event: Event) {
        if let Some(at) = self.arrival(session, 0) {
            self.at(at, Happening::Arrives(session, Box::new(event)));
        }
    }

    pub(super) fn send_out(&mut self, session: SessionId, send: Send) {
        if let Some(at) = self.arrival(session, 1) {
            self.at(at, Happening::Reaches(session, Box::new(send)));
        }
    }

    fn arrival(&mut self, session: SessionId, direction: usize) -> Option<u64> {
        let late = self.trouble && self.random.percent(2);
        let latency = self.random.of(1..if late { 20 * SECOND } else { 200 });
        let connection = self.connections.get_mut(&session)?;
        let at = connection.up_to[direction].max(self.now + latency);
        connection.up_to[direction] = at;
        Some(at)
    }

    /// When the next status is due: every 10 s, unless nothing is to be done anywhere.
    pub(super) fn next_status(&self) -> u64 {
        let soon = self.now + 10 * SECOND;
        let Some(coordinator) = &self.coordinator else { return soon };
        let counts = coordinator.queue.counts(Now { utc: self.utc(), ..Now::default() });
        let busy = counts.ready + counts.running > 0
            || !coordinator.pending.is_empty()
            || self.workers.iter().any(|w| w.is_busy() || (w.up && w.session.is_none()));
        if busy {
            return soon;
        }
        let due = coordinator.due.map_or(self.now + HOUR, |due| due + SECOND);
        due.clamp(soon, self.now + if self.trouble { HOUR } else { DAY })
    }

    fn is_finished(&self) -> bool {
        let Some(coordinator) = &self.coordinator else { return false };
        let counts = coordinator.queue.counts(Now { utc: self.utc(), ..Now::default() });
        let waiting = counts.ready + counts.delayed + counts.running + counts.parked;
        let synced = self.now > self.heals_at + 10 * MINUTE;
        let busy = self.workers.iter().any(Worker::is_busy);
        synced && waiting == 0 && !busy && coordinator.pending.is_empty()
    }

    pub(super) fn after(&mut self, delay: u64, happening: Happening) {
        self.at(self.now + delay, happening);
    }

    pub(super) fn at(&mut self, at: u64, happening: Happening) {
        self.sequence += 1;
        self.happenings.insert((at, self.sequence), happening);
    }

    /// Once, within twice this time.
    fn soon(&mut self, about: u64, happening: Happening) {
        let delay = self.random.of(0..2 * about);
        self.after(delay, happening);
    }

    pub(super) fn observe(&mut self, observation: &Observation) {
        let text = format!("{} {observation:?}", self.now - START);
        self.digest = Sha256::of(format!("{}{text}", self.digest).as_bytes());
        if self.tracing {
            self.trace.push(text);
        }
        let (now, settings) = (self.now, &self.settings);
        let broken = self.checkers.iter_mut().find_map(|checker| {
            let broken = checker.observe(now, settings, observation).err()?;
            Some(format!("{}: {broken}", checker.name()))
        });
        if let Some(broken) = broken {
            self.fail(&broken);
        }
    }

    pub(super) fn fail(&mut self, what: &str) {
        let at = self.now - START;
        self.failure.get_or_insert(format!("after {at} ms: {what}"));
    }

    fn judge(&mut self) -> Option<String> {
        let wanted = self.published.iter().flatten().map(|group| JobKey {
            distribution: group.distribution.clone(),
            backend: group.distribution.clone(),
            source: group.source.clone(),
            version: group.version.clone(),
            architecture: group.architecture.clone(),
            input: group.input_name.clone(),
        });
        let end = End {
            wanted: wanted.collect(),
            durable: core::mem::take(&mut self.durable),
            settings: self.settings.clone(),
            spooled: self.workers.iter().map(|w| w.spool.len()).sum(),
        };
        self.checkers.iter_mut().find_map(|checker| {
            let broken = checker.finish(&end).err()?;
            Some(format!("at the end: {}: {broken}", checker.name()))
        })
    }
}
