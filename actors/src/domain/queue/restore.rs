use std::collections::BTreeMap;
use std::sync::Arc;

use super::attention::Attention;
use super::effect::Fact;
use super::entry::{Entry, Job};
use super::event::Now;
use super::lane::Ready;
use super::lease::{Lease, Leases};
use super::place::stand;
use super::queue_state::{Queue, source_name};
use super::settings::Settings;
use super::worker::Worker;
use crate::planted::{self, Bug};
use crate::protocol::stored::{
    self, ArchivesRecord, Counters, InvitationRecord, JobRecord, JobState, ProfileRecord, Record,
    RecordError, StoredPlace, WorkerRecord,
};
use crate::protocol::text::counted_len;
use crate::protocol::{AttemptId, InputId, PublicKey};

/// What the store holds, taken in one record at a time.
#[derive(Debug, Default)]
pub struct Restored {
    counters: Counters,
    /// Packed as they come: all of them unpacked at once would be most of a coordinator's memory.
    jobs: BTreeMap<InputId, Arc<Job>>,
    states: BTreeMap<InputId, JobState>,
    workers: BTreeMap<PublicKey, WorkerRecord>,
    invitations: BTreeMap<[u8; 8], InvitationRecord>,
    profiles: BTreeMap<Box<str>, ProfileRecord>,
    archives: BTreeMap<i32, ArchivesRecord>,
}

impl Restored {
    /// Tables to scan, each by its first byte.
    pub const TABLES: [u8; 7] = [
        Counters::TABLE,
        JobRecord::TABLE,
        JobState::TABLE,
        WorkerRecord::TABLE,
        InvitationRecord::TABLE,
        ProfileRecord::TABLE,
        ArchivesRecord::TABLE,
    ];

    /// Takes one record in.
    ///
    /// # Errors
    /// A key or value that no release wrote.
    pub fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), RecordError> {
        match key.first() {
            Some(&Counters::TABLE) => self.counters = stored::read(value)?,
            Some(&JobRecord::TABLE) => {
                let id = JobRecord::parse_key(key)?;
                let JobRecord { key, memberships, first_seen } = stored::read(value)?;
                let job = Job::new(id, Arc::new(key), &memberships, first_seen);
                self.jobs.insert(id, Arc::new(job));
            }
            Some(&JobState::TABLE) => {
                self.states.insert(JobState::parse_key(key)?, stored::read(value)?);
            }
            Some(&WorkerRecord::TABLE) => {
                self.workers.insert(WorkerRecord::parse_key(key)?, stored::read(value)?);
            }
            Some(&InvitationRecord::TABLE) => {
                self.invitations.insert(InvitationRecord::parse_key(key)?, stored::read(value)?);
            }
            Some(&ProfileRecord::TABLE) => {
                self.profiles.insert(ProfileRecord::parse_key(key)?, stored::read(value)?);
            }
            Some(&ArchivesRecord::TABLE) => {
                self.archives.insert(ArchivesRecord::parse_key(key)?, stored::read(value)?);
            }
            _ => {}
        }
        Ok(())
    }

    /// Checks that nothing is missing: a job has its state and a state its job, and the counters
    /// know of all.
    ///
    /// # Errors
    /// What is missing, for people.
    pub fn check(&self) -> Result<(), String> {
        let mut missing = Vec::new();
        let one = |what: &str, ids: Vec<InputId>, missing: &mut Vec<String>| {
            if let Some(id) = ids.first() {
                missing.push(format!(
                    "{} without {what} (job {id} first)",
                    counted_len(ids.len(), "job")
                ));
            }
        };
        let stateless = self.jobs.keys().filter(|id| !self.states.contains_key(id));
        one("their state", stateless.copied().collect(), &mut missing);
        let jobless = self.states.keys().filter(|id| !self.jobs.contains_key(id));
        one("their record", jobless.copied().collect(), &mut missing);
        let Counters { input, worker, archives, .. } = self.counters;
        let numbers = [
            ("jobs", self.jobs.len(), input),
            ("workers", self.workers.len(), worker),
            ("sets of archives", self.archives.len(), archives),
        ];
        // Numbers of what a salvage could not take over stay unused.
        for (what, found, counted) in numbers {
            if i32::try_from(found).is_ok_and(|found| found > counted) {
                missing.push(format!("{found} {what} are there, counted were {counted}"));
            }
        }
        if missing.is_empty() { Ok(()) } else { Err(missing.join(", ")) }
    }

    /// The queue as it was. Every lease gets a full period.
    pub fn into_queue(self, settings: Settings, now: Now) -> Queue {
        let mut queue = Queue::empty(settings, now);
        queue.counters = self.counters;
        queue.invitations = self.invitations;
        queue.profiles = self.profiles;
        for (id, record) in self.archives {
            let archives = Arc::new(record.archives);
            queue.archives.insert(archives.clone(), id);
            queue.archives_by_id.insert(id, archives);
        }
        for (key, record) in self.workers {
            queue.worker_keys.insert(key, record.id);
            let worker = Worker {
                key,
                record,
                held: Default::default(),
                spooled: Default::default(),
                session: None,
                last_seen: None,
                condition: Default::default(),
                setback: Default::default(),
            };
            queue.workers.insert(worker.record.id, worker);
        }
        let mut states = self.states;
        for (id, job) in self.jobs {
            let Some(state) = states.remove(&id) else { continue };
            queue.restore_job(now, job, state);
        }
        queue
    }
}

impl Queue {
    /// A queue without jobs and workers.
    pub fn empty(settings: Settings, now: Now) -> Self {
        let attention = Attention::new(settings.lease, now.monotonic);
        Self {
            settings,
            counters: Counters::default(),
            counters_changed: false,
            entries: BTreeMap::new(),
            by_key: BTreeMap::new(),
            sources: BTreeMap::new(),
            archives: BTreeMap::new(),
            archives_by_id: BTreeMap::new(),
            profiles: BTreeMap::new(),
            syncs: BTreeMap::new(),
            doubts: BTreeMap::new(),
            syncs_kept: BTreeMap::new(),
            workers: BTreeMap::new(),
            worker_keys: BTreeMap::new(),
            sessions: BTreeMap::new(),
            knocking: BTreeMap::new(),
            invitations: BTreeMap::new(),
            ready: Ready::default(),
            timed: Default::default(),
            parked: Default::default(),
            leases: Leases::default(),
            idle: Default::default(),
            aside: Default::default(),
            changed: Default::default(),
            attention,
        }
    }

    /// All that readers are to know before they follow.
    pub fn snapshot(&self) -> Vec<Fact> {
        let mut facts = Vec::with_capacity(2 * self.entries.len() + self.profiles.len());
        for (id, entry) in &self.entries {
            facts.push(Fact::Job(entry.job.clone()));
            facts.push(Fact::Placed(*id, stand(entry)));
        }
        let profiles = self.profiles.iter();
        facts.extend(profiles.map(|(name, record)| Fact::Synced(name.clone(), record.clone())));
        facts.extend(self.all_of_workers());
        facts
    }

    fn restore_job(&mut self, now: Now, job: Arc<Job>, mut state: JobState) {
        if let StoredPlace::Leased { waiting, .. } = state.place
            && planted::is(Bug::LeasesForgottenAtStart)
        {
            state.place = StoredPlace::Queued { waiting, due: crate::protocol::UtcMillis(0) };
        }
        let id = job.id;
        for m in job.memberships() {
            let (key, release) = (&job.key, m.release.as_deref());
            let name = source_name(&key.distribution, release, &key.source, &key.version);
            self.sources.insert(name, m.source);
        }
        if let StoredPlace::Leased { worker, .. } = state.place {
            let grant = state.grants.iter().find(|g| g.epoch == state.epoch);
            let number = grant.map(|g| g.number).unwrap_or_default();
            self.leases.insert(Lease {
                attempt: AttemptId { job: id, epoch: state.epoch },
                worker,
                number,
                deadline: now.monotonic.plus(self.settings.lease),
                boot: None,
                assigned: None,
                stage: None,
                log_bytes: 0,
            });
            if let Some(holder) = self.workers.get_mut(&worker) {
                holder.held.insert(id);
            }
        }
        self.by_key.insert(job.key.clone(), id);
        self.entries.insert(id, Box::new(Entry { job, state, ready: None, fault: None }));
        self.index(now, id);
    }
}
