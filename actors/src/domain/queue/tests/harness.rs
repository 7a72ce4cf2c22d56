//! A queue with a store and clocks. After every event what is stored is restored into a second
//! queue and compared with the first: state, numbers and every index, which restoring computes
//! afresh.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use ed25519_dalek::SigningKey;

use super::told::Told;
use crate::domain::queue::{
    Effects, Event, Join, Now, Order, Queue, RequestId, Restored, Send, SessionId, Settings, Whole,
};
use crate::domain::report::{AttemptReport, LogDigest, sign, verify};
use crate::domain::results::{Capabilities, Query as _, ReadModel, Troubles};
use crate::port::Signer as _;
use crate::port::{Group, Monotonic, Op};
use crate::protocol::stored::{self, Counters, JobState, Record, ReportRecord, StoredPlace};
use crate::protocol::wire::v1::coordinator::{Answer, Message};
use crate::protocol::wire::v1::ctl::{PackageFilter, Response, Trouble, WorkerCapabilities};
use crate::protocol::wire::v1::worker::{Running, Status};
use crate::protocol::wire::{BootId, Offer};
use crate::protocol::{
    Artifact, Assignment, AttemptId, Attempted, BuildInput, Ending, EnvironmentKnowledge, Fault,
    FaultKind, FileDigest, GrantNumber, IndexState, IndexTrust, InputId, Isolation, PublicKey,
    Rebuilt, Sha256, Sha512, SignerKind, Stage, UtcMillis, artifact_set_digest,
};

pub(super) const GIB: u64 = 1 << 30;
pub(super) const HOUR: Duration = Duration::from_secs(3600);
/// 2026-01-01, noon: far from the ends of a day.
pub(crate) const START: UtcMillis = UtcMillis(1_767_268_800_000);

pub(super) struct Harness {
    pub(super) queue: Queue,
    pub(super) settings: Settings,
    pub(super) now: Now,
    pub(super) stored: BTreeMap<Vec<u8>, Vec<u8>>,
    /// True once the wall clock stepped back: what is ready stays so, while a restored queue waits.
    stepped: bool,
    /// What followers were told of workers: always what a new one would be told.
    told: Told,
    sessions: u64,
    requests: u64,
}

impl Harness {
    /// A harness in which the keys of workers 1 to 9 are listed.
    pub(super) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(super) fn with(mut settings: Settings) -> Self {
        settings.enrolment.authorized.extend((1..10).map(public));
        Self::bare(settings)
    }

    /// A harness with exactly these settings.
    pub(super) fn bare(settings: Settings) -> Self {
        let now = Now { monotonic: Monotonic(Duration::from_secs(1)), utc: START };
        let queue = Queue::empty(settings.clone(), now);
        let stored = BTreeMap::new();
        let told = Told::default();
        Self { queue, settings, now, stored, stepped: false, told, sessions: 0, requests: 0 }
    }

    pub(super) fn handle(&mut self, event: Event) -> Effects {
        let effects = self.queue.handle(self.now, event);
        for op in &effects.batch.0 {
            match op {
                Op::Put { key, value } => {
                    assert!(key.len() <= 256 && value.len() <= 1 << 20, "limits of the store");
                    self.stored.insert(key.to_vec(), value.to_vec());
                }
                Op::Delete { key } => {
                    self.stored.remove(&key[..]);
                }
            }
        }
        self.told.follow(&effects.facts);
        let mut all = Told::default();
        all.follow(&self.queue.snapshot());
        assert_eq!(self.told, all);
        self.check();
        effects
    }

    /// What is wrong with workers, as readers are shown it now.
    pub(super) fn troubles(&self) -> Vec<Trouble> {
        Troubles { now: self.now.utc }.page(&self.read(), None, 1_000).unwrap().rows
    }

    /// What machines of workers give to builds, as readers are shown it now.
    pub(super) fn capabilities(&self) -> Vec<WorkerCapabilities> {
        Capabilities.page(&self.read(), None, 1_000).unwrap().rows
    }

    /// What is shown to one who reads from now on.
    fn read(&self) -> ReadModel {
        let mut model = ReadModel::new(0);
        self.queue.snapshot().into_iter().for_each(|fact| model.follow(fact));
        model
    }

    /// Connections that are known, of workers and of those who want to be.
    pub(super) fn sessions(&self) -> usize {
        self.queue.sessions.len() + self.queue.knocking.len()
    }

    /// What is stored, restored.
    pub(super) fn restored(&self) -> Queue {
        let mut restored = Restored::default();
        for (key, value) in &self.stored {
            restored.take(key, value).unwrap();
        }
        restored.check().unwrap();
        self.whole().unwrap();
        restored.into_queue(self.settings.clone(), self.now)
    }

    /// What reports and jobs say of each other, as it is stored.
    pub(super) fn whole(&self) -> Result<(), String> {
        let mut whole = Whole::default();
        let table = |table: u8| self.stored.iter().filter(move |(key, _)| key[0] == table);
        for (_, value) in table(Counters::TABLE) {
            whole.counters(stored::read(value).unwrap());
        }
        for (key, value) in table(ReportRecord::TABLE) {
            let (sequence, report) = stored::entry(key, value).unwrap();
            whole.report(sequence, &report);
        }
        for (key, value) in table(JobState::TABLE) {
            let (job, state) = stored::entry(key, value).unwrap();
            whole.state(job, &state);
        }
        whole.finish()
    }

    /// Another process takes over: connections are gone, monotonic time begins again.
    pub(super) fn restart(&mut self) {
        self.now.monotonic = Monotonic(Duration::from_secs(1));
        self.queue = self.restored();
        self.stepped = false;
        self.told = Told::default();
        self.told.follow(&self.queue.snapshot());
    }

    fn check(&self) {
        let (live, other) = (&self.queue, self.restored());
        assert_eq!(live.counters, other.counters);
        assert_eq!(live.by_key, other.by_key);
        assert_eq!(live.profiles, other.profiles);
        assert_eq!(live.archives, other.archives);
        assert_eq!(live.archives_by_id, other.archives_by_id);
        assert_eq!(live.invitations, other.invitations);
        assert_eq!(live.worker_keys, other.worker_keys);
        let entries = |queue: &Queue| -> Vec<_> {
            queue.entries.values().map(|e| (e.job.clone(), e.state.clone())).collect()
        };
        assert_eq!(entries(live), entries(&other));
        let workers = |queue: &Queue| -> Vec<_> {
            let workers = queue.workers.values();
            workers.map(|w| (w.key, w.record.clone(), w.held.clone())).collect()
        };
        assert_eq!(workers(live), workers(&other));
        let leases = |queue: &Queue| -> Vec<_> {
            queue.leases.iter().map(|l| (l.attempt, l.worker, l.number)).collect()
        };
        assert_eq!(leases(live), leases(&other));
        assert_eq!(live.parked, other.parked);
        if !self.stepped {
            assert_eq!(live.timed, other.timed);
            assert_eq!(live.ready.in_order(), other.ready.in_order());
            let ready = |queue: &Queue| -> Vec<_> {
                queue.entries.values().map(|e| e.ready.clone()).collect()
            };
            assert_eq!(ready(live), ready(&other));
        }
        let next = live.next_deadline(self.now);
        assert_ne!(next, Some(Duration::ZERO), "what is due was done");
    }

    /// Time passes in one step, in which the coordinator listened; only the tick at its end is
    /// handled.
    pub(super) fn advance(&mut self, by: Duration) -> Effects {
        self.stall(by);
        self.queue.attention.rest(self.now.monotonic);
        self.handle(Event::Ticked)
    }

    /// Time passes in which the coordinator does nothing.
    pub(super) fn stall(&mut self, by: Duration) {
        self.now.monotonic = self.now.monotonic.plus(by);
        self.now.utc = self.now.utc.plus(by);
    }

    /// The wall clock alone steps back.
    pub(super) fn step_back(&mut self, by: Duration) -> Effects {
        self.now.utc = UtcMillis(self.now.utc.0 - i64::try_from(by.as_millis()).unwrap());
        self.stepped = true;
        self.handle(Event::Ticked)
    }

    /// Takes an index in whose digest is that of `version`.
    pub(super) fn sync(&mut self, profile: &str, version: &str, groups: Vec<Group>) -> Effects {
        let mut all = self.handle(Event::SyncPage { profile: profile.into(), groups });
        let index = IndexState { releases: vec![], settings: Sha256::of(version.as_bytes()) };
        let ended = self.handle(Event::SyncEnded { profile: profile.into(), index, took_ms: 5 });
        all.batch.0.extend(ended.batch.0);
        all.sends.extend(ended.sends);
        all.facts.extend(ended.facts);
        all
    }

    pub(super) fn join(&mut self, worker: u8) -> SessionId {
        self.join_as(worker, 1, offer(1)).0
    }

    pub(super) fn join_as(&mut self, worker: u8, boot: u8, offer: Offer) -> (SessionId, Effects) {
        let join = self.hello(worker, boot, offer);
        let session = join.session;
        (session, self.handle(Event::Joined(Box::new(join))))
    }

    pub(super) fn hello(&mut self, worker: u8, boot: u8, offer: Offer) -> Join {
        self.sessions += 1;
        Join {
            session: SessionId(self.sessions),
            worker: public(worker),
            address: "127.0.0.1:9".into(),
            boot: BootId([boot; 16]),
            offer,
            enrolment: None,
            exporter: [3; 32],
        }
    }

    /// A worker that joined and told that it is idle.
    pub(super) fn ready(&mut self, worker: u8) -> (SessionId, Vec<Assignment>) {
        let session = self.join(worker);
        let effects = self.status(session, 0, &[], &[]);
        (session, assignments(&effects))
    }

    pub(super) fn status(
        &mut self,
        session: SessionId,
        seen: u64,
        running: &[AttemptId],
        spooled: &[AttemptId],
    ) -> Effects {
        self.status_with(session, seen, running, spooled, 4 * GIB)
    }

    pub(super) fn status_with(
        &mut self,
        session: SessionId,
        seen: u64,
        running: &[AttemptId],
        spooled: &[AttemptId],
        free_memory: u64,
    ) -> Effects {
        let running = running.iter().map(|attempt| Running {
            attempt: *attempt,
            stage: Stage::Build,
            log_bytes: 7,
        });
        let status = Status {
            seen: GrantNumber(seen),
            running: running.collect(),
            spooled: spooled.to_vec(),
            free_memory,
            free_disk: 100 * GIB,
        };
        self.handle(Event::StatusReceived(session, status))
    }

    pub(super) fn report(
        &mut self,
        session: SessionId,
        worker: u8,
        assignment: &Assignment,
        ending: Ending,
    ) -> (Answer, Effects) {
        let report = report_of(assignment, ending);
        self.send(session, worker, &report, &assignment.artifacts)
    }

    /// Signs and sends; the only answer.
    pub(super) fn send(
        &mut self,
        session: SessionId,
        worker: u8,
        report: &AttemptReport,
        artifacts: &[Artifact],
    ) -> (Answer, Effects) {
        let signed = sign(report, artifacts, None, &key(worker));
        let report = Box::new(verify(&signed, &public(worker)).unwrap());
        let effects = self.handle(Event::Reported { session, report, countersigned: signed });
        let answers = effects.sends.iter().filter_map(|send| match send {
            Send::Worker(_, Message::Answer { answer, .. }) => Some(answer.clone()),
            _ => None,
        });
        let answers: Vec<Answer> = answers.collect();
        assert_eq!(answers.len(), 1, "{effects:?}");
        (answers[0].clone(), effects)
    }

    pub(super) fn order(&mut self, order: Order) -> (Response, Effects) {
        self.requests += 1;
        let effects = self.handle(Event::Ordered(RequestId(self.requests), order));
        let reply = effects.sends.iter().find_map(|send| match send {
            Send::Reply(_, rows) => rows.first().cloned(),
            _ => None,
        });
        (reply.unwrap(), effects)
    }

    pub(super) fn push(&mut self, name: &str) -> Effects {
        let filter = PackageFilter { name: Some(name.into()), ..Default::default() };
        self.order(Order::Push { filter, priority: 0 }).1
    }

    /// What is said to an operator who orders something of jobs.
    pub(super) fn ordered(&mut self, order: Order) -> (u32, String) {
        match self.order(order).0 {
            Response::Done { affected, text } => (affected, text),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn drop_job(&mut self, name: &str) -> Effects {
        let filter = PackageFilter { name: Some(name.into()), ..Default::default() };
        self.order(Order::Drop { filter }).1
    }

    pub(super) fn state(&self, job: InputId) -> &JobState {
        &self.queue.entries[&job].state
    }

    pub(super) fn place(&self, job: InputId) -> &StoredPlace {
        &self.state(job).place
    }

    /// Time until the job is due; zero when it is.
    pub(super) fn delay(&self, job: InputId) -> Duration {
        let StoredPlace::Queued { due, .. } = self.place(job) else {
            panic!("not queued: {:?}", self.place(job))
        };
        Duration::from_millis(u64::try_from((due.0 - self.now.utc.0).max(0)).unwrap())
    }
}

pub(super) fn key(worker: u8) -> SigningKey {
    SigningKey::from_bytes(&[worker; 32])
}

pub(crate) fn public(worker: u8) -> PublicKey {
    key(worker).public_key()
}

pub(crate) fn offer(slots: u16) -> Offer {
    Offer {
        name: "builder".into(),
        backends: vec!["debian".into()],
        architectures: vec!["amd64".into()],
        tags: vec![],
        slots,
    }
}

/// A published file whose content is its name.
pub(super) fn artifact(file: &str) -> Artifact {
    Artifact {
        name: file.into(),
        version: "1".into(),
        component: Some("main".into()),
        architecture: "amd64".into(),
        file: file.into(),
        url: format!("https://mirror.example.org/{file}").into(),
        size: None,
        sha256: Some(Sha256::of(file.as_bytes())),
    }
}

pub(super) fn group(source: &str, files: &[&str]) -> Group {
    Group {
        distribution: "debian".into(),
        release: None,
        source: source.into(),
        version: "1".into(),
        architecture: "amd64".into(),
        input_name: format!("{source}.buildinfo").into(),
        input: BuildInput::Suite,
        source_file: None,
        archives: Arc::new(vec![]),
        artifacts: files.iter().map(|file| artifact(file)).collect(),
        index: IndexTrust::HashOnly,
        index_sha256: None,
    }
}

/// One group with one file for each source.
pub(crate) fn groups(sources: &[&str]) -> Vec<Group> {
    sources.iter().map(|source| group(source, &[&format!("{source}.deb")])).collect()
}

pub(super) fn report_of(assignment: &Assignment, ending: Ending) -> AttemptReport {
    AttemptReport {
        attempt: assignment.attempt,
        key: assignment.key.clone(),
        artifact_set: artifact_set_digest(&assignment.artifacts),
        index: assignment.index,
        index_sha256: assignment.index_sha256,
        attempted: Attempted {
            ending,
            environment: EnvironmentKnowledge::Recorded,
            isolation: Isolation::Full,
            sandbox: None,
            input_sha256: None,
            input_sha512: None,
            source_sha256: None,
            environment_sha256: None,
            started_at: START,
            finished_at: START,
        },
        log: LogDigest { sha256: Sha256::of(b"log"), size: 3, truncated: false },
        worker_version: "1".into(),
        signer: SignerKind::WorkerKey,
    }
}

fn built(assignment: &Assignment, content: impl Fn(&str) -> Option<Vec<u8>>) -> Ending {
    let files = assignment.artifacts.iter().map(|artifact| Rebuilt {
        file: artifact.file.clone(),
        output: content(&artifact.file).map(|content| FileDigest {
            size: content.len() as u64,
            sha256: Sha256::of(&content),
            sha512: Sha512::of(&content),
        }),
        published: None,
    });
    Ending::Built(files.collect())
}

pub(super) fn good(assignment: &Assignment) -> Ending {
    built(assignment, |file| Some(file.as_bytes().to_vec()))
}

pub(super) fn bad(assignment: &Assignment) -> Ending {
    built(assignment, |_| Some(b"other".to_vec()))
}

pub(super) fn failed() -> Ending {
    Ending::BuildFailed { reason: "exit status 2".into() }
}

pub(super) fn fault(kind: FaultKind) -> Ending {
    Ending::Fault(Fault { kind, detail: "as told".into() })
}

pub(super) fn assignments(effects: &Effects) -> Vec<Assignment> {
    let sends = effects.sends.iter().filter_map(|send| match send {
        Send::Worker(_, Message::Assign { assignment, .. }) => Some((**assignment).clone()),
        _ => None,
    });
    sends.collect()
}

pub(super) fn cancelled(effects: &Effects) -> Vec<AttemptId> {
    let sends = effects.sends.iter().filter_map(|send| match send {
        Send::Worker(_, Message::Cancel { attempt, .. }) => Some(*attempt),
        _ => None,
    });
    sends.collect()
}

/// Sources of the assignments.
pub(super) fn sources(assignments: &[Assignment]) -> Vec<&str> {
    assignments.iter().map(|a| &*a.key.source).collect()
}
