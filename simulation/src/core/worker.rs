use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use rebuilder_actors::domain::queue::{Event, Join, SessionId};
use rebuilder_actors::domain::report::{KnownKey, VerifiedReport, verify_known};
use rebuilder_actors::domain::worker;
use rebuilder_actors::domain::worker::{Effect, Machine};
use rebuilder_actors::port::{Monotonic, Signer as _};
use rebuilder_actors::protocol::AttemptId;
use rebuilder_actors::protocol::stored::Spooled;
use rebuilder_actors::protocol::wire::v1::coordinator::Message;
use rebuilder_actors::protocol::wire::v1::worker::{Message as FromWorker, Report};
use rebuilder_actors::protocol::wire::{BootId, Offer};

use super::calendar::Happening;
use super::runner::Running;
use super::trouble::Trouble;
use super::world::{GIB, HOUR, MINUTE, SECOND, World};
use crate::observation::Observation;
use crate::random::Random;

/// A machine that rebuilds: a real [`Machine`] and what is around it. The disk survives.
pub(super) struct Worker {
    pub(super) key: SigningKey,
    pub(super) known: KnownKey,
    pub(super) up: bool,
    /// Counts its processes.
    pub(super) boot: u32,
    pub(super) session: Option<SessionId>,
    pub(super) machine: Machine,
    pub(super) running: BTreeMap<AttemptId, Running>,
    pub(super) disk: BTreeMap<AttemptId, Kept>,
    /// Logs that are being sent over this connection.
    uploading: BTreeSet<AttemptId>,
    pub(super) offer: Arc<Offer>,
    /// Bytes that builds can use.
    pub(super) memory: u64,
    /// In a hundred, of its attempts, at the usual strength.
    pub(super) faults: u64,
    pub(super) is_slow: bool,
    /// Tells its newest timer from older ones.
    timer: u64,
    /// When the newest timer is due.
    armed: Option<u64>,
}

/// A report on the disk of a worker.
pub(super) struct Kept {
    pub(super) spooled: Spooled,
    pub(super) verified: VerifiedReport,
}

impl Worker {
    /// The first `able` workers can build everything and do it well, so that all work can be
    /// finished.
    pub(super) fn draw(random: &mut Random, number: usize, able: usize) -> Self {
        let able = number < able;
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
        let architectures: &[&str] = match random.of(0..3) {
            _ if able => &["*"],
            0 => &["amd64"],
            1 => &["x86_64", "arm64"],
            _ => &["*"],
        };
        let tags: &[&str] = if able || random.percent(50) { &["trusted"] } else { &[] };
        let offer = Offer {
            name: format!("worker-{number}"),
            backends: words(&["debian"]),
            architectures: words(architectures),
            tags: words(tags),
            slots: u16::try_from(random.of(1..4)).unwrap_or(1),
        };
        let mut secret = [1; 32];
        secret[..8].copy_from_slice(&(number as u64 + 1).to_be_bytes());
        let key = SigningKey::from_bytes(&secret);
        Self {
            known: KnownKey::new(&key.public_key()),
            key,
            up: false,
            boot: 0,
            session: None,
            machine: Machine::new(offer.slots, BTreeMap::new()),
            running: BTreeMap::new(),
            disk: BTreeMap::new(),
            uploading: BTreeSet::new(),
            memory: if able { 64 * GIB } else { random.of(1..32) * GIB },
            faults: if able { 5 } else { random.of(0..30) },
            is_slow: random.percent(20),
            offer: Arc::new(offer),
            timer: 0,
            armed: None,
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        !self.running.is_empty() || !self.disk.is_empty()
    }

    pub(super) fn hello(&self, number: usize, session: SessionId) -> Join {
        let mut boot = [0; 16];
        boot[..4].copy_from_slice(&self.boot.to_be_bytes());
        Join {
            session,
            worker: self.key.public_key(),
            address: format!("192.0.2.{number}:1"),
            boot: BootId(boot),
            offer: Offer::clone(&self.offer),
            enrolment: None,
            exporter: [0; 32],
        }
    }
}

impl World {
    pub(super) fn start_worker(&mut self, number: usize) {
        let worker = &mut self.workers[number];
        if worker.up {
            return;
        }
        worker.up = true;
        worker.boot += 1;
        worker.armed = None;
        let kept = worker.disk.iter().map(|(attempt, kept)| (*attempt, kept.spooled.clone()));
        worker.machine = Machine::new(worker.offer.slots, kept.collect());
        let boot = worker.boot;
        self.note(format_args!("worker-{number}"), || "starts");
        self.measure(number);
        self.connect(number, boot);
    }

    /// Its process ends: the disk stays.
    pub(super) fn stop_worker(&mut self, number: usize) {
        if !self.workers[number].up {
            return;
        }
        if let Some(session) = self.workers[number].session {
            self.cut(session, true);
        }
        let worker = &mut self.workers[number];
        worker.up = false;
        worker.session = None;
        worker.running.clear();
        worker.uploading.clear();
        worker.armed = None;
        self.observe(&Observation::WorkerCrashed(number));
        let delay = self.random.of(SECOND..2 * HOUR);
        self.after(delay, Happening::WorkerStart(number));
    }

    pub(super) fn admitted(&mut self, number: usize) {
        self.machine_handles(number, worker::Event::Connected);
    }

    pub(super) fn disconnected(&mut self, number: usize) {
        let worker = &mut self.workers[number];
        worker.session = None;
        worker.uploading.clear();
        if worker.up {
            self.machine_handles(number, worker::Event::Disconnected);
        }
    }

    /// What is free wavers.
    pub(super) fn measure(&mut self, number: usize) {
        let memory = self.workers[number].memory;
        let free_memory = memory - self.random.of(0..memory / 16);
        let event = worker::Event::Measured { free_memory, free_disk: GIB };
        self.machine_handles(number, event);
    }

    pub(super) fn worker_receives(&mut self, number: usize, message: Message) {
        if let Message::Answer { attempt, answer } = &message {
            let (attempt, answer) = (*attempt, answer.clone());
            self.observe(&Observation::Answered { attempt, worker: number, answer });
        }
        self.machine_handles(number, worker::Event::Received(message));
    }

    /// One event of a worker's machine, what follows from it, and its timer.
    pub(super) fn machine_handles(&mut self, number: usize, event: worker::Event) {
        let now = Monotonic(Duration::from_millis(self.now));
        let effects = self.workers[number].machine.handle(now, event);
        for effect in effects {
            self.perform(number, effect);
        }
        let next = self.workers[number].machine.next_deadline();
        let next = next.map(|at| u64::try_from(at.0.as_millis()).unwrap_or(u64::MAX));
        if next != self.workers[number].armed {
            let worker = &mut self.workers[number];
            worker.armed = next;
            worker.timer += 1;
            let timer = worker.timer;
            if let Some(at) = next {
                let at = at.max(self.now + 1).max(self.quiet_until());
                self.at(at, Happening::Status(number, timer));
            }
        }
    }

    /// A worker whose statuses rested goes on with them.
    pub(super) fn wake_worker(&mut self, number: usize) {
        if self.workers[number].armed.is_some() {
            let worker = &mut self.workers[number];
            worker.timer += 1;
            let timer = worker.timer;
            let delay = self.random.of(1..10 * SECOND);
            self.after(delay, Happening::Status(number, timer));
        }
    }

    /// The timer of a worker's machine.
    pub(super) fn status_due(&mut self, number: usize, timer: u64) {
        let worker = &mut self.workers[number];
        if worker.up && worker.timer == timer {
            worker.armed = None;
            self.machine_handles(number, worker::Event::Ticked);
        }
    }

    fn perform(&mut self, number: usize, effect: Effect) {
        match effect {
            Effect::Send(FromWorker::Status(status)) => {
                if let Some(session) = self.workers[number].session {
                    self.send_in(session, Event::StatusReceived(session, status));
                }
            }
            Effect::Send(FromWorker::Report(report)) => self.send_report(number, report),
            Effect::Send(FromWorker::Condition(told)) => {
                if let Some(session) = self.workers[number].session {
                    self.send_in(session, Event::Condition(session, told));
                }
            }
            Effect::Send(FromWorker::Capabilities(told)) => {
                if let Some(session) = self.workers[number].session {
                    self.send_in(session, Event::Capabilities(session, told));
                }
            }
            Effect::Start(assignment) => self.start_build(number, *assignment),
            Effect::Stop(attempt, _) => {
                let boot = self.workers[number].boot;
                let delay = self.random.of(100..MINUTE);
                self.after(delay, Happening::Stopped(number, boot, attempt));
            }
            Effect::Forget(attempt, _) => drop(self.workers[number].disk.remove(&attempt)),
            Effect::Upload(attempt) => {
                self.workers[number].uploading.insert(attempt);
                self.upload(number, attempt);
            }
            Effect::Notice(text) => self.note(format_args!("worker-{number}"), || text),
        }
    }

    /// The log of a finished attempt reaches the coordinator, if the connection lasts.
    pub(super) fn upload(&mut self, number: usize, attempt: AttemptId) {
        let worker = &self.workers[number];
        let is_sent = worker.uploading.contains(&attempt) && worker.disk.contains_key(&attempt);
        if let Some(session) = worker.session.filter(|_| is_sent) {
            let delay = self.random.of(10..if self.trouble { MINUTE } else { SECOND });
            self.after(delay, Happening::LogStored(number, session, attempt));
        }
    }

    pub(super) fn log_stored(&mut self, number: usize, session: SessionId, attempt: AttemptId) {
        if self.workers[number].session == Some(session) {
            self.machine_handles(number, worker::Event::LogStored(attempt));
        }
    }

    fn send_report(&mut self, number: usize, Report { attempt, signed }: Report) {
        let worker = &self.workers[number];
        let Some(session) = worker.session else { return };
        let kept = worker.disk.get(&attempt).map(|kept| kept.verified.clone());
        let verified = kept.or_else(|| verify_known(&signed, &worker.known).ok());
        let Some(verified) = verified else { return };
        let poison = self.strength(Trouble::Poison);
        if poison > 0 && self.random.percent(poison) {
            let text = format!("its report of attempt {attempt} makes the coordinator panic");
            self.note(format_args!("worker-{number}"), || text);
            self.send_in(session, Event::SetAside(session, attempt));
            return;
        }
        let twice = self.strength(Trouble::Duplicate);
        let copies = if twice > 0 && self.random.percent(5 * twice) { 2 } else { 1 };
        for _ in 0..copies {
            let (report, countersigned) = (Box::new(verified.clone()), signed.clone());
            self.send_in(session, Event::Reported { session, report, countersigned });
        }
    }
}
