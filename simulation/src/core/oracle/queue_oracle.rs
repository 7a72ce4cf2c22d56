use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use rebuilder_actors::domain::queue::{Effects, Event, Fact, Now, Send, SessionId, Settings};
use rebuilder_actors::port::{Monotonic, Op};
use rebuilder_actors::protocol::stored::{
    self, JobRecord, JobState, ProfileRecord, Record, WorkerRecord,
};
use rebuilder_actors::protocol::wire::v1::coordinator::{Answer, Message};
use rebuilder_actors::protocol::{AttemptId, InputId, JobKey, PublicKey, UtcMillis, WorkerId};

use super::farm::Worker;
use super::job::{Job, Place};
use super::jobs::Jobs;

/// A job that an index names, and for which release.
pub(super) type Named = (InputId, Option<Box<str>>);

/// What the queue should be.
pub struct Oracle {
    pub(super) settings: Settings,
    /// With the time that counts for leases in place of the clock's.
    pub(super) now: Now,
    /// The clock's own time.
    pub(super) clock: Monotonic,
    /// The last wake-up, or event without a lease.
    pub(super) looked: Monotonic,
    /// Time in which the coordinator did nothing.
    pub(super) stalled: Duration,
    pub(super) jobs: Jobs,
    pub(super) workers: BTreeMap<WorkerId, Worker>,
    pub(super) keys: BTreeMap<PublicKey, WorkerId>,
    pub(super) profiles: BTreeMap<Box<str>, ProfileRecord>,
    /// Jobs that each index under way has named so far, each with its release.
    pub(super) named: BTreeMap<Box<str>, BTreeSet<Named>>,
    /// What is written, as the queue wrote it.
    pub(super) written: BTreeMap<InputId, JobState>,
    /// Numbers of jobs that the event makes.
    pub(super) new_ids: BTreeMap<JobKey, InputId>,
    /// When each job was first seen: `None` where what is durable does not say.
    first_seen: BTreeMap<InputId, Option<UtcMillis>>,
    /// The event wrote something.
    pub(super) wrote: bool,
    pub(super) expected: Expected,
}

/// What the event must lead to, besides the states of the jobs.
#[derive(Debug, Default)]
pub(super) struct Expected {
    pub(super) cancels: Vec<(SessionId, AttemptId)>,
    pub(super) again: Vec<AttemptId>,
    /// Kind of the answer to a report.
    pub(super) answer: Option<(AttemptId, Kind)>,
    pub(super) accepted: bool,
}

/// An [`Answer`] without its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Accepted,
    Superseded,
    Refused,
}

impl Oracle {
    /// From what is durable, as a coordinator begins.
    pub fn new(durable: &BTreeMap<Vec<u8>, Vec<u8>>, settings: &Settings, now: Now) -> Self {
        let mut oracle = Self {
            settings: settings.clone(),
            now,
            clock: now.monotonic,
            looked: now.monotonic,
            stalled: Duration::ZERO,
            jobs: Jobs::default(),
            workers: BTreeMap::new(),
            keys: BTreeMap::new(),
            profiles: BTreeMap::new(),
            named: BTreeMap::new(),
            written: BTreeMap::new(),
            new_ids: BTreeMap::new(),
            first_seen: BTreeMap::new(),
            wrote: false,
            expected: Expected::default(),
        };
        let mut records: BTreeMap<InputId, JobRecord> = BTreeMap::new();
        for (key, value) in durable {
            match key[0] {
                JobRecord::TABLE => records.extend([entry(key, value)]),
                JobState::TABLE => oracle.written.extend([entry(key, value)]),
                WorkerRecord::TABLE => oracle.enrol(key, value),
                ProfileRecord::TABLE => oracle.profiles.extend([entry(key, value)]),
                _ => {}
            }
        }
        for (id, record) in records {
            oracle.first_seen.insert(id, record.first_seen);
            let Some(state) = oracle.written.get(&id) else { continue };
            let mut job = Job::restored(id, record, state, now, settings.lease);
            job.index(now);
            oracle.jobs.insert(id, job);
        }
        oracle
    }

    /// Works out what the event must lead to, and compares.
    pub fn compare(
        &mut self,
        now: Now,
        event: Event,
        effects: &Effects,
        next: Option<Duration>,
    ) -> Result<(), String> {
        self.now = now;
        self.attend(&event);
        self.expected = Expected::default();
        self.take_writes(effects)?;
        match event {
            Event::Joined(join) => self.joined(&join, effects)?,
            Event::Left(session) => self.left(session, effects)?,
            Event::Probed { session, answered } => self.probed(session, answered, effects)?,
            Event::StatusReceived(session, status) => self.told(session, &status),
            Event::Reported { session, report, .. } => self.reported(session, &report),
            Event::SetAside(session, attempt) => self.set_aside(session, attempt),
            Event::SyncBegan { profile } => drop(self.named.remove(&profile)),
            Event::SyncPage { profile, groups } => self.page(&profile, groups)?,
            Event::SyncEnded { profile, index, .. } => self.index_ended(&profile, &index),
            Event::Ordered(_, order) => self.ordered(&order),
            // Machines are well here; that their attempts fail is seen in their reports.
            Event::Condition(..)
            | Event::Capabilities(..)
            // No index of this world has a stanza that cannot be read.
            | Event::SyncDoubts { .. }
            | Event::SyncKept { .. }
            | Event::UploadAsked { .. }
            | Event::DifferenceStored { .. }
            | Event::Ticked => {}
        }
        self.expire();
        self.wake();
        self.follow_grants(effects)?;
        self.check_sends(effects)?;
        self.check_states()?;
        self.check_next(next)
    }

    /// A coordinator's own stall is nobody's silence: a wake-up that is late by more than two
    /// thirtieths of a lease says how long it was, and before it is there no time passes.
    fn attend(&mut self, event: &Event) {
        let now = self.now.monotonic;
        self.clock = now;
        let period = self.period();
        let leased = self.jobs.values().any(|job| job.lease().is_some());
        if !leased || matches!(event, Event::Ticked) {
            if leased {
                self.stalled += now.since(self.looked).saturating_sub(2 * period);
            }
            self.looked = now;
        }
        let counted = now.0.min(self.looked.0 + 2 * period);
        self.now.monotonic = Monotonic(counted.saturating_sub(self.stalled));
    }

    pub(super) fn period(&self) -> Duration {
        (self.settings.lease / 30).max(Duration::from_secs(1))
    }

    /// Numbers that the queue chose, and the states as it wrote them.
    fn take_writes(&mut self, effects: &Effects) -> Result<(), String> {
        self.new_ids.clear();
        self.wrote = !effects.batch.is_empty();
        for op in &effects.batch.0 {
            let Op::Put { key, value } = op else { continue };
            match key[0] {
                JobRecord::TABLE => {
                    let (id, record) = entry::<JobRecord>(key, value);
                    let first = self.first_seen.entry(id).or_insert(Some(self.now.utc));
                    if record.first_seen != *first {
                        let found = record.first_seen;
                        return Err(format!("job {id} was first seen {first:?}, not {found:?}"));
                    }
                    if !self.jobs.contains_key(&id) {
                        self.new_ids.insert(record.key, id);
                    }
                }
                JobState::TABLE => self.written.extend([entry(key, value)]),
                WorkerRecord::TABLE => self.enrol(key, value),
                _ => {}
            }
        }
        Ok(())
    }

    fn enrol(&mut self, key: &[u8], value: &[u8]) {
        let (key, record) = entry::<WorkerRecord>(key, value);
        self.keys.insert(key, record.id);
        self.workers.entry(record.id).or_insert_with(|| Worker::new(key));
    }

    fn check_sends(&mut self, effects: &Effects) -> Result<(), String> {
        let Expected { cancels, answer, accepted, .. } = &mut self.expected;
        for send in &effects.sends {
            match send {
                Send::Worker(session, Message::Cancel { attempt, .. }) => {
                    let at = cancels.iter().position(|cancel| *cancel == (*session, *attempt));
                    let at = at.ok_or_else(|| format!("attempt {attempt} should go on"))?;
                    cancels.swap_remove(at);
                }
                Send::Worker(_, Message::Answer { attempt, answer: given }) => {
                    let kind = match given {
                        Answer::Accepted => Kind::Accepted,
                        Answer::Superseded => Kind::Superseded,
                        Answer::Refused { .. } => Kind::Refused,
                    };
                    if answer.take() != Some((*attempt, kind)) {
                        return Err(format!("attempt {attempt} was answered {given:?}"));
                    }
                }
                _ => {}
            }
        }
        if let Some((_, attempt)) = cancels.first() {
            return Err(format!("attempt {attempt} should be told to stop"));
        }
        if let Some((attempt, kind)) = answer {
            return Err(format!("attempt {attempt} should be answered {kind:?}"));
        }
        let kept = effects.facts.iter().any(|fact| matches!(fact, Fact::Accepted(..)));
        if kept != *accepted {
            return Err(format!("a report was kept: {kept}, and should be: {accepted}"));
        }
        Ok(())
    }

    fn check_states(&mut self) -> Result<(), String> {
        if !core::mem::take(&mut self.jobs.touched) && !self.wrote {
            return Ok(());
        }
        if self.jobs.len() != self.written.len() {
            let (jobs, written) = (self.jobs.len(), self.written.len());
            return Err(format!("{written} jobs are written, there should be {jobs}"));
        }
        for (id, job) in self.jobs.iter() {
            let state = self.written.get(id).ok_or_else(|| format!("job {id} is not written"))?;
            if let Some(what) = job.differs(state) {
                return Err(format!("job {id}: {what}; written is {state:?}; should be {job:?}"));
            }
        }
        Ok(())
    }

    /// When the queue wants to wake: at the first moment at which something becomes due.
    fn check_next(&self, next: Option<Duration>) -> Result<(), String> {
        let now = self.now;
        let wait = |at: i64| Duration::from_millis(at.saturating_sub(now.utc.0).max(0) as u64);
        let expected = self.jobs.values().filter_map(|job| match &job.place {
            Place::Leased { lease, .. } => Some(lease.deadline.since(now.monotonic)),
            Place::Waiting { due, .. } if job.is_wanted() && !job.ready => Some(wait(*due)),
            Place::Parked { until, .. } if job.is_wanted() => until.map(wait),
            _ => None,
        });
        let leased = self.jobs.values().any(|job| job.lease().is_some());
        let look = self.looked.plus(self.period()).since(self.clock);
        let look = leased.then(|| look.max(Duration::from_millis(1)));
        // A worker that is set aside may have work again.
        let aside = self.workers.values().map(|worker| worker.aside);
        let aside = aside.filter(|at| *at > now.monotonic).map(|at| at.since(now.monotonic));
        let expected = expected.chain(look).chain(aside).min();
        if next != expected {
            return Err(format!("the queue wakes in {next:?}, should wake in {expected:?}"));
        }
        Ok(())
    }

    /// Moves a job; what is known of its place follows.
    pub(super) fn put(&mut self, id: InputId, place: Place) {
        let now = self.now;
        if let Some(job) = self.jobs.get_mut(&id) {
            job.place = place;
            job.index(now);
        }
    }
}

/// Of the queue's own writes.
fn entry<R: Record>(key: &[u8], value: &[u8]) -> (R::Key, R) {
    stored::entry(key, value).expect("the queue wrote it")
}
