use super::effect::{Effects, Fact, Stand};
use super::entry::Entry;
use super::event::Now;
use super::lane::{Lane, Rank};
use super::queue_state::Queue;
use super::retry::PARKED;
use super::settings::{MergedPolicy, ProfilePolicy};
use super::sync::PRIORITY_NEW;
use crate::planted::{self, Bug};
use crate::protocol::stored::{self, JobState, Membership, Record, StoredPlace, Waiting};
use crate::protocol::{Fault, InputId, QueueId, UtcMillis};

impl Queue {
    /// Moves a job: every index follows, the state is written, readers are told.
    pub(super) fn move_to(
        &mut self,
        now: Now,
        id: InputId,
        place: StoredPlace,
        effects: &mut Effects,
    ) {
        self.unindex(id);
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.state.place = place;
        self.index(now, id);
        self.write_state(id, effects);
        let entry = &self.entries[&id];
        effects.facts.push(Fact::Placed(id, stand(entry)));
    }

    /// Writes a job's state as it is.
    pub(super) fn write_state(&self, id: InputId, effects: &mut Effects) {
        if let Some(entry) = self.entries.get(&id) {
            effects.batch.put(JobState::key(id), stored::write(&entry.state));
        }
    }

    /// Takes a job out of every index of places.
    pub(super) fn unindex(&mut self, id: InputId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        match &entry.state.place {
            StoredPlace::Queued { due, .. } => {
                self.timed.remove(&(*due, id));
                if let Some(standing) = entry.ready.take() {
                    self.ready.remove(&standing);
                }
            }
            StoredPlace::Parked { until, .. } => {
                self.parked.remove(&id);
                if let Some(until) = until {
                    self.timed.remove(&(*until, id));
                }
            }
            StoredPlace::Leased { .. } | StoredPlace::Decided | StoredPlace::Dropped => {}
        }
    }

    /// Puts a job into the indexes of its place. One that nobody wants waits nowhere.
    pub(super) fn index(&mut self, now: Now, id: InputId) {
        let Some(entry) = self.entries.get(&id) else { return };
        if !entry.wanted() {
            return;
        }
        match &entry.state.place {
            StoredPlace::Queued { due, .. } if *due > now.utc => {
                self.timed.insert((*due, id));
            }
            StoredPlace::Queued { waiting, .. } => {
                let rank = Rank::new(self.settings.seed, waiting, id);
                let standing = self.ready.insert(self.lane(entry), rank);
                if let Some(entry) = self.entries.get_mut(&id) {
                    entry.ready = Some(standing);
                }
            }
            StoredPlace::Parked { until, .. } => {
                self.parked.insert(id);
                if let Some(until) = until {
                    self.timed.insert((*until, id));
                }
            }
            StoredPlace::Leased { .. } | StoredPlace::Decided | StoredPlace::Dropped => {}
        }
    }

    /// Puts jobs whose time has come among the ready ones.
    pub(super) fn wake(&mut self, now: Now, effects: &mut Effects) {
        while let Some((at, id)) = self.timed.first().copied().filter(|(at, _)| *at <= now.utc) {
            match self.entries.get(&id).map(|entry| entry.state.place.clone()) {
                Some(StoredPlace::Parked { waiting, .. }) => {
                    self.queue_again(now, id, waiting.priority, UtcMillis(0), effects);
                }
                Some(StoredPlace::Queued { .. }) => {
                    self.timed.remove(&(at, id));
                    self.index(now, id);
                }
                _ => {
                    self.timed.remove(&(at, id));
                }
            }
        }
    }

    /// Begins a new stay in the queue.
    pub(super) fn queue_again(
        &mut self,
        now: Now,
        id: InputId,
        priority: i32,
        due: UtcMillis,
        effects: &mut Effects,
    ) {
        let queue = QueueId(self.next(|c| &mut c.queue));
        let waiting = Waiting { queue, priority, queued_at: now.utc.max(due) };
        self.move_to(now, id, StoredPlace::Queued { waiting, due }, effects);
    }

    /// Parks a job: longer each time in a row.
    pub(super) fn park(&mut self, now: Now, id: InputId, fault: Fault, effects: &mut Effects) {
        let Some(entry) = self.entries.get(&id) else { return };
        let times = parked_times(entry) + 1;
        let waiting = match &entry.state.place {
            StoredPlace::Queued { waiting, .. }
            | StoredPlace::Leased { waiting, .. }
            | StoredPlace::Parked { waiting, .. } => *waiting,
            StoredPlace::Decided | StoredPlace::Dropped => return,
        };
        let text = format!("{} parked: {}: {}", entry.job.label(), fault.kind, fault.detail);
        Self::line(effects, now, true, text);
        let until = now.utc.plus(PARKED.after(times));
        let until = (!planted::is(Bug::ParkedForEver)).then_some(until);
        self.move_to(now, id, StoredPlace::Parked { waiting, fault, until, times }, effects);
    }

    /// What a job asks of a worker: all that its memberships ask, and what its history says.
    pub(super) fn lane(&self, entry: &Entry) -> Lane {
        let mut tags: Vec<String> =
            self.policies(entry).flat_map(|policy| policy.tags.iter().cloned()).collect();
        tags.sort_unstable();
        tags.dedup();
        let mut confirmed = entry.state.confirmed.clone();
        confirmed.sort_unstable();
        if planted::is(Bug::OneKeyConfirms) {
            confirmed.clear();
        }
        let key = &entry.job.key;
        Lane {
            backend: key.backend.clone(),
            architecture: key.architecture.clone(),
            tags,
            confirmed,
            avoid: entry.state.avoid,
            memory_over: entry.state.memory_over,
        }
    }

    /// What a job's memberships ask for together; a profile that says nothing asks for the default.
    pub(super) fn merged_policy(&self, memberships: &[Membership]) -> MergedPolicy {
        let settings = &self.settings;
        let policies = || memberships.iter().map(|m| settings.profiles.get(&m.profile));
        let own = |max: Option<u32>| max.or(settings.retry.max_retries);
        let priority = policies().map(|p| p.and_then(|p| p.priority).unwrap_or(PRIORITY_NEW));
        let delay =
            policies().map(|p| p.and_then(|p| p.initial_delay).unwrap_or(settings.initial_delay));
        // `None` is no limit, which is the largest.
        let max_retries =
            policies().map(|p| own(p.and_then(|p| p.max_retries)).map_or(u64::MAX, u64::from));
        MergedPolicy {
            priority: priority.min().unwrap_or(PRIORITY_NEW),
            delay: delay.min().unwrap_or(settings.initial_delay),
            max_retries: max_retries
                .max()
                .map_or(settings.retry.max_retries, |max| u32::try_from(max).ok()),
        }
    }

    /// The policies of a job's memberships; profiles without one are left out.
    pub(super) fn policies<'a>(
        &'a self,
        entry: &Entry,
    ) -> impl Iterator<Item = &'a ProfilePolicy> + use<'a> {
        let profiles = entry.job.memberships().into_iter().map(|m| m.profile);
        profiles.filter_map(|profile| self.settings.profiles.get(&profile))
    }
}

/// How often in a row a job was parked: the faults are counted through the parking.
fn parked_times(entry: &Entry) -> u32 {
    match &entry.state.place {
        StoredPlace::Parked { times, .. } => *times,
        _ => entry.state.faults.saturating_sub(1) / super::retry::FAULTS_MAX,
    }
}

/// As readers see it.
pub(super) fn stand(entry: &Entry) -> Stand {
    let faults = entry.state.faults;
    let fault = entry.fault.clone().filter(|_| faults > 0);
    Stand { place: entry.state.place.clone(), epoch: entry.state.epoch, faults, fault }
}
