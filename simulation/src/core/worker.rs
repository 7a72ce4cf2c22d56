use std::collections::BTreeMap;

use ed25519_dalek::SigningKey;
use rebuilder_actors::domain::queue::{Event, Join, SessionId};
use rebuilder_actors::domain::report::{
    AttemptReport, LogDigest, SignedReport, VerifiedReport, sign, verify,
};
use rebuilder_actors::port::{Signer as _, UtcMillis};
use rebuilder_actors::protocol::wire::v1::coordinator::{Answer, Message};
use rebuilder_actors::protocol::wire::v1::worker::{Running, Status};
use rebuilder_actors::protocol::wire::{BootId, Offer};
use rebuilder_actors::protocol::{
    Assignment, AttemptId, Attempted, Ending, EnvironmentKnowledge, GrantNumber, Isolation, Sha256,
    SignerKind, Stage, artifact_set_digest,
};

use super::observation::Observation;
use super::packages::fault;
use super::random::Random;
use super::world::{Happening, World};

const GIB: u64 = 1 << 30;
const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;

/// A machine that rebuilds: its spool survives its process.
pub(super) struct Worker {
    pub(super) key: SigningKey,
    pub(super) up: bool,
    /// Counts its processes.
    pub(super) boot: u32,
    pub(super) session: Option<SessionId>,
    admitted: bool,
    seen: GrantNumber,
    running: BTreeMap<AttemptId, Assignment>,
    pub(super) spool: BTreeMap<AttemptId, (SignedReport, VerifiedReport)>,
    offer: Offer,
    memory: u64,
    /// In a hundred, of its attempts in times of trouble.
    faults: u64,
    /// Times an honest build's duration.
    slowness: u64,
}

impl Worker {
    pub(super) fn draw(random: &mut Random, number: usize) -> Self {
        // Somebody can build everything and does it well, so that all work can be finished.
        let first = number == 0;
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
        let offer = Offer {
            name: format!("worker-{number}"),
            backends: words(&["debian"]),
            architectures: words(match random.of(0..3) {
                _ if first => &["*"],
                0 => &["amd64"],
                1 => &["x86_64", "arm64"],
                _ => &["*"],
            }),
            tags: Vec::new(),
            slots: u16::try_from(random.of(1..4)).unwrap_or(1),
        };
        Self {
            key: SigningKey::from_bytes(&[u8::try_from(number).unwrap_or(0) + 1; 32]),
            up: false,
            boot: 0,
            session: None,
            admitted: false,
            seen: GrantNumber(0),
            running: BTreeMap::new(),
            spool: BTreeMap::new(),
            offer,
            memory: if first { 64 * GIB } else { random.of(1..32) * GIB },
            faults: if first { 5 } else { random.of(0..60) },
            slowness: if random.percent(20) { 8 } else { 1 },
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        !self.running.is_empty() || !self.spool.is_empty()
    }

    /// Its process ends: the spool stays.
    pub(super) fn stop(&mut self) {
        self.up = false;
        self.admitted = false;
        self.seen = GrantNumber(0);
        self.running.clear();
    }

    pub(super) fn disconnected(&mut self) {
        self.session = None;
        self.admitted = false;
    }

    pub(super) fn hello(&self, number: usize, session: SessionId) -> Join {
        let mut boot = [0; 16];
        boot[..4].copy_from_slice(&self.boot.to_be_bytes());
        Join {
            session,
            worker: self.key.public_key(),
            address: format!("192.0.2.{number}:1"),
            boot: BootId(boot),
            offer: self.offer.clone(),
            enrolment: None,
            exporter: [0; 32],
        }
    }

    fn status(&self, random: &mut Random) -> Status {
        let running = self.running.keys().map(|attempt| Running {
            attempt: *attempt,
            stage: Stage::Build,
            log_bytes: 0,
        });
        Status {
            seen: self.seen,
            running: running.collect(),
            spooled: self.spool.keys().copied().collect(),
            free_memory: self.memory - random.of(0..self.memory / 16),
            free_disk: GIB,
        }
    }
}

impl World {
    /// Sends a status, if there is a connection to send it over.
    pub(super) fn tell(&mut self, number: usize) {
        let worker = &self.workers[number];
        let Some(session) = worker.session.filter(|_| worker.admitted) else { return };
        let status = worker.status(&mut self.random);
        self.send_in(session, Event::Told(session, status));
    }

    /// The timer of statuses.
    pub(super) fn status_due(&mut self, number: usize, boot: u32) {
        if !self.workers[number].up || self.workers[number].boot != boot {
            return;
        }
        self.tell(number);
        let next = self.next_status();
        self.at(next, Happening::Status(number, boot));
    }

    pub(super) fn admitted(&mut self, number: usize) {
        self.workers[number].admitted = true;
        self.tell(number);
        self.send_spooled(number);
    }

    /// Sends every report without a final answer, some twice.
    pub(super) fn send_spooled(&mut self, number: usize) {
        let worker = &self.workers[number];
        let Some(session) = worker.session.filter(|_| worker.admitted) else { return };
        for (countersigned, report) in worker.spool.clone().into_values() {
            let copies = if self.trouble && self.random.percent(10) { 2 } else { 1 };
            for _ in 0..copies {
                let report = Box::new(report.clone());
                let countersigned = countersigned.clone();
                self.send_in(session, Event::Reported { session, report, countersigned });
            }
        }
    }

    pub(super) fn worker_receives(&mut self, number: usize, message: Message) {
        match message {
            Message::Assign { number: grant, assignment } => {
                self.assigned(number, grant, *assignment);
            }
            Message::Cancel { attempt, .. } => {
                self.workers[number].running.remove(&attempt);
                self.tell(number);
            }
            Message::Answer { attempt, answer } => {
                self.workers[number].spool.remove(&attempt);
                self.answered(number, attempt, answer);
                self.tell(number);
            }
            Message::LogWanted { .. } => {}
        }
    }

    fn answered(&mut self, worker: usize, attempt: AttemptId, answer: Answer) {
        self.observe(&Observation::Answered { attempt, worker, answer });
    }

    fn assigned(&mut self, number: usize, grant: GrantNumber, assignment: Assignment) {
        let attempt = assignment.attempt;
        let worker = &mut self.workers[number];
        worker.seen = worker.seen.max(grant);
        if worker.spool.contains_key(&attempt) || worker.running.contains_key(&attempt) {
            return;
        }
        worker.running.insert(attempt, assignment);
        let (boot, slowness) = (worker.boot, worker.slowness);
        let duration = self.random.of(MINUTE..20 * MINUTE) * slowness;
        self.after(duration, Happening::Built(number, boot, attempt));
        self.tell(number);
    }

    /// An attempt ended: its report is signed and kept before anybody hears of it.
    pub(super) fn built(&mut self, number: usize, boot: u32, attempt: AttemptId) {
        if !self.workers[number].up || self.workers[number].boot != boot {
            return;
        }
        let Some(assignment) = self.workers[number].running.remove(&attempt) else { return };
        let troubled = self.trouble && self.random.percent(self.workers[number].faults);
        let package = self.packages.iter().find(|p| *p.name() == *assignment.key.source);
        let ending = match package {
            Some(package) if !troubled => package.build(&mut self.random, &assignment),
            _ => fault(&mut self.random),
        };
        let is_fault = matches!(ending, Ending::Fault(_));
        let report = self.report(&assignment, ending);
        let key = &self.workers[number].key;
        let signed = sign(&report, &assignment.artifacts, None, key);
        let verified = verify(&signed, &key.public_key());
        let verified = verified.expect("a report is valid as it was signed");
        self.workers[number].spool.insert(attempt, (signed, verified));
        self.observe(&Observation::Signed { attempt, worker: number, fault: is_fault });
        self.tell(number);
        self.send_spooled(number);
    }

    fn report(&self, assignment: &Assignment, ending: Ending) -> AttemptReport {
        let at = UtcMillis(i64::try_from(self.now).unwrap_or(i64::MAX));
        AttemptReport {
            attempt: assignment.attempt,
            key: assignment.key.clone(),
            artifact_set: artifact_set_digest(&assignment.artifacts),
            index: assignment.index,
            index_sha256: assignment.index_sha256,
            attempted: Attempted {
                ending,
                environment: EnvironmentKnowledge::Suite,
                isolation: Isolation::Full,
                input_sha256: None,
                input_sha512: None,
                source_sha256: None,
                environment_sha256: None,
                started_at: at,
                finished_at: at,
            },
            log: LogDigest { sha256: Sha256::of(b""), size: 0, truncated: false },
            worker_version: "simulation".into(),
            signer: SignerKind::WorkerKey,
        }
    }
}
