use rebuilder_actors::port::Group;
use rebuilder_actors::protocol::stored::ProfileRecord;
use rebuilder_actors::protocol::{Artifact, FaultKind, IndexState, InputId, JobKey, UtcMillis};

use super::job::{Job, Place, Stay, Wish, contains};
use super::queue_oracle::Oracle;

/// Priority of a job that is new.
pub(super) const NEW: i32 = 1;
/// Priority of what an operator asked for.
const MANUAL: i32 = 0;

impl Oracle {
    /// A part of an index.
    pub(super) fn page(&mut self, profile: &str, groups: Vec<Group>) -> Result<(), String> {
        for group in groups {
            let key = JobKey {
                distribution: group.distribution.clone(),
                backend: group.distribution.clone(),
                source: group.source.clone(),
                version: group.version.clone(),
                architecture: group.architecture.clone(),
                input: group.input_name.clone(),
            };
            let known = self.jobs.values().find(|job| job.key == key).map(|job| job.id);
            let id = known.or_else(|| self.new_ids.get(&key).copied());
            let id = id.ok_or_else(|| format!("{} {} is no job", key.source, key.version))?;
            let scope: Scope = (profile.into(), group.release.clone());
            let release = group.release.clone();
            let wish = Wish::of(group);
            match known {
                Some(_) => self.wish_again(id, scope, wish),
                None => self.wish_first(id, key, scope, wish),
            }
            self.named.entry(profile.into()).or_default().insert((id, release));
        }
        Ok(())
    }

    fn wish_first(&mut self, id: InputId, key: JobKey, scope: Scope, wish: Wish) {
        let now = self.now;
        let mut job = Job {
            id,
            key,
            wishes: [(scope, wish)].into(),
            epoch: 0,
            place: Place::Decided,
            retries: 0,
            faults: 0,
            grants: Vec::new(),
            confirmed: Vec::new(),
            avoid: None,
            memory_over: None,
            ready: false,
        };
        let (priority, delay) = self.wished(&job);
        let due = if delay == 0 { 0 } else { now.utc.0 + delay };
        job.place = Place::Waiting { stay: Stay { priority, since: now.utc.0 }, due };
        job.index(now);
        self.jobs.insert(id, job);
    }

    fn wish_again(&mut self, id: InputId, scope: Scope, wish: Wish) {
        let now = self.now;
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let before: Vec<Artifact> = job.artifacts().into_iter().cloned().collect();
        if job.wishes.get(&scope) == Some(&wish) {
            return;
        }
        let before: Vec<&Artifact> = before.iter().collect();
        let joined = wish.artifacts.iter().any(|artifact| !contains(&before, artifact));
        job.wishes.insert(scope, wish);
        if joined {
            job.confirmed.clear();
        }
        job.index(now);
        match job.place {
            Place::Decided if joined => self.queue_again(id, NEW, 0),
            Place::Parked { .. } => self.queue_again(id, NEW, 0),
            Place::Waiting { .. } => self.hurry(id),
            _ => {}
        }
    }

    /// A job that was never tried takes the wishes of who joined, where they are sooner.
    fn hurry(&mut self, id: InputId) {
        let (priority, delay) = self.wished(&self.jobs[&id]);
        let now = self.now;
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.epoch != 0 {
            return;
        }
        let Place::Waiting { stay, due } = &mut job.place else { return };
        if stay.priority == MANUAL {
            return;
        }
        let wished = if delay == 0 { 0 } else { stay.since + delay };
        stay.priority = stay.priority.min(priority);
        *due = wished.min(*due);
        job.index(now);
    }

    /// The smallest priority and delay (milliseconds) of those who want it.
    fn wished(&self, job: &Job) -> (i32, i64) {
        let policy = |profile: &str| self.settings.profiles.get(profile);
        let profiles = || job.wishes.keys().map(|(profile, _)| profile);
        let priority = profiles().map(|p| policy(p).and_then(|p| p.priority).unwrap_or(NEW));
        let delay = profiles().map(|p| {
            let own = policy(p).and_then(|p| p.initial_delay);
            own.unwrap_or(self.settings.initial_delay).as_millis()
        });
        let delay = delay.min().unwrap_or(0);
        (priority.min().unwrap_or(NEW), i64::try_from(delay).unwrap_or(i64::MAX))
    }

    /// The most retries that somebody who wants it allows; `None`: any number.
    pub(super) fn retries_max(&self, job: &Job) -> Option<u32> {
        let default = self.settings.retry.max_retries;
        let own = job.wishes.keys().map(|(profile, _)| {
            let policy = self.settings.profiles.get(profile);
            policy.and_then(|policy| policy.max_retries).or(default)
        });
        let own: Vec<Option<u32>> = own.collect();
        if own.is_empty() {
            return default;
        }
        own.into_iter().collect::<Option<Vec<u32>>>()?.into_iter().max()
    }

    /// The last part was sent: what was not named is not wanted by this profile any more, and what
    /// was not to be had may be there now.
    pub(super) fn index_ended(&mut self, profile: &str, index: &IndexState) {
        let named = self.named.remove(profile).unwrap_or_default();
        let now = self.now;
        for job in self.jobs.values_mut() {
            let (id, before) = (job.id, job.wishes.len());
            let is_named = |release: &Option<Box<str>>| named.contains(&(id, release.clone()));
            job.wishes.retain(|(other, release), _| **other != *profile || is_named(release));
            if job.wishes.len() != before {
                job.index(now);
            }
        }
        let same = self.profiles.get(profile).is_some_and(|record| record.index == *index);
        if !same {
            let unavailable: Vec<(InputId, i32)> = self
                .jobs
                .values()
                .filter(|job| job.wishes.keys().any(|(other, _)| **other == *profile))
                .filter_map(|job| match &job.place {
                    Place::Parked { stay, kind: FaultKind::InputsUnavailable, .. } => {
                        Some((job.id, stay.priority))
                    }
                    _ => None,
                })
                .collect();
            for (id, priority) in unavailable {
                self.queue_again(id, priority, 0);
            }
        }
        let record = ProfileRecord {
            index: index.clone(),
            synced_at: UtcMillis(self.now.utc.0),
            synced_in_ms: 0,
        };
        self.profiles.insert(profile.into(), record);
    }
}

/// Profile and release.
type Scope = (Box<str>, Option<Box<str>>);
